"""What the labs ask before anything is pressed, by topic."""

from core.labs.data_folder import COUNT
from pages.parts.learn.lab import Question

TENSORS: dict[str, Question] = {
    "create": Question(
        "tensors.ask_create",
        "`torch.tensor([1, 2, 3])`: which dtype does it get?",
        ("float32", "int64", "int8"), 1,
        "Whole numbers become int64, numbers with a point float32. Networks calculate in float32, so the points in "
        "`[1., 2., 3.]` matter."),
    "index": Question(
        "tensors.ask_index",
        "x has shape (3, 4). What is the shape of `x[1:, ::2]`?",
        ("(2, 2)", "(3, 2)", "(2, 4)"), 0,
        "`1:` leaves out row 0, so 2 rows remain; `::2` takes every second of 4 columns, which are 2.",
        ("**Result**, shape (2, 2)",)),
    "join": Question(
        "tensors.ask_join",
        "Two tensors of shape (2, 3) are stacked with `torch.stack`. What is the result's shape?",
        ("(4, 3)", "(2, 6)", "(2, 2, 3)"), 2,
        "`stack` makes a new dimension, `cat` makes an existing one longer.",
        ("**Result** (2, 2, 3)",)),
    "product": Question(
        "tensors.ask_product",
        "a is (2, 3) and b is (3, 2). What is the shape of `a @ b`?",
        ("(2, 2)", "(3, 3)", "(2, 3)"), 0,
        "Every row of a meets every column of b: 2 rows and 2 columns. The 3 in the middle is summed over.",
        ("**a @ b** (2, 2)",)),
    "broadcast": Question(
        "tensors.ask_broadcast",
        "A tensor of shape (3, 1) plus one of shape (4,): what comes out?",
        ("an error", "shape (3, 4)", "shape (4, 3)"), 1,
        "Aligned at the right, 1 meets 4 and is stretched; the missing dimension of the second becomes 1 and is "
        "stretched to 3.",
        ("has shape (3, 4)",)),
    "reduce": Question(
        "tensors.ask_reduce",
        "x has shape (3, 4). What is the shape of `x.sum(dim=0)`?",
        ("(3,)", "(4,)", "(1, 4)"), 1,
        "dim names the dimension that disappears: the rows are added up, one sum for each column remains.",
        ("has shape (4,)",)),
    "in_place": Question(
        "tensors.ask_in_place",
        "`y = w.exp()` is changed by `y.add_(1)`. Can the gradient of `w` still be calculated?",
        ("yes", "no, PyTorch refuses", "yes, but it is wrong"), 1,
        "Autograd needs y as it was. It counts changes, so it refuses instead of giving a wrong gradient.",
        ("autograd kept y for the backward pass", "Version 1")),
    "numpy": Question(
        "tensors.ask_numpy",
        "`n` is an array, `t = torch.from_numpy(n)`. Then `n[2] = 7`. What is `t[2]`?",
        ("1", "7"), 1,
        "`from_numpy` copies nothing: both look at the same memory. `torch.tensor(n)` copies.",
        ("have the **same memory**",)),
}

AUTOGRAD: dict[str, Question] = {
    "step": Question(
        "autograd.ask_step",
        "All inputs are 1 and all targets 0. What do the three columns of w's gradient look like?",
        ("15 different numbers", "the same number in every row of a column", "all zeros"), 1,
        "The gradient of w is x times the gradient of u, and every x is 1: each row gets the same three numbers.",
        ("u = x @ w",)),
    "accumulate": Question(
        "autograd.ask_accumulate",
        "backward() is called twice, each time after a new forward pass. What is b.grad then?",
        ("the same as after the first", "twice as large", "an error"), 1,
        "backward() adds to .grad and never replaces it. That is why every training loop calls zero_grad().",
        ("times the first",)),
    "off": Question(
        "autograd.ask_off",
        "u is detached: z = u.detach() + b. Which parameters still get a gradient?",
        ("w and b", "only b", "none"), 1,
        "The way back from z to u is cut, so nothing arrives at w. b enters after the cut.",
        ("w.grad none",)),
}

TEXT: dict[str, Question] = {
    "unknown": Question(
        "text.ask_unknown",
        "A review has the word “flabbergasting”, which no training review has. What does the network get for it?",
        ("a new number", "the number of all unknown words", "nothing, the word is left out"), 1,
        "Only words of the training reviews have a number of their own. All others share number 1, and with it one row of the "
        "table: the network can't tell them apart.",
        ("Red: unknown, number 1", "numbers.get(word, 1)")),
    "accuracy": Question(
        "text.ask_accuracy",
        "The network learns from 180 reviews of a dozen words. How many of 120 new reviews will it judge rightly?",
        ("about half", "about seven in ten", "nearly all"), 1,
        "It has memorised all training reviews after seven epochs (accuracy 100 %: it overfits), but most words of a new review "
        "were seen once or never. More reviews help most: counting words in IMDB's 25,000 is enough for 88 % (Maas et al., "
        "2011).",
        ("69 %",)),
    "map": Question(
        "text.ask_map",
        "Before training, do “wonderful” and “terrible” lie apart on the map?",
        ("yes, far apart", "no, all words are mixed"), 1,
        "The table starts with random numbers near 0. Words part only because their rows were pushed in opposite directions.",
        ("Between the two groups, before",)),
    "vectors": Question(
        "text.ask_vectors",
        "GloVe's word vectors were learned from six billion words, without any label. They take the place of the table, and only "
        "the two linear layers learn from the 180 reviews. What happens to the test accuracy?",
        ("it falls: fewer numbers learn", "it stays", "it rises"), 2,
        "Means of five seeds: 71 % with a table of 50 numbers learned from nothing, 73 % with GloVe's vectors trained on, 79 % "
        "with them frozen. A word that is rare in the reviews lies beside words like it from the start, and frozen it stays "
        "there.",
        ("Vectors, frozen",)),
    "push": Question(
        "text.ask_push",
        "A word is left out of a review, and the network is asked again. Can “the” change the answer?",
        ("no, it means nothing", "yes, a little"), 1,
        "Its row is part of the mean like any other. If it stood a little more often in negative reviews, it pushes that way: "
        "a coincidence that the network can't tell from meaning.",
        ("the logit without that word",)),
    "order": Question(
        "text.ask_order",
        "“Not dull, it is wonderful” and “not wonderful, it is dull”: what does the network answer?",
        ("the first is more positive", "exactly the same to both"), 1,
        "Both have the same words. Their mean is the same, and what comes after the mean can't know the order.",
        ("The mean of the same rows is the same mean", "a bag knows no order")),
}

REGRESSION: dict[str, Question] = {
    "slowest": Question(
        "regression.ask_slowest",
        "All three numbers start near 0. With a learning rate of 0.01, after how many of the 1,000 steps are they "
        "within 0.05 of 2, 3 and 4?",
        ("about 20", "about 230", "about 900"), 1,
        "Each step takes away about 2 % of the distance (1.4 % in the slowest direction), and 0.98 has to be multiplied with "
        "itself some 230 times until a distance of 4 has become 0.05. The other steps change next to nothing.",
        ("From step 2", "Now")),
    "zero": Question(
        "regression.ask_zero",
        "After all steps, is the loss 0?",
        ("yes", "no, about 0.01", "no, about 0.1"), 1,
        "The noise can't be predicted. Its standard deviation is 0.1, so its mean square is about 0.1² = 0.01, and no choice of "
        "three numbers gets below that by much.",
        ("Mean squared error 0.0",)),
    "limit": Question(
        "regression.ask_limit",
        "The learning rate is raised from 0.01 to 1.2, and everything else stays. What happens?",
        ("it converges 120 times as fast", "it swings and settles slowly", "the numbers grow without end"), 2,
        "1.2 is above 2/λmax: each step lands on the other side of the bowl, farther away than before.",
        ("Diverged:", "Limit 2/λmax")),
    "same": Question(
        "regression.ask_same",
        "All samples are one batch. Does the order in which they are shuffled change the path?",
        ("yes", "no"), 1,
        "The gradient is a mean over all samples, and a mean knows no order. Only the last digits of float32 differ."),
}

FIRST_NETWORKS: dict[str, Question] = {
    "backward": Question(
        "first.ask_backward",
        "`loss.backward()` has run. Has any weight changed?",
        ("yes", "no"), 1,
        "backward() only calculates gradients and puts them beside the weights. optimizer.step() moves the weights."),
    "toy-2-2-1": Question(
        "first.ask_numbers",
        "Ten points get random numbers to predict. The training loss falls. What will the loss on 500 new points of the same "
        "kind be?",
        ("about as small as the training loss", "about 1 or more"), 1,
        "Nothing connects points and numbers. The best answer to a new point is the mean, 0, and its mean squared difference "
        "from numbers of standard deviation 1 is 1.",
        ("Loss on new samples 1.0",)),
    "toy-sigmoid": Question(
        "first.ask_toy",
        "Ten samples of random numbers get answers that have nothing to do with them. Trained long enough (learning rate 3, 400 "
        "epochs, seed 0), the network gets all ten right. How many of 500 new samples of the same kind?",
        ("nearly all", "about half"), 1,
        "There is nothing to learn that would hold for new samples. The loss on the training samples only says how much has been "
        "memorised: the network overfits.",
        ("Right, new samples 51 %",)),
    "circle-2d": Question(
        "first.ask_circle",
        "The same kind of script learns whether a point lies inside a circle. Does the loss on new points fall here?",
        ("it falls too", "it does not fall"), 0,
        "The answers follow a rule that holds for all points, and what is learned from 100 of them helps with others.",
        ("Right, new samples 76 %",)),
}

PLANE: dict[str, Question] = {
    "line": Question(
        "plane.ask_line",
        "Blue points lie inside a circle, orange ones around it. How many hidden units with ReLU does a network need at least to "
        "enclose the blue ones?",
        ("1", "2", "3", "100"), 2,
        "Each unit draws one straight edge, and it takes three edges to close a shape: a triangle. Try 1, 2 and 3 units in one "
        "layer, with ReLU and no other inputs."),
}

METRICS: dict[str, Question] = {
    "rare": Question(
        "metrics.ask_rare",
        "Five of a hundred people are ill, and a model says “healthy” to everybody. Its accuracy is 95 %. What is its recall of "
        "the ill?",
        ("95 %", "50 %", "0 %"), 2,
        "It finds none of the five: 0 / 5. Its precision has nothing to divide by at all. Look at the example “Five of a "
        "hundred”."),
    "average": Question(
        "metrics.ask_average",
        "A frequent class is always recognised, a rare one never. Which mean of the recalls is lower?",
        ("macro: each class counts the same", "weighted: each class counts by its number"), 0,
        "The macro mean of two classes is (1 + 0) / 2. Weighted by 95 and 5 it is 0.95, which for recall is the accuracy again."),
    "threshold": Question(
        "metrics.ask_threshold",
        "The threshold for a “yes” is raised. What can happen to recall and to precision?",
        ("both can only fall", "recall can only fall or stay, precision can do either",
         "recall can only fall, precision only rise"), 1,
        "With fewer yeses fewer positives are found. Precision rises where the yeses that are dropped were wrong, and falls "
        "where they were right.",
        ("Precision and recall",)),
    "numbers": Question(
        "metrics.ask_numbers",
        "Nine of ten predictions are exactly right, one is off by 10. Which is larger?",
        ("the mean absolute error", "the root of the mean squared error"), 1,
        "The mean absolute error is 10 / 10 = 1. The mean square is 100 / 10 = 10, its root 3.16: squares make a large error "
        "count more.",
        ("**RMSE**",)),
}

TRANSFER: dict[str, Question] = {
    "ways": Question(
        "transfer.ask_ways",
        "A network has learned the digits 0 to 4. Now it gets ten images each of 5 to 9, and 30 steps. Which is best on new "
        "images?",
        ("starting from nothing", "its convolutions frozen, a new head", "all start from nothing equally well"), 1,
        "Means of five seeds: from nothing 82 % (75 to 88 %), frozen convolutions 95 % (93 to 97 %), all layers fine-tuned 96 % "
        "(94 to 98 %). Take 100 steps, and the first one has nearly caught up.",
        ("Frozen features, new head 9",)),
    "last": Question(
        "transfer.ask_last",
        "Which layers of that network are least useful for other digits?",
        ("the first: they see edges", "the last but one: it is made for 0 to 4"), 1,
        "With all but the last layer frozen it gets 44 % after 30 steps, the mean of five seeds, instead of 95 %. Choose “Last "
        "layer only” as the new head and see."),
}

SAVING: dict[str, Question] = {
    "largest": Question(
        "saving.largest",
        "The same network is saved as weights, as a whole object and as safetensors. Which file is the largest?",
        ("Weights (state_dict)", "The whole object", "safetensors"), 1,
        "It holds the same numbers, and besides them the names of all classes and every attribute of every layer. What it does "
        "not hold is the code: move or rename a class and the file can't be read.",
        ("Asks Python for",)),
    "pickle": Question(
        "saving.pickle", "A file says: to rebuild me, call print with this text. Someone else's would say: delete everything. "
        "What does torch.load(…, weights_only=True) do?",
        ("It prints the text and loads the rest", "It refuses the file", "It loads the file without printing"), 1,
        "Only names on its list of what tensors need are allowed, and print is not on it.",
        ("Weights only load failed",)),
    "eval": Question(
        "saving.eval", "A network with batch norm and dropout is loaded and asked for the same example five times, without "
        "model.eval(). Are the five answers equal?", ("Equal", "Different"), 1,
        "In training mode dropout switches off other units each time, and batch norm measures the other examples in the batch.",
        ("probability differs by up to",)),
}

BLOCKS: dict[str, Question] = {
    "depth": Question(
        "blocks.depth", "Choose sigmoid above and PyTorch's default weights below. A gradient of size 1 arrives at layer 10: "
        "what is left of it at layer 1?", ("About 1", "About a thousandth", "Less than a millionth"), 2,
        "Each sigmoid multiplies it by ¼ at most: ten in a row shrink it by at least a million, unless large weights make up for "
        "it, and the default weights shrink it further. Layers near the input would hardly learn.",
        ("Gradients vanish on the way back",)),
    "logits": Question(
        "blocks.logits", "The label is 1 and the network says a logit of −200: sure and wrong. Its loss should be 200. What does "
        "float32 make of sigmoid first and logarithm after?", ("200", "100", "infinite"), 2,
        "The sigmoid rounds to exactly 0, whose logarithm is −∞. PyTorch's binary_cross_entropy stops at 100 instead, with a "
        "gradient of 0: the worst mistake is the one that is not corrected. From the logit itself the loss is 200 and the "
        "gradient −1.",
        ("Log by hand",)),
    "ravine": Question(
        "blocks.ravine", "Choose the ravine, 25 times steeper across than along, with a learning rate of 0.03. Plain SGD and SGD "
        "with momentum 0.9 start at the same point: which has the lower loss after 200 steps?",
        ("SGD", "SGD with momentum"), 1,
        "It overshoots first and swings, but along the flat floor its steps add up.",
        ("Animated",)),
    "dropout": Question(
        "blocks.dropout_kept", "Dropout with p = 0.5, in training. A unit holds 3 and is not switched off. What comes out of the "
        "layer?",
        ("1.5", "3", "6"), 2,
        "What stays is multiplied by 1 / (1 − p), here by 2. Half of the units are missing, so the others count twice, and the "
        "next layer's sum is as large on average as it will be in evaluation, when all are there.",
        ("1 / (1 − p) = 2",)),
}

LOADING: dict[str, Question] = {
    "header": Question(
        "loading.ask_header", f"labels.csv has {COUNT} lines and no header. How many lines has the table that pd.read_csv(file) "
        "makes of it?", (str(COUNT), str(COUNT - 1), str(COUNT + 1)), 1,
        "read_csv takes the first line for the names of the columns. No error, no warning: one image is never seen.",
        ("len(dataset) is 49",)),
    "normalize": Question(
        "loading.ask_normalize", "A pixel of a Pillow image is 255, pure white. What is it after ToTensor() and "
        "Normalize((0.5,), (0.5,))?", ("0.5", "1", "255"), 1,
        "ToTensor() divides by 255, which gives 1, and (1 − 0.5) / 0.5 is 1 again. Black, 0, becomes −1: the range is −1 to 1.",
        ("0.8745",)),
    "sizes": Question(
        "loading.ask_batches", f"{COUNT} samples, batch_size=8, drop_last=False. How many batches has an epoch, and how large is "
        "the last?", ("6 batches, the last of 8", "7 batches, the last of 2", "7 batches, the last of 8"), 1,
        "6 · 8 = 48, and the 2 that are left make a batch of their own. drop_last=True leaves them out of this epoch.",
        ("In the last 2",)),
    "order": Question(
        "loading.ask_order", "Digits lie sorted by class, first all 0, last all 9, and shuffle is off. Ten epochs of SGD: what "
        "does the network answer to new digits?",
        ("the same as with shuffle", "mostly the classes that came last", "mostly the classes that came first"), 1,
        "Each stretch of one class pulls all answers its way, and the last pull is the one that is left. Nothing else differs: "
        "the same digits, the same number of steps, the same start.",
        ("What the network without shuffle answers",)),
    "joined": Question(
        "loading.ask_joined", f"joined = ConcatDataset([a, b]), each of {COUNT} samples. What is joined[{COUNT}]?",
        (f"a[{COUNT}]", "b[0]", "an error"), 1,
        f"The parts follow each other: 0 to {COUNT - 1} are a's, and {COUNT} is the first of b's. Nothing is copied.",
        ("cumulative_sizes [50, 100]",)),
    "helps": Question(
        "loading.ask_helps", "A training set of digits is joined with a mirrored copy of itself. What happens to the accuracy on "
        "other, upright digits?", ("it rises: more data is better", "it does not change", "it falls"), 2,
        "Nobody writes mirrored digits, and a mirrored 2 looks like no 2. An augmented copy helps where it is what other hands "
        "would have written.",
        ("samples): **",)),
}

# every question, by its lab
QUESTIONS: dict[str, dict[str, Question]] = {
    "pages/learn_tensors.py": TENSORS, "pages/learn_autograd.py": AUTOGRAD, "pages/learn_data_loading.py": LOADING,
    "pages/learn_building_blocks.py": BLOCKS, "pages/learn_first_networks.py": FIRST_NETWORKS,
    "pages/learn_linear_regression.py": REGRESSION, "pages/learn_metrics.py": METRICS, "pages/learn_text.py": TEXT,
    "pages/learn_decision_boundary.py": PLANE, "pages/learn_transfer.py": TRANSFER, "pages/learn_saving.py": SAVING,
}
