"""The lab Tensors, second half: joining, products, broadcasting, reductions, in-place operations and NumPy."""

import streamlit as st

from core.figures.grids import cell_grid, number, tensor_grid
from core.labs.in_place import CASES, run_case
from core.labs.messages import ExpressionError
from core.labs.tensor_code import broadcast_code, in_place_code, join_code, product_code, reduction_code, sharing_code
from core.labs.tensors import (
    JOINS,
    LINKS,
    PRODUCTS,
    REDUCTIONS,
    add_shapes,
    broadcast_steps,
    counting,
    join,
    join_operands,
    product_cells,
    product_operands,
    read_shape,
    reduce,
    share,
    take_item,
)
from pages.parts.learn.lab import covered, predict, refusal, show_code, tried
from pages.parts.learn.questions import TENSORS
from pages.parts.learn.tensors.first_half import PATH, grid, shape_text
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.metrics import metrics_row


def joining() -> None:
    """Concatenate along a dimension, or stack along a new one."""
    seen = predict(PATH, TENSORS["join"])
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        how = st.radio("Join them", list(JOINS), format_func=JOINS.__getitem__, key="tensors.join",
                       bind="query-params", on_change=tried, args=(PATH,))
        dim = st.segmented_control("dim", [0, 1, 2] if how == "stack" else [0, 1], default=0, key="tensors.join_dim",
                                   bind="query-params",
                                   required=True)
        rows = st.slider("Rows of b", 1, 4, 2, key="tensors.join_rows", bind="query-params")
        columns = st.slider("Columns of b", 1, 4, 3, key="tensors.join_columns", bind="query-params")
    a, b = join_operands(rows, columns)
    outcome = join(how, [a, b], dim)
    with picture:
        with st.container(horizontal=True):
            for name, tensor, mark in (("a", a, 1), ("b", b, 2)):
                with st.container(width="content"):
                    st.markdown(f"**{name}** {shape_text(tensor.shape)}")
                    grid(tensor_grid(tensor, tensor * 0 + mark), f"tensors.join_{name}")
        if not seen:
            covered(240)
        elif outcome.value is None:
            refusal(outcome.raw)
            st.markdown(outcome.error)
        else:
            st.markdown(f"**Result** {shape_text(outcome.value.shape)}")
            slices = [outcome.value] if outcome.value.dim() == 2 else list(outcome.value)
            for index, part in enumerate(slices):
                if len(slices) > 1:
                    st.caption(f"result[{index}]")
                grid(tensor_grid(part, 1 + (part >= 10).int()), f"tensors.join_result_{index}")
    show_code(join_code(how, rows, columns, dim, outcome.value is not None))


def products() -> None:
    """Each element of a product, with the sum it is."""
    seen = predict(PATH, TENSORS["product"])
    how = st.segmented_control("Product", list(PRODUCTS), format_func=PRODUCTS.__getitem__, default="matrix",
                               key="tensors.product", bind="query-params", required=True)
    if not seen:
        covered()
        return
    a, b = product_operands(how)
    cells = product_cells(how, a, b)
    step = st.slider("Step", 1, len(cells), 1, key=f"tensors.product_step_{how}",
                     bind="query-params", on_change=tried, args=(PATH,))
    cell = cells[step - 1]
    done = {(each.row, each.column): each.value for each in cells[:step]}
    matrix = how == "matrix"
    with st.container(horizontal=True, gap="medium"):
        for name, tensor in (("a", a), ("b", b)):
            marks = tensor.int() * 0
            if not matrix:
                marks[cell.row, cell.column] = 1 if name == "a" else 2
            elif name == "a":
                marks[cell.row] = 1
            else:
                marks[:, cell.column] = 2
            with st.container(width="content"):
                st.markdown(f"**{name}** {shape_text(tensor.shape)}")
                grid(tensor_grid(tensor, marks), f"tensors.product_{name}_{how}")
        shape = (a @ b if matrix else a * b).shape
        with st.container(width="content"):
            st.markdown(f"**{'a @ b' if matrix else 'a * b'}** {shape_text(shape)}")
            grid(cell_grid([[number(done[r, c]) if (r, c) in done else "" for c in range(shape[1])] for r in range(shape[0])],
                           [[3 * ((r, c) == (cell.row, cell.column)) for c in range(shape[1])] for r in range(shape[0])]),
                 f"tensors.product_result_{how}")
    st.markdown(f"result[{cell.row}, {cell.column}] = **{cell.text}**")
    show_code(product_code(how))


def broadcasting() -> None:
    """How two shapes become one, or don't."""
    seen = predict(PATH, TENSORS["broadcast"])
    left, right = st.columns(2)
    first = left.text_input("Shape of a", "3, 1", key="tensors.shape_a",
                            bind="query-params", max_chars=40, on_change=tried, args=(PATH,))
    second = right.text_input("Shape of b", "4", key="tensors.shape_b",
                              bind="query-params", max_chars=40, on_change=tried, args=(PATH,))
    if not seen:
        covered(480)
        return
    try:
        a, b = read_shape(first), read_shape(second)
        steps, outcome = broadcast_steps(a, b), add_shapes(a, b)
    except ExpressionError as error:
        st.warning(as_text(str(error)), icon=":material/help:")
        return
    number_of = st.slider("Step", 1, len(steps), len(steps), key=f"tensors.broadcast_step_{len(steps)}",
                          bind="query-params") if len(steps) > 1 else 1
    step = steps[number_of - 1]
    st.markdown(f"**{step.title}.** {step.text}")
    if step.a:
        _alignment(step, a, b)
    if number_of == len(steps):
        if outcome.value is None:
            refusal(outcome.raw)
        else:
            _sum(a, b, outcome.value)
    show_code(broadcast_code(a, b, outcome.value is not None))


def _alignment(step, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """The shapes below each other, coloured: stretched sizes light, the sizes that don't fit dark."""
    texts, marks = [], []
    for name, sizes, original in (("a", step.a, a), ("b", step.b, b), ("result", step.result, None)):
        before = [None] * (len(sizes) - len(original)) + list(original) if original is not None else sizes
        texts.append(["" if size is None else str(size) for size in sizes])
        marks.append([4 if step.fails and dim == step.changed and name != "result" else
                      3 if sizes[dim] != before[dim] else
                      (1 if name == "a" else 2 if name == "b" else 0) if dim == step.changed else 0 for dim in range(len(sizes))])
    width = len(step.a)
    grid(cell_grid(texts, marks, ["a", "b", "result"], [f"dim {dim - width}" for dim in range(width)]), "tensors.alignment")


def _sum(a: tuple[int, ...], b: tuple[int, ...], total) -> None:
    """The stretched tensors and their sum, where they can be drawn."""
    st.markdown(f"**a + b** has shape {shape_text(total.shape)}.")
    if total.dim() > 2 or not 0 < total.numel() <= 64:
        return
    with st.container(horizontal=True, gap="medium"):
        for name, tensor, mark in (("a", counting(a), 1), ("b", 10 * counting(b), 2)):
            stretched = tensor.expand(total.shape)
            marks = counting(tuple(total.shape)) * 0 + 3
            origin = tuple(slice(0, size) for size in ((1,) * (total.dim() - tensor.dim()) + tuple(tensor.shape)))
            marks[origin] = mark
            with st.container(width="content"):
                st.caption(f"{name}, stretched")
                grid(tensor_grid(stretched, marks), f"tensors.stretched_{name}")
        with st.container(width="content"):
            st.caption("a + b")
            grid(tensor_grid(total), "tensors.broadcast_sum")
    st.caption("Light cells are repeated values. They take no memory: the stride along that dimension is 0.")


def reductions() -> None:
    """Many numbers to few, or one; and .item()."""
    seen = predict(PATH, TENSORS["reduce"])
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        how = st.selectbox("Reduction", REDUCTIONS, key="tensors.reduction", bind="query-params", on_change=tried, args=(PATH,))
        along = st.radio("Over", ["all elements", "dim=0", "dim=1"], key="tensors.reduce_dim", bind="query-params")
        dim = None if along == "all elements" else int(along[-1])
        keepdim = st.toggle("keepdim=True", key="tensors.keepdim", bind="query-params", disabled=dim is None,
                            help="Keep the dimension with size 1, so that the result can be broadcast against x.")
    x = counting((3, 4)).float() + 1
    result = reduce(x, how, dim, keepdim)
    with picture:
        st.markdown(f"**x** {shape_text(x.shape)}")
        grid(tensor_grid(x, 1 + counting((3, 4)) // 4 % 2 if dim == 1 else 1 + counting((3, 4)) % 2 if dim == 0 else x * 0 + 1),
             "tensors.reduce_x")
        if not seen:
            covered(200)
            return
        call = f"x.{how}({'' if dim is None else f'dim={dim}' + (', keepdim=True' if keepdim else '')})"
        st.markdown(f"**{call}** has shape {shape_text(result.shape)}. Cells of one colour that touch become one number."
                    if dim is not None else f"**{call}** has shape (): a single number, still a tensor.")
        grid(tensor_grid(result), "tensors.reduce_result")
        outcome = take_item(result)
        if outcome.value is not None:
            st.markdown(f"`.item()` takes it out as a Python number: **{outcome.value.item():g}**")
        else:
            st.markdown(f"`.item()` does not work on it. {outcome.error}")
            refusal(outcome.raw)
    show_code(reduction_code(how, dim, keepdim))


def in_place() -> None:
    """What a trailing underscore does, and when gradients can no longer be calculated."""
    seen = predict(PATH, TENSORS["in_place"])
    name = st.radio("Try", list(CASES), format_func=lambda key: CASES[key].title, key="tensors.in_place",
                    bind="query-params", on_change=tried,
                    args=(PATH,))
    if not seen:
        covered()
        return
    happened = run_case(name)
    with st.container(horizontal=True, gap="large"):
        for title, values in (("Before", happened.before), ("After", happened.after)):
            with st.container(width="content"):
                st.markdown(f"**{title}**")
                changed = [[int(title == "After" and now != then) for now, then in zip(values, happened.before, strict=True)]]
                grid(cell_grid([[number(value) for value in values]], changed, [""]), f"tensors.in_place_{title}")
    metrics_row({"Memory": ("the same" if happened.same_memory else "new", "Whether the result lies where the tensor lay."),
                 "Version": ("unknown" if happened.version is None else str(happened.version),
                             "How often the tensor was changed in place, as autograd counts."),
                 "w.grad": ("none" if happened.gradient is None else ", ".join(map(number, happened.gradient)),
                            "The gradient that came out.")})
    if happened.error:
        refusal(happened.error)
    st.markdown(CASES[name].why)
    show_code(in_place_code(name))


def numpy_memory() -> None:
    """One memory, two names."""
    seen = predict(PATH, TENSORS["numpy"])
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        link = st.radio("Connect them by", list(LINKS), format_func=lambda key: f"`{LINKS[key]}`", key="tensors.link",
                        bind="query-params")
        side = st.radio("Change", ["array", "tensor"], format_func={"array": "the array n", "tensor": "the tensor t"}.get,
                        key="tensors.side", bind="query-params", on_change=tried, args=(PATH,))
        position = st.slider("Position", 0, 4, 2, key="tensors.position", bind="query-params")
        value = st.number_input("New value", -1000.0, 1000.0, 7.0, 1.0, key="tensors.value", bind="query-params", format="%g")
    now = share(link, side, position, value)
    with picture:
        if not seen:
            covered()
            return
        for title, before, after in (("t, the tensor", now.tensor_before, now.tensor_after),
                                     ("n, the array", now.array_before, now.array_after)):
            st.markdown(f"**{title}**")
            marks = [[0] * 5, [int(old != new) for old, new in zip(before, after, strict=True)]]
            grid(cell_grid([[number(each) for each in before], [number(each) for each in after]], marks, ["before", "after"]),
                 f"tensors.share_{title[0]}")
        st.markdown("Both have the **same memory**: a change on one side is a change on the other." if now.same_memory
                    else "`torch.tensor` **copied** the numbers: each side has its own.")
    show_code(sharing_code(link, side, position, value))


