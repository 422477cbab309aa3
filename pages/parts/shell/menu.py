"""The labs, in the order they are meant to be taken. Home lists them as a path and the sidebar as a menu."""

# path → (title, goal in one line, icon); one entry a line
LABS: dict[str, tuple[str, str, str]] = {
    "pages/learn_tensors.py": ("Tensors", "What all numbers are kept in, and what to do with them.", ":material/grid_on:"),
    "pages/learn_autograd.py": ("Autograd", "How PyTorch finds out which way to change every weight.", ":material/graph_3:"),
    "pages/learn_building_blocks.py": ("Activations, losses, optimizers",
                                       "What each building block does to numbers and gradients.",
                                       ":material/category:"),
    "pages/learn_first_networks.py": ("First networks", "Two classic first scripts, line by line, and what their loss hides.",
                                      ":material/rocket_launch:"),
    "pages/learn_linear_regression.py": ("Linear regression", "Three numbers converge, on a surface that can be drawn whole.",
                                         ":material/show_chart:"),
    "pages/learn_text.py": ("Text", "From words to numbers to an answer, and the words that pushed it.",
                            ":material/rate_review:"),
    "pages/learn_decision_boundary.py": ("2-D classifier", "How a network bends a line around points, unit by unit.",
                                         ":material/bubble_chart:"),
    "pages/learn_saving.py": ("Save and load", "What is in a file of weights, and what goes wrong on the way back.",
                              ":material/save:"),
}
