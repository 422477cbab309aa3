"""Explore data, Batches: how an epoch is cut into batches, and what shuffling is for."""

import streamlit as st

from core.data import Dataset
from core.data.batch_plan import ORDERS, BatchPlan, plan, shares, visiting_order
from core.export.snippets import loader_code
from core.figures.explore import order_chart
from core.figures.in_words import in_words
from pages.parts.explore.sample import open_sample, titles_of
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.pictures import picture_grid
from pages.parts.widgets.table import columns_table, draw_table

SHOWN = 128  # pictures and one-hot rows of a batch
STILL = {"displayModeBar": False}
ORDER_HELP = {
    "shuffled": "A new order each epoch: every batch is a small mix of all classes. What DataLoader(shuffle=True) does.",
    "as stored": "The order of the file, the same each epoch. Harmless only where the file itself is mixed, as MNIST's is.",
    "sorted by label": "As a folder is read class by class: the network sees only one class for a long time, forgets the "
                       "others, and "
                       "each class in turn pulls all answers its way.",
}


def section(server: Services, data: Dataset) -> None:
    """Controls, counts, one batch, the order of labels."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        size, order, drop_last, seed = controls(data)
        cut = plan(len(data.train), size, drop_last)
        counts(cut)
    with right:
        st.markdown("**The same with a DataLoader**")
        st.code(loader_code(len(data.train), data.input_shape, size, order == "shuffled", drop_last), language="python",
                wrap_lines=True)
    visited = visiting_order(data.train.labels[data.train.rows], order, seed)
    one_batch(data, cut, visited)
    label_order(data, cut, order, seed)


def controls(data: Dataset) -> tuple[int, str, bool, int]:
    """Batch size, order, drop_last and seed."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        size = st.number_input("Batch size", 1, len(data.train), min(64, len(data.train)), width=150,
                               key=f"explore.batch.size.{data.name}", bind="query-params",
                               help="Images that are looked at together before the weights change once.")
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, width=150, key="explore.batch.seed", bind="query-params",
                               help="Decides the shuffled order; another seed is another epoch.")
    order = st.segmented_control("Order", ORDERS, default="shuffled", required=True, key="explore.batch.order",
                                 bind="query-params", format_func=str.capitalize)
    st.caption(ORDER_HELP[order])
    drop_last = st.toggle("Leave out the last, smaller batch (drop_last)", key="explore.batch.drop_last", bind="query-params",
                          help="Keeps all batches equally large. Batch normalisation after a linear layer needs that where one "
                               "image would be left over: in training it can't work with one number for each unit.")
    return size, order, drop_last, seed


def counts(cut: BatchPlan) -> None:
    """How many batches, and what is special about the last."""
    last = cut.size(cut.batches - 1)
    metrics_row({
        "Batches an epoch": (f"{cut.batches:,}", "As many times the weights change in one epoch."),
        "Images in the last": (f"{last:,}", None),
        "Left out": (f"{cut.dropped:,}", "Images that no batch of this epoch has."),
    })


def one_batch(data: Dataset, cut: BatchPlan, visited) -> None:
    """A batch as pictures, its labels counted and one-hot."""
    st.header("One batch", anchor=False)
    index = st.number_input(f"Batch (0 to {cut.batches - 1:,})", 0, cut.batches - 1, 0, width=200,
                            key=f"explore.batch.index.{data.name}.{cut.batches}")
    start = index * cut.batch_size
    positions = visited[start:start + cut.size(index)]
    images, labels = data.train.take(positions[:SHOWN])
    all_labels = data.train.labels[data.train.rows[positions]]
    picked = picture_grid(images, "explore.batch.grid", "Images of the batch", [data.classes[i] for i in labels.tolist()],
                          titles_of(data, "train", positions[:SHOWN]), smallest=56)
    channels, height, width = data.input_shape
    more = f" The first {SHOWN} are shown." if len(positions) > SHOWN else ""
    st.caption(f"images: ({len(positions)}, {channels}, {height}, {width}), labels: ({len(positions)},).{more}")
    counted = all_labels.bincount(minlength=len(data.classes)).tolist()
    st.markdown("**Images of each class in this batch:** " + ", ".join(
        f"{as_text(name)}: {count}" for name, count in zip(data.classes, counted, strict=True) if count))
    missing = [name for name, count in zip(data.classes, counted, strict=True) if not count]
    if missing:
        st.caption(f"Not in this batch: {as_text(', '.join(missing[:20]))}{' …' if len(missing) > 20 else ''}.")
    one_hot(data, labels.tolist())
    if picked is not None:
        open_sample(data, "train", int(positions[picked]))


def one_hot(data: Dataset, labels: list[int]) -> None:
    """Each label as a row of zeros with a single one."""
    with st.expander("The labels one-hot", icon=":material/table:"):
        st.markdown("One row for each image, one column for each class: 1 where the image belongs, 0 elsewhere. Cross-entropy "
                    "compares "
                    "this row with the network's probabilities. `torch.nn.functional.one_hot(labels)` makes it.")
        columns = {f"{i}: {name}" if name != str(i) else name: [int(label == i) for label in labels]
                   for i, name in enumerate(data.classes)}
        table = columns_table({"label": [data.classes[label] for label in labels]} | columns)
        draw_table(table, hide_index=True, height=320, key="explore.batch.one_hot")


def label_order(data: Dataset, cut: BatchPlan, order: str, seed: int) -> None:
    """The labels over the epoch, in the chosen order and shuffled."""
    st.header("Which labels come when", anchor=False)
    labels = data.train.labels[data.train.rows]
    orders: list[str] = [order, "shuffled", *(["sorted by label"] if order == "shuffled" else [])]
    for each in dict.fromkeys(orders):
        st.markdown(f"**{each.capitalize()}**")
        in_order = labels[visiting_order(labels, each, seed)]
        figure = order_chart(shares(in_order, len(data.classes)), data.classes, len(labels) / cut.batch_size)
        st.plotly_chart(figure,
                        key=f"explore.batch.order.{each}", config=STILL,
                        alt=in_words(figure, "Shares of classes, batch by batch"))
    st.caption("One epoch from left to right. Even bands: each batch is like the whole. Blocks: the network learns one class "
               "after "
               "the other and forgets.")
