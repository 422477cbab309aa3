"""A lesson to begin with where a class draws its own digits: from drawing them to seeing what a network takes them for."""

from core.lessons.lesson import CLASS_DATA, Lesson, Step

CLASS_LESSON = Lesson(
    title="Our own digits",
    summary="The class draws its digits, trains on them, and sees whose sevens are read as ones.",
    preset="digits-quick",
    data=CLASS_DATA,
    steps=(
        Step(title="Draw for the class", page="collect_digits",
             text="Draw what is asked for, as you write it on paper."),
        Step(title="Look at what you have drawn", page="explore_data",
             text="All of these were drawn by the class. Which of them could be read as another digit?\n\nThey are as they were "
                  "when you opened this page: open it again to see those that have been drawn since."),
        Step(title="Train on it", page="train_model",
             text="Press “Start training”. A few hundred drawings are little for a network: how many of those that it has not "
                  "learned from does it read?"),
        Step(title="What does it take for what?", page="evaluate_model", view={"evaluate.section": "Confusion"},
             text="Rows are what was asked for, columns what the network read. Press a number to see its drawings. You are told "
                  "which of them are yours, and no other pupil is; your teacher sees a pupil's number at each."),
        Step(title="Draw for it", page="draw_digit",
             text="Does it read a new digit of yours? And one of your neighbour's?"),
    ))
