"""What well-known notes say or do otherwise than the presets that rebuild their systems; tests/test_statements.py computes it."""

LAST_BATCH = ("They print the last batch's loss as the epoch's: that of 32 images, as 60,000 = 937·64 + 32. Here the mean over "
              "all images of the epoch is shown.")
POOLED = ("They put ReLU before max pooling, here it comes after: the values are the same, and ReLU has a quarter of the work. "
          "With average pooling they would not be the same.")
HELD_BACK = ("They learn from all 60,000 training images. Here 5,000 of them are held back to watch the training, and the test "
             "images are looked at once, at its end.")

NOTES_DIFFER: dict[str, tuple[str, ...]] = {
    "mnist-mlp-50": (
        HELD_BACK,
        "They shuffle the test images. That changes no figure: accuracy is a mean, and a mean knows no order.",
    ),
    "mnist-is-8-cnn": (
        "Its first convolution, conv1, has (3·3·1)·32 + 32 = 320 parameters, as MNIST has one channel. The 896 that one note "
        "gives are for three channels, as pictures in colour have.",
        "Binary cross-entropy is the mean of −[y·log σ(z) + (1 − y)·log(1 − σ(z))]. Where a note has 1 + y, a “yes” costs more "
        "and more, the surer the network rightly is.",
        LAST_BATCH,
        POOLED,
        HELD_BACK,
    ),
    "mnist-is-8-gap": (
        "Their improved network ends in a sigmoid and goes into BCEWithLogitsLoss, which applies one itself: however sure it "
        "is, a “no” then costs 0.693 at least and a “yes” 0.313. Here it returns the logit.",
        "Their test takes the sigmoid of that sigmoid and asks for more than 0.5. The sigmoid of a number between 0 and 1 is at"
        " least 0.5, so nearly every image is called an 8.",
        "An earlier version of theirs has batch norm after the first convolution only: set “Batch norm after the first” to 1 to"
        " have it.",
        LAST_BATCH,
        POOLED,
        HELD_BACK,
    ),
    "fashion-mlp-512": (
        "They ask the test images after each epoch, and so use them for validation: of a number of epochs or a learning rate "
        "that is chosen by them, they no longer say how it does on images nobody has seen. Here 5,000 training images are held "
        "back for that.",
        "They print the loss of each hundredth batch; here the mean over all images of the epoch is shown beside the batches.",
    ),
    "circle-2d": (
        "They draw the region of a single run. It closes in 1 of 5 seeds; with larger steps and more of them, as in “Inside the"
        " circle? Closed”, in 5 of 5.",
        "They ask no new points. Here 500 others test the network.",
    ),
    "toy-2-2-1": (
        "Their test uses X_test and Y_test, which nothing makes. Here 500 new points are drawn, and show that nothing learned "
        "holds for them.",
    ),
    "toy-sigmoid": (
        "They print the training loss alone, and it falls. As the answers are random, it says nothing about new samples.",
    ),
    "linear-regression": (
        "Their “new data” are the training points again. Here 500 others test the line.",
        "They squeeze the predictions to (100,), and have to: the difference of (100, 1) and (100,) has 100·100 entries, and "
        "their mean square is another loss.",
    ),
}
