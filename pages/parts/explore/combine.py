"""Explore data, Combine: data sets joined, cut down and spoiled on purpose, and what is then left to learn from."""

import streamlit as st
import torch
from torch import Tensor

from core.config import DataConfig
from core.data import DataError, Dataset, available, default_config, is_own, spec_of
from core.data.combine import FIELDS, before_choosing, join_problem, mislabelled
from core.data.explore.browse import find_images
from core.data.statistics import class_balance
from core.fields import describe
from core.figures.bars import grouped_counts
from core.figures.in_words import in_words
from pages.parts.draft import draft
from pages.parts.explore.sample import SPLITS
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.pictures import picture_grid

SHOWN = 60  # pictures on the contact sheet
ABOUT = {name: describe(DataConfig, name) for name in FIELDS}
ORDER = ("In this order: sets are joined, classes chosen, validation images held back; then, of the training images alone, a "
         "share is taken, classes made unequal, and labels spoiled. Test images stay those of the data set itself.")


def section(server: Services, data: Dataset) -> None:
    """Controls, what is left, some of it as pictures, and a way into a run."""
    if data.kind != "images":
        st.info("Points are computed: choose how many, how noisy and which on the page “Train model”.")
        return
    st.caption(ORDER)
    left, right = st.columns([2, 3], gap="large")
    with left:
        config = controls(server, data)
    try:
        mixed = dataset(config, server.settings)
        honest = dataset(config.model_copy(update={"label_noise": 0.0}), server.settings)
        whole = dataset(before_choosing(config), server.settings)
    except DataError as error:
        st.warning(as_text(str(error)), icon=":material/rule:")
        return
    wrong = mislabelled(mixed.train, honest.train.labels)
    with right:
        results(mixed, whole, wrong)
    contact_sheet(mixed, honest, wrong)
    if st.button("Take into a run", type="primary", icon=":material/model_training:", key="explore.combine.take"):
        draft.take_data(config)
        go_to("pages/train_model.py")


def controls(server: Services, data: Dataset) -> DataConfig:
    """The data set with what is asked for."""
    first, spec = default_config(data.name, server.settings.data_dir), spec_of(data.name, server.settings.data_dir)
    known = {name: other for name, other in available(server.settings.data_dir, server.actor).items() if name != data.name}
    fitting = [name for name, other in known.items() if not join_problem(spec, other)]
    there = [name for name in fitting if known[name].is_available(server.settings.data_dir)]
    key = f"explore.combine.{data.name}"
    join = st.multiselect("Join with", there, format_func=lambda name: known[name].title, key=f"{key}.join",
                          help=ABOUT["join"].help, persist_state="session", disabled=not there,
                          placeholder="no other set" if there else "none fits")
    if absent := [known[name].title for name in fitting if name not in there]:
        st.caption(as_text(f"Would fit, once downloaded: {', '.join(absent)}."))
    times = 1
    if join:
        times = st.number_input(ABOUT["join_times"].label, 1, 100, 1, key=f"{key}.times", help=ABOUT["join_times"].help,
                                persist_state="session")
    chosen = st.multiselect("Only these classes", spec.classes, key=f"{key}.classes", help=ABOUT["only_classes"].help,
                            placeholder="all classes", persist_state="session")
    shares = {name: percent(name, key, lowest, start) for name, lowest, start in (
        ("fraction", 1, 100), ("imbalance", 1, 100), ("label_noise", 0, 0))}
    seed = st.number_input("Seed", 0, 2**31 - 1, 0, key=f"{key}.seed", persist_state="session",
                           help="Decides which images are held back, taken and given a wrong label. Same seed, same ones.")
    varied = {"variations": 0} if join and is_own(data.name) else {}  # beside others a class's drawings need no copies
    return DataConfig.model_validate(first.model_dump() | varied | shares | {
        "join": join, "join_times": times, "only_classes": chosen, "split_seed": seed})


def percent(name: str, key: str, lowest: int, start: int) -> float:
    """A field from 0 to 1 as a slider in per cent."""
    return st.slider(f"{ABOUT[name].label} (%)", lowest, 100, start, key=f"{key}.{name}", help=ABOUT[name].help,
                     persist_state="session") / 100


def results(mixed: Dataset, whole: Dataset, wrong: Tensor) -> None:
    """How many images of each class each split has, beside what there was."""
    counts, before = class_balance(mixed), class_balance(whole)["train"]
    metrics_row({
        "Training images": (f"{len(mixed.train):,}", f"Of {len(whole.train):,} before any were left out; repeated and varied "
                            "images count each time."),
        "Validation images": (f"{len(mixed.validation):,}", None),
        "Test images": (f"{len(mixed.test):,}", None),
        "Wrong training labels": (f"{int(wrong.sum()):,}", "Put there by the label noise."),
    })
    groups = {"Training, all": before, **{SPLITS[name]: values for name, values in counts.items()}}
    figure = grouped_counts(mixed.classes, groups)
    st.plotly_chart(figure, key="explore.combine.counts", config={"displayModeBar": False},
                    alt=in_words(figure, "Images of each class by where they are from"))
    fewest, most = min(counts["train"]), max(counts["train"])
    st.caption("Counted by the labels that the network is told. "
               + (f"The largest class has {most / fewest:.1f} times as many training images as the smallest." if fewest else
                  "A class has no training images at all."))


def contact_sheet(mixed: Dataset, honest: Dataset, wrong: Tensor) -> None:
    """Some training images with the labels they are given; wrong ones are marked."""
    st.header("Some training images, with their labels", anchor=False)
    seed = st.number_input("Other images (seed)", 1, 1000, 1, key="explore.combine.sheet", width=160, persist_state="session")
    only = bool(wrong.any()) and st.toggle("Only wrong labels", key="explore.combine.wrong", persist_state="session")
    found = find_images(mixed.train, None, seed)
    shown = (found[wrong[found]] if only else found)[:SHOWN]
    images, labels = mixed.train.take(shown)
    truth = honest.train.labels[honest.train.rows[shown]]
    marked = wrong[shown].tolist()
    captions = [f"{mixed.classes[true]} → {mixed.classes[said]}" if bad else mixed.classes[said]
                for true, said, bad in zip(truth.tolist(), labels.tolist(), marked, strict=True)]
    picture_grid(images, "explore.combine.sheet.grid", "Training images with their labels", captions, marked=marked, smallest=64,
                 pick=False)
    total = len(torch.as_tensor(shown))
    st.caption(f"{total} of {len(mixed.train):,} training images, at random. Framed in red: the label is wrong; "
               "true → what the network is told.")
