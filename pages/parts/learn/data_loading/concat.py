"""Fourth view: two data sets joined to one, and whether an augmented copy helps."""

import streamlit as st
import torch
from torch.utils.data import ConcatDataset

from core.figures.data_loading import compared_figure
from core.figures.in_words import in_words
from core.labs.data_folder import COUNT, items
from core.labs.data_loading import (
    AUGMENTATIONS,
    FEW_BATCH,
    FEW_STEPS,
    SEEDS,
    Compared,
    augmented_set,
    compare,
    judged,
    look_up,
    plain_set,
    transform_code,
)
from core.labs.data_loading_code import concat_code
from core.wording import percent
from pages.parts.learn.data_loading.shared import PATH, STILL, SWITCH, folder, from_address, numbers
from pages.parts.learn.lab import covered, predict, refusal, show_code, tried
from pages.parts.learn.questions import LOADING
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.pictures import picture_grid


@st.cache_data(max_entries=len(AUGMENTATIONS), show_spinner="Training 15 times…")
def compared_sets(name: str) -> list[Compared]:
    """The three sets' accuracies, for all who ask."""
    return compare(items(), name)


def show() -> None:
    """Lengths, one index, a training."""
    truth = folder()
    st.markdown("**ConcatDataset** makes one Dataset of several. A usual pair: a set, and the same images once more through "
                "random transforms, its augmented copy.")
    seen = predict(PATH, LOADING["joined"])
    from_address("loading.augmentation", "augmentation", {name: name for name in AUGMENTATIONS}, "turn")
    name = st.segmented_control("The copy is", list(AUGMENTATIONS), format_func=lambda key: AUGMENTATIONS[key].title,
                                key="loading.augmentation", required=True, persist_state="session", on_change=tried,
                                args=(PATH,)) or "turn"
    joined = ConcatDataset([plain_set(truth), augmented_set(truth, name)])
    st.code('a = CustomImageDataset("digits/labels.csv", "digits/images", transform=ToTensor())\n'
            f'b = CustomImageDataset("digits/labels.csv", "digits/images", transform={transform_code(name)})\n'
            "joined = ConcatDataset([a, b])  # or a + b", language="python", wrap_lines=True)
    if seen:
        _joined(joined)
    else:
        covered()
    st.header("Does the copy help?")
    helped = predict(PATH, LOADING["helps"])
    from_address("loading.compare", "compare", SWITCH, False)
    if st.toggle("Train on the set alone, twice, and with its copy", key="loading.compare", persist_state="session",
                 on_change=tried, args=(PATH,)):
        if helped:
            _training(name)
        else:
            covered(480)
    show_code(concat_code(name))


def _joined(joined: ConcatDataset[tuple[torch.Tensor, int]]) -> None:
    """Lengths, and what stands where."""
    ends = str(joined.cumulative_sizes)
    metrics_row({"len(a)": (str(COUNT), None), "len(b)": (str(COUNT), None), "len(joined)": (str(len(joined)), None),
                 "cumulative_sizes": (ends, "Where each part ends: that is all it needs to find an index.")})
    _index(joined)


def _index(joined: ConcatDataset[tuple[torch.Tensor, int]]) -> None:
    """One index, where it comes from, and what is there."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        from_address("loading.index", "index", numbers(-2 * COUNT - 1, 2 * COUNT + 1), 73)
        index = st.number_input("joined[…]", -2 * COUNT - 1, 2 * COUNT + 1, key="loading.index", persist_state="session",
                                width=150, on_change=tried, args=(PATH,),
                                help="Negative ones count from the end. Try one there is not.")
        if st.button("Ask for it again", key="loading.again", icon=":material/refresh:"):
            st.session_state["loading.draw"] = st.session_state.get("loading.draw", 0) + 1
    found = look_up(joined, index, st.session_state.get("loading.draw", 0))
    if found.image is None or found.inner is None:
        refusal(found.error)
        st.markdown(f":material/lightbulb: There are {len(joined)} samples: 0 to {len(joined) - 1}, or −{len(joined)} to −1.")
        return
    part = "ab"[found.part or 0]
    st.markdown(f"`joined[{index}]` is **`{part}[{found.inner}]`**, label {found.label}."
                + (" Each time it is asked for, it is drawn anew." if part == "b" else " The image as it is in the folder."))
    original = joined.datasets[0][found.inner][0]
    pair = (torch.stack([original, found.image]) * 255).round().to(torch.uint8)
    picture_grid(pair, "loading.joined", "The sample in both parts", [f"a[{found.inner}]", f"joined[{index}]"], pick=False,
                 smallest=120)
    st.caption("The order stays: without shuffle an epoch takes all of a, then all of b.")


def _training(name: str) -> None:
    results = compared_sets(name)
    figure = compared_figure(results)
    st.plotly_chart(figure, key="loading.compared", config=STILL,
                    alt=in_words(figure, "Accuracy on upright digits, seed by seed"))
    st.markdown(" · ".join(f"{found.title} ({found.samples} samples): **{percent(found.mean, 1)}**" for found in results))
    st.markdown(f"**{AUGMENTATIONS[name].title}.** {judged(results)}")
    st.caption(f"A real training of 64-32-10 with Adam, {FEW_STEPS} steps of {FEW_BATCH} images each, so that no set gets more "
               f"steps than another; {SEEDS} seeds, a point each; the line is their mean. Tested on the 1,747 digits that are "
               "not in the folder. “Twice” has as many samples as the joined set and nothing else to learn from: what "
               "the copy adds is the distance to that one.")
