"""The labs, in the order they are meant to be taken. Home lists them as a path and the sidebar as a menu."""

# path → (title, goal in one line, icon); one entry a line
LABS: dict[str, tuple[str, str, str]] = {
    "pages/learn_tensors.py": ("Tensors", "What all numbers are kept in, and what to do with them.", ":material/grid_on:"),
    "pages/learn_autograd.py": ("Autograd", "How PyTorch finds out which way to change every weight.", ":material/graph_3:"),
}
