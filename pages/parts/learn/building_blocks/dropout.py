"""The lab's part on dropout: one draw, why what stays is enlarged, and many draws."""

import streamlit as st

from core.figures.grids import cell_grid, number
from core.figures.in_words import in_words
from core.labs.dropout import DRAWS, averages, draw, dropout_code
from pages.parts.learn.lab import Next, covered, predict, show_code, tried, try_next
from pages.parts.learn.questions import BLOCKS
from pages.parts.widgets.metrics import metrics_row

PATH = "pages/learn_building_blocks.py"
STILL = {"displayModeBar": False}


def show() -> None:
    """The whole part."""
    seen = predict(PATH, BLOCKS["dropout"])
    with st.container(horizontal=True, gap="medium"):
        p = st.slider("p: share that is dropped", 0.0, 0.9, 0.5, 0.1, key="blocks.dropout", bind="query-params", width=260,
                      on_change=tried, args=(PATH,), help="nn.Dropout(p): each number is set to 0 with this probability.")
        seed = st.number_input("Seed", 0, 9999, 0, key="blocks.dropout_seed", bind="query-params", width=150,
                               help="Start of the random numbers: another seed is another draw.")
    if not seen:
        covered()
        return
    one, many = draw(p, int(seed)), averages(p, int(seed))
    rows = {"in": one.before, "training": one.after, "evaluation": one.evaluated}
    marks = [[0] * len(one.before), [1 if kept else 0 for kept in one.kept.tolist()], [0] * len(one.before)]
    figure = cell_grid([[number(value) for value in values.tolist()] for values in rows.values()], marks, list(rows))
    st.plotly_chart(figure,
                    key="blocks.dropout_grid", config=STILL,
                    alt=in_words(figure, "Numbers that go in, that come out in training, and in evaluation"))
    kept = int(one.kept.sum())
    st.markdown(f"In training {kept} of {len(one.before)} numbers stay, each times **1 / (1 − p) = {one.factor:.4g}**; the "
                "others are 0. In evaluation (`model.eval()`) nothing is dropped and nothing is scaled.")
    metrics_row({
        "Mean of the row": (f"{many.before:.3f}", "Of the eight numbers that come in."),
        "Mean after dropout": (f"{many.scaled:.3f}", f"Over {DRAWS:,} draws, the kept numbers times 1 / (1 − p)."),
        "Without the factor": (f"{many.plain:.3f}", f"Over {DRAWS:,} draws, the kept numbers as they are: about (1 − p) of it."),
    })
    st.caption("With the factor the mean stays what it was, but for chance, so the next layer meets numbers of the same size in "
               "training and in evaluation.")
    show_code(dropout_code(p, int(seed)))
    try_next([
        Next("Put dropout before the last layer of a network and compare training and validation accuracy on",
             "pages/train_model.py", "Train model", ":material/model_training:"),
        Next("What happens where eval() is forgotten and dropout stays on:", "pages/learn_saving.py", "Save and load",
             ":material/save:"),
    ])
