"""Autograd: how does PyTorch find out which way to change every weight?"""

from core.process import configure

configure("server")

import streamlit as st

from core.figures.autograd_graph import graph_dot
from core.figures.grids import tensor_grid
from core.figures.in_words import in_words
from core.labs.autograd import (
    OUTPUTS,
    AutogradError,
    Pass,
    Switches,
    Values,
    accumulate,
    accumulate_code,
    as_typed,
    backward_twice,
    check,
    check_code,
    read_typed,
    run,
    start_values,
    step_code,
)
from pages.parts.learn.lab import Next, covered, open_lab, predict, refusal, show_code, tried, try_next
from pages.parts.learn.questions import AUTOGRAD
from pages.parts.shell import lesson
from pages.parts.shell.frame import is_dark
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

PATH = "pages/learn_autograd.py"
STILL = {"displayModeBar": False}
LONGEST = 2000  # characters of typed values
NEXT = [
    Next("Each training step is this backward pass and a small step against the gradient.", "pages/train_model.py",
         "Train a network",
         ":material/model_training:"),
    Next("Every parameter that the layer table counts gets a gradient like w and b here.", "pages/build_model.py",
         "Count parameters", ":material/account_tree:"),
    Next("In-place operations can destroy what the backward pass needs: topic “In place”.", "pages/learn_tensors.py", "Tensors",
         ":material/grid_on:"),
]


def editors() -> Values | None:
    """Fields in which every value can be changed; None, with a line that says why, where one can't be used."""
    start = start_values()
    first = {"autograd.inputs": as_typed([[x, *row] for x, row in zip(start.x, start.w, strict=True)]),
             "autograd.outputs": as_typed(list(zip(start.b, start.y, strict=True)))}
    for key, text in first.items():
        st.session_state.setdefault(key, text)
    with st.expander("Change any value", icon=":material/edit:"):
        left, right = st.columns(2)
        inputs = left.text_area("A line for each input: x, then its weight w to each output", key="autograd.inputs", height=160,
                                max_chars=LONGEST, on_change=tried, args=(PATH,), persist_state="session")
        outputs = right.text_area("A line for each output: bias b, then target y (0 to 1)", key="autograd.outputs", height=160,
                                  max_chars=LONGEST, on_change=tried, args=(PATH,), persist_state="session")
    try:
        return read_typed(inputs, outputs)
    except AutogradError as error:
        st.warning(as_text(str(error)), icon=":material/edit:")
        return None


def graph(passed: Pass, step: int, detach: str | None = None) -> None:
    reached = ", ".join(now.node for now in passed.steps[:step] if now.backward) or "nothing"
    st.graphviz_chart(graph_dot(passed, step, detach, dark=is_dark()), width="stretch", alt=(
        f"The calculation as a graph of {', '.join(passed.nodes)}; after step {step} of {len(passed.steps)} gradients have "
        f"reached {reached}."))


def grid(tensor, key: str) -> None:
    figure = tensor_grid(tensor)
    st.plotly_chart(figure, width="content", key=key, config=STILL, alt=in_words(figure, "A tensor"))


def step_by_step(values: Values) -> None:
    """Values forward, gradients backward, one node at a time."""
    seen = predict(PATH, AUTOGRAD["step"])
    want_x = st.toggle("The input's gradient too", key="autograd.want_x",
                       bind="query-params", help="x.requires_grad_(): how the loss changes "
                                                                               "with the input.")
    if not seen:
        covered(480)
        return
    passed = run(values, Switches(want_x=want_x))
    count = len(passed.steps)
    step = st.slider("Step", 0, count, 0, key=f"autograd.step_{count}", bind="query-params", on_change=tried, args=(PATH,),
                     help="The first four go forward, the others backward.")
    graph(passed, step)
    if step == 0:
        st.info("Move the slider: first the values go forward to the loss, then gradients come back from it.",
                icon=":material/swipe_right:")
    else:
        explain_step(passed, step)
    show_code(step_code(values, Switches(want_x=want_x)))


def explain_step(passed: Pass, step: int) -> None:
    """The step's formula, with numbers put in, and what came out."""
    now = passed.steps[step - 1]
    node = passed.nodes[now.node]
    st.markdown(f"**{'Backward' if now.backward else 'Forward'}, step {step} of {len(passed.steps)}. {now.title}**")
    st.latex(now.formula)
    st.code("\n".join(now.numbers), language=None, wrap_lines=True)
    st.markdown(f"**{'Gradient of the loss with respect to ' if now.backward else 'Value of '}{now.node}**")
    grid(node.gradient if now.backward else node.value, "autograd.node_grid")
    if node.made_by:
        st.caption(f"PyTorch keeps for it what the way back needs: its grad_fn is {node.made_by}.")


def accumulating(values: Values) -> None:
    """backward() adds to what is there."""
    seen = predict(PATH, AUTOGRAD["accumulate"])
    zero = st.toggle("zero_grad() before each backward()", key="autograd.zero", bind="query-params")
    with st.container(horizontal=True):
        if st.button("Forward and backward once more", type="primary", icon=":material/replay:", key="autograd.again",
                     on_click=tried,
                     args=(PATH,)):
            st.session_state["autograd.presses"] = min(20, st.session_state.get("autograd.presses", 1) + 1)
        if st.button("Start over", icon=":material/restart_alt:", key="autograd.restart"):
            st.session_state["autograd.presses"] = 1
    if not seen:
        covered()
        return
    presses = st.session_state.get("autograd.presses", 1)
    sums = accumulate(values, presses, zero)
    draw_table(rows_table([{
        "backward() number": i + 1, **{f"b.grad {j}": value for j, value in enumerate(grad.tolist(), 1)},
        "times the first": grad[0].item() / sums[0][0].item() if sums[0][0] else None} for i, grad in enumerate(sums)]),
               hide_index=True, key="autograd.presses_table", column_config={
                   **{f"b.grad {j}": st.column_config.NumberColumn(format="%.5f") for j in (1, 2, 3)},
                   "times the first": st.column_config.NumberColumn(format="%.2f×")})
    st.caption("At most 20 times here." if presses == 20 else "The loss is the same each time: nothing has changed w or b.")
    with st.expander("And twice backward() after one forward pass?", icon=":material/block:"):
        refusal(backward_twice(values))
        st.markdown("After the first backward() PyTorch has thrown the intermediate values away to save memory. Calculate "
                    "the loss anew, "
                    "or ask for `backward(retain_graph=True)`.")
    show_code(accumulate_code(values, presses, zero))


def switching_off(values: Values) -> None:
    """no_grad, detach and frozen parameters."""
    seen = predict(PATH, AUTOGRAD["off"])
    controls, picture = st.columns([1, 1.4], gap="large")
    with controls:
        no_grad = st.toggle("Forward pass inside torch.no_grad()", key="autograd.no_grad",
                            bind="query-params", on_change=tried, args=(PATH,))
        cut = st.segmented_control("detach()", ["nothing", "u", "z"], default="nothing", required=True, key="autograd.detach",
                                   bind="query-params",
                                   on_change=tried, args=(PATH,), help="The same values, but cut off from how they were made.")
        frozen = frozenset(name for name in ("w", "b") if st.toggle(
            f"Freeze {name}: {name}.requires_grad_(False)", key=f"autograd.freeze_{name}",
            bind="query-params", on_change=tried, args=(PATH,)))
        switches = Switches(no_grad, None if cut == "nothing" else cut, frozen)
        passed = run(values, switches)
    if not seen:
        with picture:
            covered(480)
        return
    with controls:
        metrics_row({"Loss": (f"{passed.nodes['loss'].value.item():.4f}", "The value is the same whatever is switched off."),
                     "w.grad": ("there" if passed.nodes["w"].gradient is not None else "none", None),
                     "b.grad": ("there" if passed.nodes["b"].gradient is not None else "none", None)})
        if passed.error:
            refusal(passed.error)
            st.markdown("No tensor on the way to the loss asks for a gradient, so there is nothing to go back to.")
    with picture:
        graph(passed, len(passed.steps), switches.detach)
        st.caption("Grey and dashed: PyTorch does not track it. Orange arrows: where gradients went.")
    draw_table(rows_table([{
        "Tensor": node.name, "requires_grad": node.requires_grad, "is_leaf": node.is_leaf, "grad_fn": node.made_by or "–",
        "Gradient arrived": node.gradient is not None} for node in passed.nodes.values()]), hide_index=True,
        key="autograd.nodes", column_config={
            "grad_fn": st.column_config.TextColumn(width="large")})
    show_code(step_code(values, switches))


def checking(values: Values) -> None:
    """The same gradients from nothing but the definition of a derivative."""
    st.markdown("A derivative says how much the loss moves when one value moves a little. So move each value by "
                "$h = 10^{-5}$ up and down, and divide:")
    st.latex(r"\frac{\partial\,\mathrm{loss}}{\partial v} \approx \frac{\mathrm{loss}(v + h) - \mathrm{loss}(v - h)}{2h}")
    result = check(values)
    rows = [{"Value": f"{name}[{', '.join(map(str, place))}]", "Autograd": exact, "Finite difference": near,
             "Gap": abs(exact - near)}
            for name in ("w", "b", "x") for place, exact, near in _entries(result.autograd[name], result.differences[name])]
    metrics_row({"Largest gap": (f"{result.largest_gap:.1e}", "Between autograd and finite differences, in float64."),
                 "Forward passes": (str(2 * len(rows)), "Two for each value. Autograd needs one forward and one backward pass "
                                                        "for all.")})
    number = st.column_config.NumberColumn(format="%.8f")
    draw_table(rows_table(rows), hide_index=True, key="autograd.check", height=320, column_config={
        "Autograd": number, "Finite difference": number, "Gap": st.column_config.NumberColumn(format="%.1e")})
    show_code(check_code(values))


def _entries(exact, near):
    for index, (one, other) in enumerate(zip(exact.flatten().tolist(), near.flatten().tolist(), strict=True)):
        yield (divmod(index, OUTPUTS) if exact.dim() == 2 else (index,)), one, other


TOPICS = {"Step by step": step_by_step, "Accumulate": accumulating, "Switch it off": switching_off, "Check it": checking}

open_lab(PATH, "One layer with three outputs: five inputs x, weights w, biases b, and a loss that compares with the targets "
               "y. See how "
               "PyTorch goes back from the loss to a gradient for every weight, and what stops it.")
topics = lesson.parts("learn_autograd", list(TOPICS))
topic = st.pills("Topic", topics, default=topics[0], required=True, key="autograd.topic", bind="query-params")
values = editors()
if values is not None:
    TOPICS[topic](values)
try_next(NEXT)
