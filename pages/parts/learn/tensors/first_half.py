"""The lab Tensors, first half: making tensors, taking parts of them, and expressions of the reader's own."""

import streamlit as st
import torch

from core.figures.grids import cell_grid, number, tensor_grid
from core.figures.in_words import in_words
from core.labs.expressions import MAX_TEXT, evaluate, evaluate_index, lab_variables
from core.labs.messages import ExpressionError
from core.labs.tensor_code import creation_code, expression_code, index_code
from core.labs.tensors import CREATIONS, DTYPES, attributes, create
from pages.parts.learn.lab import covered, predict, show_code, tried
from pages.parts.learn.questions import TENSORS
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.address import start_with
from pages.parts.widgets.metrics import metrics_row

PATH = "pages/learn_tensors.py"
STILL = {"displayModeBar": False}  # pictures to look at, not to zoom
INDEX_EXAMPLES = ["0", "-1", ":, 1", "1:, ::2", "..., -1", "[0, 2]", "x > 3", "(x > 3) & (x % 2 == 0)"]
EXPRESSIONS = ["x[:, 1:] * 2", "a @ b", "x + torch.tensor([0, 10, 20, 30])", "torch.cat([a, b.T], dim=0)",
               "x.float().softmax(dim=1)", "torch.where(x > 5, x, 0)", "torch.rand(2, 3)", "torch.cat([x] * 3, dim=1)",
               "torch.add(a, v, out=a)", "a.t_()", "x.dtype", "x.to('cpu').device", "a @ x"]


def grid(figure, key: str) -> None:
    """A grid of cells; one wider than a phone is stretched to the column instead."""
    wide = figure.layout.width > 330
    st.plotly_chart(figure, width="stretch" if wide else "content", key=key, config=STILL, alt=in_words(figure, "A tensor"))


def shape_text(shape: tuple[int, ...]) -> str:
    """As PyTorch writes it: (3, 4), (3,), ()."""
    return str(tuple(shape))


def creating() -> None:
    """Make a tensor; its attributes and how it lies in memory."""
    predict(PATH, TENSORS["create"])
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        how = st.selectbox("Make it", list(CREATIONS), format_func=CREATIONS.__getitem__, key="tensors.how",
                           bind="query-params", on_change=tried,
                           args=(PATH,))
        rows = st.slider("Rows", 1, 6, 2, key="tensors.rows", bind="query-params")
        columns = st.slider("Columns", 1, 6, 3, key="tensors.columns", bind="query-params")
        dtype = st.selectbox("dtype", DTYPES, key="tensors.dtype",
                             bind="query-params", help="The kind of number. All elements have the same.")
        seed = st.number_input("Seed", 0, 9999, 0, key="tensors.seed",
                               bind="query-params", help="The same seed gives the same random numbers.") \
            if how == "random" else 0
        transposed = st.toggle("Transpose it (.T)", key="tensors.transposed", bind="query-params")
    tensor = create(how, rows, columns, dtype, int(seed))
    tensor = tensor.T if transposed else tensor
    about = attributes(tensor)
    with picture:
        grid(tensor_grid(tensor), "tensors.create_grid")
        metrics_row({"Shape": (shape_text(about.shape), "How many elements along each dimension."),
                     "dtype": (about.dtype, "The kind of number, and how many bytes it takes."),
                     "Device": (about.device, "Where the numbers are. cuda would be a GPU's memory."),
                     "Strides": (shape_text(about.strides), "Elements to go on in memory for one step down, and for one "
                                 "step right."),
                     "Memory": (f"{about.elements * about.element_bytes} B", f"{about.elements} elements of "
                                                                             f"{about.element_bytes} B."),
                     "Contiguous": ("yes" if about.contiguous else "no", "Whether reading row by row reads memory from start to "
                                                                         "end.")})
        st.caption("Memory is one long row. The strides say how to find an element in it; transposing swaps them and moves "
                   "nothing.")
        grid(cell_grid([[number(value) for value in about.memory[:12]]], rows=["memory"],
                       columns=[str(i) for i in range(min(12, len(about.memory)))]), "tensors.memory_grid")
        if about.elements > 12:
            st.caption(f"The first 12 of {about.elements} elements.")
    show_code(creation_code(how, rows, columns, dtype, int(seed), transposed))


def indexing() -> None:
    """Which cells an index takes."""
    seen = predict(PATH, TENSORS["index"])
    st.pills("Examples", INDEX_EXAMPLES, key="tensors.index_example", on_change=_take_example,
             args=("tensors.index_example", "tensors.index"))
    start_with("tensors.index", "1:, ::2")
    text = st.text_input("What stands between x[ and ]", key="tensors.index",
                         bind="query-params", max_chars=MAX_TEXT, on_change=tried, args=(PATH,),
                         help="Positions count from 0, negative ones from the end. start:stop:step leaves stop out. A comparison "
                              "makes a mask, a list takes those positions.")
    if not seen:
        covered()
        return
    x = lab_variables()["x"]
    try:
        selection = evaluate_index(text, x)
    except ExpressionError as error:
        st.warning(as_text(str(error)), icon=":material/help:")
        grid(tensor_grid(x), "tensors.index_grid")
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**x**, with what is taken")
        grid(tensor_grid(x, selection.taken), "tensors.index_grid")
    with right:
        st.markdown(f"**Result**, shape {shape_text(selection.result.shape)}")
        result_picture(selection.result, "tensors.index_result")
    show_code(index_code(text.strip().removeprefix("x[").removesuffix("]") if text.strip().startswith("x[") else text.strip()))


def expressions() -> None:
    """A tensor expression of the reader's own."""
    names = lab_variables()
    st.markdown("Type an expression with these tensors and most of what torch can do with them: "
                + ", ".join(f"`{name}` {shape_text(value.shape)}" for name, value in names.items()) + ".")
    st.pills("Examples", EXPRESSIONS, key="tensors.expression_example", on_change=_take_example,
             args=("tensors.expression_example", "tensors.expression"))
    start_with("tensors.expression", EXPRESSIONS[0])
    text = st.text_input("Expression", key="tensors.expression",
                         bind="query-params", max_chars=MAX_TEXT, on_change=tried, args=(PATH,))
    try:
        result = evaluate(text, names)
    except ExpressionError as error:
        st.warning(as_text(str(error)), icon=":material/help:")
    else:
        expression_result(result)
        show_code(expression_code(text.strip()))
    with st.expander("The tensors", icon=":material/grid_on:"), st.container(horizontal=True, gap="large"):
        for name, value in names.items():
            with st.container(width="content"):
                st.markdown(f"**{name}**, {str(value.dtype).removeprefix('torch.')}")
                grid(tensor_grid(value), f"tensors.variable_{name}")


def expression_result(result: torch.Tensor | torch.dtype | torch.device) -> None:
    """A tensor's shape, dtype and numbers; or what the expression says of a tensor."""
    if isinstance(result, torch.Tensor):
        about = attributes(result)
        st.markdown(f"**Result**, shape {shape_text(about.shape)}, {about.dtype}")
        result_picture(result, "tensors.expression_grid")
    else:
        kind = "type of each number" if isinstance(result, torch.dtype) else "device whose memory holds the numbers"
        st.markdown(f"**Result**: `{result}`, the {kind}.")


def result_picture(result: torch.Tensor, key: str) -> None:
    """Up to two dimensions as a grid, more as PyTorch prints them."""
    if result.numel() == 0:
        st.caption("It is empty: no element fits.")
    elif result.dim() <= 2:
        grid(tensor_grid(result), key)
        if max(result.shape, default=1) > 24:
            st.caption("The first 24 rows and columns.")
    else:
        st.code(str(result), language=None)


def _take_example(example: str, target: str) -> None:
    if st.session_state[example] is not None:
        st.session_state[target] = st.session_state[example]
        tried(PATH)
