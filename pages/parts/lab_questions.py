"""What the labs ask before anything is pressed, by topic."""

from pages.parts.lab import Question

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
        "`1:` leaves out row 0, so 2 rows remain; `::2` takes every second of 4 columns, which are 2."),
    "join": Question(
        "tensors.ask_join",
        "Two tensors of shape (2, 3) are stacked with `torch.stack`. What is the result's shape?",
        ("(4, 3)", "(2, 6)", "(2, 2, 3)"), 2,
        "`stack` makes a new dimension, `cat` makes an existing one longer."),
    "product": Question(
        "tensors.ask_product",
        "a is (2, 3) and b is (3, 2). What is the shape of `a @ b`?",
        ("(2, 2)", "(3, 3)", "(2, 3)"), 0,
        "Every row of a meets every column of b: 2 rows and 2 columns. The 3 in the middle is summed over."),
    "broadcast": Question(
        "tensors.ask_broadcast",
        "A tensor of shape (3, 1) plus one of shape (4,): what comes out?",
        ("an error", "shape (3, 4)", "shape (4, 3)"), 1,
        "Aligned at the right, 1 meets 4 and is stretched; the missing dimension of the second becomes 1 and is "
        "stretched to 3."),
    "reduce": Question(
        "tensors.ask_reduce",
        "x has shape (3, 4). What is the shape of `x.sum(dim=0)`?",
        ("(3,)", "(4,)", "(1, 4)"), 1,
        "dim names the dimension that disappears: the rows are added up, one sum for each column remains."),
    "in_place": Question(
        "tensors.ask_in_place",
        "`y = w.exp()` is changed by `y.add_(1)`. Can the gradient of `w` still be calculated?",
        ("yes", "no, PyTorch refuses", "yes, but it is wrong"), 1,
        "Autograd needs y as it was. It counts changes, so it refuses instead of giving a wrong gradient."),
    "numpy": Question(
        "tensors.ask_numpy",
        "`n` is an array, `t = torch.from_numpy(n)`. Then `n[2] = 7`. What is `t[2]`?",
        ("1", "7"), 1,
        "`from_numpy` copies nothing: both look at the same memory. `torch.tensor(n)` copies."),
}

AUTOGRAD: dict[str, Question] = {
    "step": Question(
        "autograd.ask_step",
        "All inputs are 1 and all targets 0. What do the three columns of w's gradient look like?",
        ("15 different numbers", "the same number in every row of a column", "all zeros"), 1,
        "The gradient of w is x times the gradient of u, and every x is 1: each row gets the same three numbers."),
    "accumulate": Question(
        "autograd.ask_accumulate",
        "backward() is called twice, each time after a new forward pass. What is b.grad then?",
        ("the same as after the first", "twice as large", "an error"), 1,
        "backward() adds to .grad and never replaces it. That is why every training loop calls zero_grad()."),
    "off": Question(
        "autograd.ask_off",
        "u is detached: z = u.detach() + b. Which parameters still get a gradient?",
        ("w and b", "only b", "none"), 1,
        "The way back from z to u is cut, so nothing arrives at w. b enters after the cut."),
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
