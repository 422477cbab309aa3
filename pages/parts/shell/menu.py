"""All pages: those of a model's way from data to drawing, and the labs in the order they are meant to be taken."""

# path → (title, icon), in the order of the sidebar
MENU = {
    "app.py": ("Home", ":material/home:"),
    "pages/explore_data.py": ("Explore data", ":material/grid_view:"),
    "pages/build_model.py": ("Build model", ":material/account_tree:"),
    "pages/train_model.py": ("Train model", ":material/model_training:"),
    "pages/search_settings.py": ("Search settings", ":material/travel_explore:"),
    "pages/evaluate_model.py": ("Evaluate", ":material/fact_check:"),
    "pages/go_back.py": ("Go back in time", ":material/history:"),
    "pages/draw_digit.py": ("Draw a digit", ":material/draw:"),
    "pages/read_sheet.py": ("Read a sheet", ":material/document_scanner:"),
    "pages/collect_digits.py": ("Class digits", ":material/groups:"),
    "pages/compare_runs.py": ("Compare runs", ":material/leaderboard:"),
    "pages/open_lesson.py": ("Lessons", ":material/school:"),
}
# path → (title, goal in one line, icon); one entry a line. Home lists them as a path and the sidebar as a menu
LABS: dict[str, tuple[str, str, str]] = {
    "pages/learn_tensors.py": ("Tensors", "What all numbers are kept in, and what to do with them.", ":material/grid_on:"),
    "pages/learn_autograd.py": ("Autograd", "How PyTorch finds out which way to change every weight.", ":material/graph_3:"),
    "pages/learn_data_loading.py": ("Data loading", "From files to batches: write a Dataset, and see what a DataLoader does.",
                                    ":material/stacks:"),
    "pages/learn_building_blocks.py": ("Activations, losses, optimizers",
                                       "What each building block does to numbers and gradients.",
                                       ":material/category:"),
    "pages/learn_first_networks.py": ("First networks", "Three classic first scripts, line by line, and what their loss hides.",
                                      ":material/rocket_launch:"),
    "pages/learn_linear_regression.py": ("Linear regression", "Three numbers converge, on a surface that can be drawn whole.",
                                         ":material/show_chart:"),
    "pages/learn_metrics.py": ("Metrics", "Accuracy, precision, recall, F1, ROC AUC: by hand and by scikit-learn.",
                               ":material/calculate:"),
    "pages/learn_text.py": ("Text", "From words to numbers to an answer, and the words that pushed it.",
                            ":material/rate_review:"),
    "pages/learn_decision_boundary.py": ("2-D classifier", "How a network bends a line around points, unit by unit.",
                                         ":material/bubble_chart:"),
    "pages/learn_transfer.py": ("Transfer learning", "What was learned on some classes helps with others, of few images.",
                                ":material/move_up:"),
    "pages/learn_saving.py": ("Save and load", "What is in a file of weights, and what goes wrong on the way back.",
                              ":material/save:"),
}
