"""What a lesson can show: the app's pages, by their names in the address, and the parts that it may leave out of them."""

from typing import Literal, get_args

Page = Literal[
    "home", "explore_data", "build_model", "train_model", "search_settings", "evaluate_model", "go_back", "draw_digit",
    "read_sheet", "collect_digits", "compare_runs", "learn_tensors", "learn_autograd", "learn_data_loading",
    "learn_building_blocks", "learn_first_networks", "learn_linear_regression", "learn_metrics", "learn_text",
    "learn_decision_boundary", "learn_transfer", "learn_saving"]
PAGES: tuple[str, ...] = get_args(Page)

# page → its parts, as the page calls them; a page that is not here is shown whole
SECTIONS: dict[str, tuple[str, ...]] = {
    "explore_data": ("Look", "Transform", "Batches", "Combine", "Bring your own"),
    "build_model": ("Code", "Look inside"),
    "train_model": ("Start from", "Network", "All settings", "Microscope"),
    "evaluate_model": ("Overview", "Numbers", "Confusion", "Thresholds", "Calibration", "Images", "Robustness", "Other data",
                       "Compare two"),
    "draw_digit": ("What the network sees", "Move, turn, stretch it", "Why this answer", "Teach it", "Bring weights"),
    "learn_tensors": ("Create", "Index and slice", "Join", "Products", "Broadcasting", "Reduce", "In place", "NumPy",
                      "Your own expression"),
    "learn_autograd": ("Step by step", "Accumulate", "Switch it off", "Check it"),
    "learn_building_blocks": ("Optimizers", "Activations", "Losses", "Dropout"),
    "learn_first_networks": ("Line by line", "Training and new samples", "Train it as a run"),
    "learn_linear_regression": ("Watch it converge", "Predictions and residuals", "Learning rate", "Train it as a run"),
    "learn_metrics": ("Confusion matrix", "Averages", "Scores and thresholds", "Predicted numbers"),
    "learn_text": ("Words to numbers", "Vocabulary", "Train", "Map of words", "Word vectors", "What decided", "Word order",
                   "Your own texts"),
    "learn_transfer": ("Three ways", "VGG-16", "As runs"),
}
# in an address, what is looked at on a page → what it can be: a lesson moves these between steps on the same page
PICKERS: dict[str, tuple[str, ...]] = {
    "explore.section": SECTIONS["explore_data"][:-1], "build.look.view": ("Walk a sample through", "Weights"),
    "evaluate.section": SECTIONS["evaluate_model"], "draw.section": SECTIONS["draw_digit"][:3],
    "tensors.topic": SECTIONS["learn_tensors"], "autograd.topic": SECTIONS["learn_autograd"],
    "blocks.part": SECTIONS["learn_building_blocks"], "first.topic": SECTIONS["learn_first_networks"],
    "regression.topic": SECTIONS["learn_linear_regression"], "metrics.topic": SECTIONS["learn_metrics"],
    "text.topic": SECTIONS["learn_text"], "transfer.topic": SECTIONS["learn_transfer"],
}
MAY_BE_BARE = ("build_model", "train_model", "draw_digit")  # pages that are of use without any of these parts
