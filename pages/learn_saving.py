"""Save and load: what is in a file of weights, and what can go wrong on the way back?"""

from core.process import configure

configure("server")

import pyarrow as pa
import streamlit as st

from core.figures.in_words import in_words
from core.figures.weights import answers_figure
from core.labs.saving import (
    MISFITS,
    SavedFile,
    TensorRow,
    WeightsRefused,
    forget_eval,
    misfit,
    network,
    read_weights,
    refused_pickle,
    saved_files,
    saving_code,
    state_rows,
)
from pages.parts.learn.lab import Next, covered, open_lab, predict, show_code, tried, try_next
from pages.parts.learn.questions import SAVING
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.table import draw_table, rows_table
from pages.parts.widgets.uploads import weights_turn

PATH = "pages/learn_saving.py"
LIMIT = 50  # MB


def table(rows: list[TensorRow]) -> pa.Table:
    """Tensors as people read them."""
    return rows_table([{
        "Name": row.name, "Shape": "×".join(map(str, row.shape)) or "one number", "Format": row.dtype,
        "First values": ", ".join(f"{value:.4g}" for value in row.first), "Bytes": row.size} for row in rows])


def show_table(rows: list[TensorRow], key: str) -> None:
    draw_table(table(rows), hide_index=True, key=key, height="content" if len(rows) <= 20 else 720,
               column_config={"Bytes": st.column_config.NumberColumn(format="localized")})


def state() -> None:
    """What a state_dict is."""
    st.header("What is worth saving: the state_dict")
    rows = state_rows(network())
    st.markdown("A network of Linear(4, 8), BatchNorm1d(8), ReLU, Dropout and Linear(8, 3). Its state_dict is a dictionary from "
                "names to tensors: all that training has changed. Names come from the place in the network; ReLU and Dropout "
                "(places 2 and 3) have nothing to save.")
    show_table(rows, "saving.state")
    st.caption(f"{sum(row.size for row in rows):,} bytes of numbers. The running_ rows are batch norm's notes from training, no "
               "weights: forget them, and the network answers differently. num_batches_tracked only counts batches; in eval mode "
               "it changes no answer.")


def files() -> None:
    """The same network in three files."""
    st.header("Three ways to save it")
    saved = saved_files(network())
    seen = predict(PATH, SAVING["largest"])
    if not st.toggle("Save it three ways", key="saving.three", on_change=tried, args=(PATH,), bind="query-params"):
        return
    if not seen:
        covered()
        return
    draw_table(rows_table([{"Way": file.title, "File (bytes)": len(file.content), "How": file.code,
                            "Asks Python for": f"{len(file.names)} names" if file.names else "nothing"}
                           for file in saved.values()]), hide_index=True, height="content", key="saving.files")
    name = st.selectbox("Look inside", list(saved), format_func=lambda key: saved[key].title, key="saving.inside",
                        bind="query-params")
    inside(saved[name])


def inside(file: SavedFile) -> None:
    """Entries of one file, and what its pickle asks for."""
    entries, asks = st.columns([1.4, 1], gap="large")
    with entries:
        draw_table(rows_table([{"Entry": entry.name, "Bytes": entry.size, "What it is": entry.about}
                               for entry in file.entries]), hide_index=True, height="content", key="saving.entries")
    with asks:
        if file.header:
            st.markdown("The header is text that anyone can read; there is nothing in the format that could run.")
            st.code(file.header, language="json", height=320)
        else:
            st.markdown("A .pth file is a zip archive. Its pickle is a small program that asks Python for these names:")
            st.code("\n".join(file.names), language=None)


def refusal() -> None:
    """A hostile file, harmless here."""
    st.header("A file that wants to run code")
    seen = predict(PATH, SAVING["pickle"])
    if not st.toggle("Load the file with weights_only=True", key="saving.hostile", on_change=tried, args=(PATH,),
                     bind="query-params"):
        return
    if not seen:
        covered()
        return
    result = refused_pickle()
    st.markdown("The file really exists in this page's memory, and nothing in it has run. What it asks Python for:")
    st.code("\n".join(result.names), language=None)
    st.markdown("What PyTorch says. Its advice (1), weights_only=False, is what such a file hopes for: **don't**.")
    st.code(result.message, language=None, wrap_lines=True, height=260)
    st.markdown(f"What this page would say of an upload: {result.ours}")


def misfits() -> None:
    """load_state_dict's messages, explained."""
    st.header("Weights that don't fit")
    kind = st.segmented_control("What is different", list(MISFITS), format_func=lambda key: MISFITS[key].title, default="missing",
                                key="saving.misfit", required=True, bind="query-params")
    entry = MISFITS[kind]
    st.code(misfit(kind), language=None, wrap_lines=True)
    st.markdown(entry.about)
    st.markdown("**What helps.** " + (entry.fix if kind != "prefix" else "Take it off again:"))
    if kind == "prefix":
        st.code(entry.fix, language="python")


def forgotten() -> str:
    """The same input, different answers; the lab's code for the settings shown."""
    st.header("eval() forgotten")
    seen = predict(PATH, SAVING["eval"])
    left, right = st.columns([1, 2.4], gap="large")
    with left:
        evaluating = st.toggle("model.eval()", True, key="saving.evaluating", bind="query-params")
        dropout = st.slider("Dropout", 0.0, 0.9, 0.5, 0.1, key="saving.dropout", bind="query-params",
                            help="Share of units that are switched off, in training mode.")
        norm = st.toggle("Batch norm", True, key="saving.norm", bind="query-params")
    result = forget_eval(not evaluating, dropout, norm)
    if not seen:
        with right:
            covered(420)
        return saving_code(not evaluating, dropout, norm)
    with right:
        figure = answers_figure(result.answers.tolist(), ["class 0", "class 1", "class 2"])
        st.plotly_chart(figure, key="saving.answers",
                        width="stretch", alt=in_words(figure, "Five answers to one example"))
    same = "All five answers are the same." if result.spread == 0 else (
        f"The same example's probability differs by up to {100 * result.spread:.1f} percentage points.")
    moved = (f" And asking has changed the network: batch norm's running mean has moved by {result.drift:.3f}, without any "
             "training.") if result.drift else ""
    st.markdown(f"{same}{moved}")
    st.caption("Each time the example is in a batch with seven other random ones, as it would be in practice. A batch of one "
               "makes batch norm in training mode stop with an error.")
    return saving_code(not evaluating, dropout, norm)


def own_file() -> None:
    """A person's own weights, checked and listed."""
    st.header("Look into a file of your own")
    file = st.file_uploader(f"A .pth, .pt or .safetensors file, {LIMIT} MB at most", type=["pth", "pt", "safetensors"],
                            max_upload_size=LIMIT, key="saving.upload",
                            help="It is checked and listed here, never run, and forgotten when you leave.")
    if file is None:
        return
    try:
        with weights_turn():
            report = read_weights(file.getvalue(), file.name)
    except WeightsRefused as error:
        st.error(as_text(str(error)), icon=":material/gpp_bad:")
        return
    many = "tensor" if len(report.rows) == 1 else "tensors"
    st.markdown(f"{report.kind}: {len(report.rows):,} {many} with {report.numbers:,} values in {report.size:,} bytes. "
                f"All values are finite. {report.note}")
    show_table(report.rows,
        "saving.own")


open_lab(PATH, "Look inside a saved network and find out what is in the file and what is not. Then see what can go wrong on "
    "the "
         "way back: a hostile file, weights that don't fit, a forgotten eval().")
state()
files()
refusal()
misfits()
code = forgotten()
own_file()
show_code(code)
try_next([
    Next("Train a network, download its weights and look into the file here:", "pages/compare_runs.py", "Compare runs",
         ":material/leaderboard:"),
    Next("Which of a network's layers have most of the numbers in its state_dict?", "pages/build_model.py", "Build model",
         ":material/account_tree:"),
], "- Switch eval() off and set dropout to 0: are the answers equal now? And without batch norm?\n")
