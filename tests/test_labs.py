"""What the labs Tensors and Autograd calculate: against PyTorch, finite differences and hand-computed values."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from core.figures.autograd_graph import EDGES, graph_dot
from core.figures.grids import cell_grid, tensor_grid
from core.labs import ExpressionError, autograd, tensor_code, tensors
from core.labs.autograd import (
    AutogradError,
    Switches,
    accumulate,
    backward_twice,
    check,
    read_typed,
    read_values,
    run,
    start_values,
)
from core.labs.in_place import CASES, run_case


def executed(code: str) -> dict:
    """The names that a piece of shown code leaves behind, run alone."""
    names: dict = {}
    exec(code, names)
    return names


# --- Tensors: create

@pytest.mark.parametrize("how", tensors.CREATIONS)
@pytest.mark.parametrize("dtype", tensors.DTYPES)
def test_a_created_tensor_is_what_its_code_makes(how, dtype):
    tensor = tensors.create(how, 2, 3, dtype, 7)
    result = executed(tensor_code.creation_code(how, 2, 3, dtype, 7))["result"]
    assert tensor.dtype == result.dtype == getattr(torch, dtype) and torch.equal(tensor, result)
    turned = executed(tensor_code.creation_code(how, 2, 3, dtype, 7, True))["result"]
    assert torch.equal(tensor.T, turned) and turned.stride() == (1, 3)


def test_attributes_by_hand():
    about = tensors.attributes(torch.arange(6, dtype=torch.float64).reshape(2, 3).T)
    assert (about.shape, about.strides, about.dtype, about.device) == ((3, 2), (1, 3), "float64", "cpu")
    assert (about.elements, about.element_bytes, about.contiguous) == (6, 8, False)
    assert about.memory == (0, 1, 2, 3, 4, 5), "transposing moves nothing"
    part = tensors.attributes(torch.arange(10)[4:])
    assert part.memory == tuple(range(4, 10))


# --- join, products, broadcasting, reductions

@pytest.mark.parametrize("how", tensors.JOINS)
@pytest.mark.parametrize(("rows", "columns", "dim"), list(itertools.product((1, 2, 4), (1, 3), (0, 1, 2))))
def test_joining_equals_pytorch_or_says_why_not(how, rows, columns, dim):
    a, b = tensors.join_operands(rows, columns)
    outcome = tensors.join(how, [a, b], dim)
    names = executed(tensor_code.join_code(how, rows, columns, dim, outcome.value is not None))
    assert torch.equal(names["a"], a) and torch.equal(names["b"], b)
    if outcome.value is None:
        assert names["result"] is None and outcome.raw and "PyTorch says" not in outcome.error
        with pytest.raises((RuntimeError, IndexError)) as caught:
            getattr(torch, how)([a, b], dim=dim)
        assert str(caught.value).splitlines()[0] == outcome.raw
    else:
        assert torch.equal(names["result"], outcome.value)


def test_products_by_hand():
    a, b = tensors.product_operands("matrix")
    cells = tensors.product_cells("matrix", a, b)
    assert [cell.text for cell in cells] == ["1·7 + 2·9 + 3·11 = 58", "1·8 + 2·10 + 3·12 = 64", "4·7 + 5·9 + 6·11 = 139",
                                             "4·8 + 5·10 + 6·12 = 154"]
    assert [(cell.row, cell.column) for cell in cells] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("how", tensors.PRODUCTS)
def test_each_cell_is_the_sum_of_its_terms(how):
    a, b = tensors.product_operands(how)
    result = executed(tensor_code.product_code(how))["result"]
    cells = tensors.product_cells(how, a, b)
    assert len(cells) == result.numel()
    for cell in cells:
        assert sum(one * other for one, other in cell.terms) == cell.value == result[cell.row, cell.column].item()


SHAPES = st.lists(st.sampled_from([0, 1, 1, 2, 3, 4]), max_size=5).map(tuple)


@settings(max_examples=300)
@given(SHAPES, SHAPES)
def test_broadcasting_ends_as_pytorchs_does(a, b):
    steps, outcome = tensors.broadcast_steps(a, b), tensors.add_shapes(a, b)
    try:
        shape = torch.broadcast_shapes(a, b)
    except RuntimeError:
        assert steps[-1].fails and outcome.value is None
        assert "must match" in outcome.raw and "don't fit" in outcome.error
    else:
        assert not steps[-1].fails and steps[-1].result == shape == steps[-1].a == steps[-1].b
        assert torch.equal(outcome.value, tensors.counting(a) + 10 * tensors.counting(b)) and outcome.value.shape == shape
    result = executed(tensor_code.broadcast_code(a, b, outcome.value is not None))["result"]
    assert result is None if outcome.value is None else torch.equal(result, outcome.value)


def test_broadcasting_step_by_step():
    steps = tensors.broadcast_steps((3, 1), (4,))
    assert [(step.a, step.b, step.result) for step in steps] == [
        ((3, 1), (None, 4), (None, None)), ((3, 4), (None, 4), (None, 4)), ((3, 4), (3, 4), (3, 4))]
    assert "a's 1 is stretched to 4" in steps[1].text and "b has no dimension here" in steps[2].text


@pytest.mark.parametrize(("text", "shape"), [("3, 1", (3, 1)), ("(3, 4)", (3, 4)), ("4", (4,)), ("(4,)", (4,)), ("", ()), ("2×3",
                                                                                                                           (2,
                                                                                                                            3)),
                                             ("0", (0,))])
def test_shapes_are_read(text, shape):
    assert tensors.read_shape(text) == shape


@pytest.mark.parametrize("text", ["a", "3, x", "-1", "1.5", "1000, 1000", "9999999999", "1,1,1,1,1,1,1", "3,,4", "٣", "x" * 1000,
                                  "[2]"])
def test_a_bad_shape_gets_one_line(text):
    with pytest.raises(ExpressionError) as caught:
        tensors.read_shape(text)
    assert "\n" not in str(caught.value)


def test_a_sum_that_would_be_too_large_is_refused():
    with pytest.raises(ExpressionError, match="At most 100,000"):
        tensors.add_shapes((1000, 1), (1000,))


@pytest.mark.parametrize("how", tensors.REDUCTIONS)
@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("keepdim", [False, True])
def test_reductions_equal_their_code_and_numpy(how, dim, keepdim):
    x = tensors.counting((3, 4)).float() + 1
    result = tensors.reduce(x, how, dim, keepdim)
    assert torch.equal(result, executed(tensor_code.reduction_code(how, dim, keepdim))["result"])
    expected = getattr(np, how)(x.numpy(), axis=dim, keepdims=keepdim and dim is not None)
    assert result.shape == expected.shape and np.allclose(result.numpy(), expected)
    outcome = tensors.take_item(result)
    assert (outcome.value is not None) == (result.numel() == 1)
    if outcome.value is None:
        assert "exactly one element" in outcome.error and "cannot be converted to Scalar" in outcome.raw


# --- in place, NumPy

@pytest.mark.parametrize("name", CASES)
def test_in_place_does_what_its_code_does(name, capsys):
    happened = run_case(name)
    names = executed(tensor_code.in_place_code(name))
    printed = capsys.readouterr().out
    assert (happened.gradient is None) == (names["result"] is None) == (happened.error is not None)
    if happened.error:
        assert happened.error in printed
    else:
        assert happened.gradient == pytest.approx(names["result"].tolist())
    assert happened.after == pytest.approx(names["y" if "y" in names else "w"].tolist())


def test_in_place_by_hand():
    assert "modified by an inplace operation" in run_case("needed").error
    assert "a leaf Variable that requires grad" in run_case("leaf").error
    assert run_case("copy").gradient == pytest.approx([math.e, math.e**2, math.e**3])
    assert run_case("not_needed").gradient == (2, 2, 2)
    assert run_case("update").after == pytest.approx([0.8, 1.6, 2.4])
    assert [run_case(name).same_memory for name in CASES] == [True, False, True, True, True]
    assert [run_case(name).version for name in ("needed", "copy", "not_needed")] == [1, 0, 1]


@pytest.mark.parametrize("link", tensors.LINKS)
@pytest.mark.parametrize("side", ["tensor", "array"])
def test_sharing_memory(link, side):
    now = tensors.share(link, side, 3, 7.5)
    names = executed(tensor_code.sharing_code(link, side, 3, 7.5))
    assert list(now.tensor_after) == names["t"].tolist() and list(now.array_after) == names["n"].tolist()
    changed, same = (1, 1, 1, 7.5, 1), (1,) * 5
    assert now.tensor_before == now.array_before == same
    assert now.same_memory == (link != "tensor")
    assert now.tensor_after == (changed if side == "tensor" or now.same_memory else same)
    assert now.array_after == (changed if side == "array" or now.same_memory else same)


# --- Autograd

PLAIN = Switches()


def reference(values, switches=PLAIN, dtype=torch.float32):
    """The notes' network in plain PyTorch: leaves and loss."""
    leaf = {name: torch.tensor(getattr(values, name), dtype=dtype) for name in "xwby"}
    leaf["w"].requires_grad_("w" not in switches.frozen)
    leaf["b"].requires_grad_("b" not in switches.frozen)
    leaf["x"].requires_grad_(switches.want_x)
    return leaf, F.binary_cross_entropy_with_logits(torch.matmul(leaf["x"], leaf["w"]) + leaf["b"], leaf["y"])


NUMBERS = st.floats(-3, 3).map(lambda value: round(value, 3))
VALUES = st.builds(lambda x, w, b, y: read_values(x, w, b, y), st.lists(NUMBERS, min_size=5, max_size=5),
                   st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=5, max_size=5),
                   st.lists(NUMBERS, min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))


@settings(max_examples=60)
@given(VALUES)
def test_gradients_equal_pytorch_and_finite_differences(values):
    passed = run(values, Switches(want_x=True))
    leaf, loss = reference(values, Switches(want_x=True))
    loss.backward()
    assert passed.error is None and torch.allclose(passed.nodes["loss"].value, loss.detach(), atol=1e-6)
    for name in "xwb":
        assert torch.allclose(passed.nodes[name].gradient, leaf[name].grad, atol=1e-6)
    checked = check(values)
    assert checked.largest_gap < 1e-8
    exact, total = reference(values, Switches(want_x=True), torch.float64)
    total.backward()
    for name in "xwb":
        assert torch.allclose(checked.autograd[name], exact[name].grad, atol=1e-12)
        assert torch.allclose(checked.differences[name], exact[name].grad, atol=1e-8)


def test_gradients_by_hand():
    """With x = 1, y = 0 the loss's gradient at b is sigmoid(z) / 3, and every row of w's is the same."""
    values = read_values([1] * 5, [[0] * 3] * 5, [0, math.log(3), -math.log(3)], [0] * 3)
    nodes = run(values).nodes
    assert nodes["b"].gradient.tolist() == pytest.approx([1 / 6, 1 / 4, 1 / 12])
    assert torch.allclose(nodes["w"].gradient, nodes["b"].gradient.expand(5, 3))
    assert nodes["l"].value.tolist() == pytest.approx([math.log(2), math.log(4), math.log(4 / 3)])
    assert nodes["l"].gradient.tolist() == pytest.approx([1 / 3] * 3) and nodes["loss"].gradient == 1
    assert [nodes[name].made_by for name in ("z", "loss", "w")] == ["AddBackward0", "MeanBackward0", None]


def numbers_at_the_end(lines):
    return [float(line.rsplit("= ", 1)[1].strip("()")) for line in lines]


def test_steps_show_the_numbers_of_their_nodes():
    passed = run(start_values(), Switches(want_x=True))
    assert [(step.backward, step.node) for step in passed.steps] == [
        (False, "u"), (False, "z"), (False, "l"), (False, "loss"), (True, "loss"), (True, "l"), (True, "z"), (True, "b"), (True,
                                                                                                                           "u"),
        (True, "w"), (True, "x")]
    for step in passed.steps:
        node = passed.nodes[step.node]
        shown = node.gradient if step.backward else node.value
        assert numbers_at_the_end(step.numbers) == pytest.approx(shown.flatten().tolist(), rel=1e-3, abs=1e-4), step.title


def test_the_numbers_put_in_are_those_of_the_formula():
    passed = run(start_values())
    for line in passed.steps[0].numbers:
        middle = line.split(" = ")[1].replace("·", "*")
        assert eval(middle) == pytest.approx(numbers_at_the_end([line])[0], abs=2e-3)


@pytest.mark.parametrize("switches", [Switches(no_grad, detach, frozenset(frozen), want_x) for no_grad in (False, True)
                                      for detach in (None, "u", "z") for frozen in ((), "w", "b", "wb") for want_x in (False,
                                                                                                                       True)])
def test_switches_do_what_pytorch_does(switches, capsys):
    values = start_values()
    passed = run(values, switches)
    names = executed(autograd.step_code(values, switches))
    printed = capsys.readouterr().out
    assert torch.allclose(passed.nodes["loss"].value, names["loss"].detach())
    for name in "wbx":
        mine, real = passed.nodes[name].gradient, names[name].grad
        assert (mine is None) == (real is None)
        assert mine is None or torch.allclose(mine, real)
        assert passed.nodes[name].requires_grad == names[name].requires_grad
    assert passed.nodes["u"].requires_grad == names["u"].requires_grad
    assert (passed.error is not None) == (not names["loss"].requires_grad)
    if passed.error:
        assert "does not require grad and does not have a grad_fn" in passed.error and passed.error in printed
        assert not any(step.backward for step in passed.steps)
    assert torch.equal(passed.nodes["loss"].value, run(values).nodes["loss"].value), "values never change"


def test_what_detach_leaves():
    got = {cut: {name for name, node in run(start_values(), Switches(detach=cut)).nodes.items() if node.gradient is not None}
           for cut in (None, "u", "z")}
    assert got == {None: {"w", "b", "u", "z", "l", "loss"}, "u": {"b", "z", "l", "loss"}, "z": set()}


@pytest.mark.parametrize("zero", [False, True])
def test_gradients_add_up_unless_cleared(zero):
    values = start_values()
    seen = accumulate(values, 4, zero)
    once = run(values).nodes["b"].gradient
    for number, grad in enumerate(seen, start=1):
        assert torch.allclose(grad, once if zero else number * once)
    assert torch.allclose(executed(autograd.accumulate_code(values, 4, zero))["result"], seen[-1])


def test_a_second_backward_is_refused_in_pytorchs_words():
    assert "Trying to backward through the graph a second time" in backward_twice(start_values())


def test_the_check_shown_as_code_gives_the_same_slope():
    values = start_values()
    names = executed(autograd.check_code(values))
    assert names["result"].item() == pytest.approx(check(values).differences["w"][0, 0].item(), abs=1e-9)
    assert names["w"].dtype == torch.float64


def test_start_values_are_the_notes():
    values = start_values()
    assert values.x == (1.0,) * 5 and values.y == (0.0,) * 3
    assert np.shape(values.w) == (5, 3) and len(values.b) == 3 and start_values(1) != values


GOOD = {"x": [1.0] * 5, "w": [[0.5] * 3] * 5, "b": [0.0] * 3, "y": [0.0] * 3}


@pytest.mark.parametrize(("change", "line"), [
    ({"x": [1, 2, 3, 4, None]}, "x needs a number"), ({"x": [math.nan] * 5}, "x needs a number"), ({"b": [math.inf, 0, 0]},
                                                                                                   "b needs a number"),
    ({"b": ["1", 0, 0]}, "b needs a number"), ({"b": [True, 0, 0]}, "b needs a number"), ({"w": [[1e9] * 3] * 5},
                                                                                          "w has a value of 1e+09"),
    ({"y": [0, 0, 1.5]}, "probability"), ({"y": [0, 0, -0.1]}, "probability"), ({"x": [1] * 4}, "leave no row out"),
    ({"w": [[1] * 3] * 4}, "leave no row out"), ({"w": [[1] * 2] * 5}, "leave no row out"), ({"y": []}, "leave no row out")])
def test_bad_values_get_one_line(change, line):
    with pytest.raises(AutogradError, match=line.replace("+", r"\+")) as caught:
        read_values(**GOOD | change)
    assert "\n" not in str(caught.value)


@given(VALUES)
def test_values_are_read_as_they_were_typed(values):
    typed = (autograd.as_typed([[x, *row] for x, row in zip(values.x, values.w, strict=True)]),
             "\n".join(f"{b!r}\t{y!r}\n" for b, y in zip(values.b, values.y, strict=True)))
    assert read_typed(*typed) == values
    assert read_typed(typed[0].replace(", ", " ;  ").replace("-", "−"), typed[1]) == values


@pytest.mark.parametrize(("inputs", "outputs", "line"), [
    ("1 2 3 4\n" * 4, "0 0\n" * 3, "The inputs need 5 lines of 4 numbers; 4 are there"), ("", "", "0 are there"),
    ("1 2 3 4\n" * 4 + "1, 2, 3", "0 0\n" * 3, "4 numbers in each line; line 5 has 3"),
    ("1 2 3 4\n" * 5, "0 0\n0 0\n0 <b>", "The outputs, line 3: “<b>” is no number"),
    ("nan 2 3 4\n" * 5, "0 0\n" * 3, "x needs a number"),
    ("1 2 3 4\n" * 5, "0 0\n" * 2 + "1e9 0", "b has a value of 1e+09"), ("1 2 3 4\n" * 5, "0 2\n" * 3, "probability")])
def test_what_can_not_be_read_gets_one_line(inputs, outputs, line):
    with pytest.raises(AutogradError, match=line.replace("+", r"\+")) as caught:
        read_typed(inputs, outputs)
    assert "\n" not in str(caught.value)


def test_largest_values_stay_finite():
    passed = run(read_values([1000.0] * 5, [[1000.0, -1000.0, 1000.0]] * 5, [1000.0] * 3, [0, 1, 1]), Switches(want_x=True))
    assert all(node.value.isfinite().all() for node in passed.nodes.values())
    assert all(node.gradient.isfinite().all() for node in passed.nodes.values() if node.gradient is not None)


# --- Figures

def test_the_graph_shows_what_has_been_reached():
    passed = run(start_values())
    whole = len(passed.steps)
    start, end = graph_dot(passed, 0), graph_dot(passed, whole)
    for source, target in EDGES:
        assert f"{source} -> {target} [" in start
    assert "-1.13" in start and "2.08" not in start, "weights are there, the loss is not"
    assert "2.08" in graph_dot(passed, 4) and "gradient" not in graph_dot(passed, 4)
    assert {f"{a} -> {b} [color" in end for a, b in (("loss", "l"), ("l", "z"), ("z", "b"), ("z", "u"), ("u", "w"))} == {True}
    lines = {step: graph_dot(passed, step).count("\\n") for step in range(whole + 1)}
    assert len(set(lines.values())) == 1, "nodes keep their size"


def test_the_graph_greys_what_is_off():
    passed = run(start_values(), Switches(detach="u", frozen=frozenset("w")))
    dot = graph_dot(passed, len(passed.steps), "u")
    assert "w  weights  (no grad)" in dot and "detach" in dot and "u -> w" not in dot
    assert graph_dot(run(start_values(), Switches(no_grad=True)), 4).count("(no grad)") == 4


def test_a_grid_shows_its_tensor():
    figure = json.loads(tensor_grid(torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([[0, 1, 0], [2, 0, 0]])).to_json())
    assert figure["data"][0]["text"] == [["1", "2", "3"], ["4", "5", "6"]] and figure["data"][0]["z"] == [[0, 1, 0], [2, 0, 0]]
    assert json.loads(tensor_grid(torch.tensor(2.5)).to_json())["data"][0]["text"] == [["2.5"]]
    assert json.loads(tensor_grid(torch.tensor([True, False])).to_json())["data"][0]["text"] == [["True", "False"]]
    cut = json.loads(tensor_grid(torch.zeros(100, 50)).to_json())["data"][0]["text"]
    assert (len(cut), len(cut[0])) == (24, 24)
    assert [list(row) for row in tensor_grid(torch.tensor([math.nan, math.inf])).data[0].text] == [["nan", "inf"]]
    assert cell_grid([["a"]]).layout.width >= 150
