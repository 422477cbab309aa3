"""The labs as their readers use them: each topic, its controls, its code, what is typed wrongly, and the path on Home."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pages.parts.learn.questions import AUTOGRAD, TENSORS
from pages.parts.shell import keys
from pages.parts.shell.menu import LABS
from tests.opened_pages import menu, skip_questions

ROOT = Path(__file__).parents[1]
TENSOR_TOPICS = ["Create", "Index and slice", "Join", "Products", "Broadcasting", "Reduce", "In place", "NumPy",
                 "Your own expression"]
AUTOGRAD_TOPICS = ["Step by step", "Accumulate", "Switch it off", "Check it"]


@pytest.fixture(autouse=True)
def no_workers(tmp_path, places, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")


def lab(path: str, topic: str | None = None) -> AppTest:
    at = skip_questions(AppTest.from_file(str(ROOT / path), default_timeout=60))
    if topic:
        at.session_state[f"{path.split('_')[1].removesuffix('.py')}.topic"] = topic
    return whole(at.run())


def tensors(topic: str) -> AppTest:
    return lab("pages/learn_tensors.py", topic)


def autograd(topic: str) -> AppTest:
    return lab("pages/learn_autograd.py", topic)


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == []
    return at


def said(at: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.warning, at.info, at.metric) for e in kind)


def run_code(at: AppTest) -> dict:
    """What the page's code leaves behind, run alone."""
    (code,) = [block.value for block in at.code if block.language == "python"]
    names: dict = {}
    with redirect_stdout(io.StringIO()):
        exec(code, names)
    return names


def picture(at: AppTest, key: str) -> list[list[str]]:
    """The texts of a grid's cells."""
    for chart in at.get("plotly_chart"):
        if key in chart.proto.id:
            return json.loads(chart.proto.spec)["data"][0]["text"]
    raise AssertionError(f"no chart {key}")


@pytest.mark.parametrize("path", LABS)
def test_every_lab_has_what_labs_share(path):
    at = lab(path)
    title, goal, icon = LABS[path]
    assert at.title[0].value == title and goal.endswith(".") and icon.startswith(":material/")
    assert "What to try next" in [s.value for s in at.header]
    assert "Predict before you try" in said(at)
    assert any(block.language == "python" for block in at.code)


@pytest.mark.parametrize("topic", TENSOR_TOPICS)
def test_each_topic_of_tensors_runs_and_its_code_too(topic):
    assert run_code(tensors(topic))["result"] is not None or topic == "In place"


@pytest.mark.parametrize("topic", AUTOGRAD_TOPICS)
def test_each_topic_of_autograd_runs_and_its_code_too(topic):
    assert run_code(autograd(topic))["w"].grad is not None


@pytest.mark.parametrize(("questions", "path"), [(TENSORS, "pages/learn_tensors.py"), (AUTOGRAD, "pages/learn_autograd.py")])
def test_questions_have_one_right_answer(questions, path):
    for question in questions.values():
        assert question.right in range(len(question.choices)) and len(set(question.choices)) == len(question.choices)
        assert question.key.split(".")[0] == path.split("_")[1].removesuffix(".py")


def test_predict_first_then_reveal():
    at = tensors("Create")
    assert at.button(key="tensors.ask_create.reveal").disabled
    assert TENSORS["create"].why not in said(at)
    at.radio(key="tensors.ask_create.guess").set_value("float32").run()
    assert TENSORS["create"].why not in said(at)
    whole(at.button(key="tensors.ask_create.reveal").click().run())
    assert "Not quite: int64." in said(at) and TENSORS["create"].why in said(at)
    at.radio(key="tensors.ask_create.guess").set_value("int64").run()
    assert "**Yes.**" in said(at)


def test_the_questions_answers_are_true():
    """The answers that can be calculated, calculated."""
    x = torch.arange(12).reshape(3, 4)
    pair = [torch.ones(2, 3)] * 2
    true = {"create": str(torch.tensor([1, 2, 3]).dtype).removeprefix("torch."), "index": str(tuple(x[1:, ::2].shape)),
            "join": str(tuple(torch.stack(pair).shape)), "product": str(tuple((pair[0] @ pair[1].T).shape)),
            "broadcast": f"shape {tuple((torch.ones(3, 1) + torch.ones(4)).shape)}", "reduce": str(tuple(x.sum(dim=0).shape))}
    array = np.ones(5)
    tensor = torch.from_numpy(array)
    array[2] = 7
    true["numpy"] = f"{tensor[2].item():g}"
    for topic, answer in true.items():
        assert TENSORS[topic].choices[TENSORS[topic].right] == answer


def test_create_shows_strides_and_memory():
    at = tensors("Create")
    at.slider(key="tensors.rows").set_value(3).run()
    at.toggle(key="tensors.transposed").set_value(True).run()
    values = {m.label: m.value for m in at.metric}
    assert (values["Shape"], values["Strides"], values["Contiguous"]) == ("(3, 3)", "(1, 3)", "no")
    assert picture(at, "create_grid") == [["0", "3", "6"], ["1", "4", "7"], ["2", "5", "8"]]
    assert run_code(at)["result"].stride() == (1, 3)
    for how in ("numpy", "like", "random", "constant"):
        whole(at.selectbox(key="tensors.how").select(how).run())


@pytest.mark.parametrize("index", ["0", "x > 3", "x[1:, ::2]", "[0, 2]", "..., -1", "None", "5:"])
def test_an_index_is_shown_and_its_code_agrees(index):
    at = tensors("Index and slice")
    at.text_input(key="tensors.index").set_value(index).run()
    assert not whole(at).warning
    result = run_code(at)["result"]
    assert f"shape {tuple(result.shape)}" in said(at)


@pytest.mark.parametrize("index", ["9", "", "a", "::-1", "__import__('os')", "0] + x[1", "x" * 400, "1.5", "٣", "x[[0]",
                                   "lambda: 1"])
def test_a_bad_index_gets_one_line(index):
    at = tensors("Index and slice")
    at.text_input(key="tensors.index").set_value(index).run()
    assert len(whole(at).warning) == 1 and "\n" not in at.warning[0].value


@pytest.mark.parametrize("text", ["torch.ones(10**9)", "__import__('os').system('id')", "x @ x", "", "(", "x.__class__",
                                  "a" * 400])
def test_a_bad_expression_gets_one_line(text):
    at = tensors("Your own expression")
    at.text_input(key="tensors.expression").set_value(text).run()
    assert len(whole(at).warning) == 1 and "\n" not in at.warning[0].value
    assert not at.code


@pytest.mark.parametrize("text", ["a @ b", "torch.rand(2, 3)", "x.sum()", "torch.ones(2, 3, 4)", "x[5:]", "torch.ones(100, 3)"])
def test_an_expressions_code_gives_the_same(text):
    at = tensors("Your own expression")
    at.text_input(key="tensors.expression").set_value(text).run()
    assert not whole(at).warning
    assert f"shape {tuple(run_code(at)['result'].shape)}" in said(at)


@pytest.mark.parametrize(("text", "line"), [("x.dtype", "`torch.int64`, the type"), ("x.to('cpu').device", "`cpu`, the device")])
def test_what_an_expression_says_of_a_tensor_is_shown(text, line):
    at = tensors("Your own expression")
    at.text_input(key="tensors.expression").set_value(text).run()
    assert not whole(at).warning and line in said(at)
    assert str(run_code(at)["result"]) == line.split("`")[1]


def test_an_example_is_taken_over():
    at = tensors("Your own expression")
    at.button_group(key="tensors.expression_example").set_value("a @ b").run()
    assert whole(at).text_input(key="tensors.expression").value == "a @ b"
    assert picture(at, "expression_grid") == [["7", "-1"], ["16", "-1"]]


def test_joining_what_does_not_fit_shows_pytorchs_error():
    at = tensors("Join")
    at.slider(key="tensors.join_columns").set_value(2).run()
    assert any("Sizes of tensors must match" in block.value for block in whole(at).code)
    assert run_code(at)["result"] is None


def test_products_go_cell_by_cell():
    at = tensors("Products")
    assert "1·7 + 2·9 + 3·11 = 58" in said(at)
    at.slider(key="tensors.product_step_matrix").set_value(4).run()
    assert "4·8 + 5·10 + 6·12 = 154" in said(at)
    assert picture(at, "product_result") == [["58", "64"], ["139", "154"]]


@pytest.mark.parametrize(("a", "b", "expected"), [("3, 1", "2, 5", "must match"), ("2, 3", "3", None), ("", "4", None), ("", "",
                                                                                                                         None),
                                                  ("0, 3", "3", None), ("2, 1, 3", "4, 1", None)])
def test_broadcasting_shapes_of_ones_own(a, b, expected):
    at = tensors("Broadcasting")
    at.text_input(key="tensors.shape_a").set_value(a)
    at.text_input(key="tensors.shape_b").set_value(b).run()
    errors = [block.value for block in whole(at).code if block.language != "python"]
    assert (expected is None and not errors) or expected in errors[0]
    assert (run_code(at)["result"] is None) == bool(errors)


@pytest.mark.parametrize("shape", ["a", "-1", "1000000", "1,1,1,1,1,1,1", "1000, 1000", "3; 4"])
def test_a_bad_shape_gets_one_line(shape):
    at = tensors("Broadcasting")
    at.text_input(key="tensors.shape_a").set_value(shape).run()
    assert len(whole(at).warning) == 1 and "\n" not in at.warning[0].value


def test_two_shapes_that_are_too_large_together_get_one_line():
    at = tensors("Broadcasting")
    at.text_input(key="tensors.shape_a").set_value("1000, 1")
    at.text_input(key="tensors.shape_b").set_value("1000").run()
    assert "At most 100,000 elements" in whole(at).warning[0].value


def test_item_needs_one_element():
    at = tensors("Reduce")
    assert "**78**" in said(at)
    at.radio(key="tensors.reduce_dim").set_value("dim=1").run()
    assert ".item() needs exactly one element" in said(whole(at))


def test_numpy_memory_is_shared_or_copied():
    at = tensors("NumPy")
    assert picture(at, "share_t")[1][2] == "7"
    at.radio(key="tensors.link").set_value("tensor").run()
    assert picture(whole(at), "share_t")[1][2] == "1" and picture(at, "share_n")[1][2] == "7"


# --- Autograd

def edit(at: AppTest, table: str, place: tuple[int, int], value: str) -> AppTest:
    """Put something else into a row and column of what is typed."""
    field = at.text_area(key=f"autograd.{table}")
    cells = [line.split(", ") for line in field.value.splitlines()]
    cells[place[0]][place[1]] = value
    return whole(field.set_value("\n".join(map(", ".join, cells))).run())


def test_the_slider_goes_through_all_steps():
    at = autograd("Step by step")
    formulas = []
    for step in range(1, 11):
        at.slider(key="autograd.step_10").set_value(step).run()
        formulas.append(whole(at).latex[0].value)
    assert len(set(formulas)) == 10
    at.toggle(key="autograd.want_x").set_value(True).run()
    at.slider(key="autograd.step_11").set_value(11).run()
    assert "∂loss/∂x1" in whole(at).code[0].value


def test_changed_values_move_the_gradients():
    at = autograd("Step by step")
    before = run_code(at)["w"].grad
    edit(at, "inputs", (0, 0), "2")
    after = run_code(at)["w"].grad
    assert not torch.equal(before, after)
    assert torch.allclose(after[0], 2 * after[1])
    edit(at, "outputs", (0, 1), "1")
    assert (run_code(at)["w"].grad[:, 0] < 0).all()


@pytest.mark.parametrize(("table", "place", "value", "line"), [
    ("inputs", (0, 0), "one", "“one” is no number"), ("inputs", (1, 2), "1e300", "w has a value"),
    ("outputs", (0, 1), "7", "probability"), ("outputs", (0, 0), "nan", "b needs a number")])
@pytest.mark.parametrize("topic", AUTOGRAD_TOPICS)
def test_a_bad_cell_gets_one_line(topic, table, place, value, line):
    at = edit(autograd(topic), table, place, value)
    assert len(at.warning) == 1 and line in at.warning[0].value


def test_gradients_double_when_pressed_again():
    at = autograd("Accumulate")
    whole(at.button(key="autograd.again").click().run())
    table = at.dataframe[-1].value
    assert table["times the first"].tolist() == pytest.approx([1, 2], rel=1e-6)
    at.toggle(key="autograd.zero").set_value(True).run()
    assert at.dataframe[-1].value["times the first"].tolist() == pytest.approx([1, 1])
    for _ in range(25):
        at.button(key="autograd.again").click().run()
    assert len(whole(at).dataframe[-1].value) == 20
    assert len(at.button(key="autograd.restart").click().run().dataframe[-1].value) == 1
    assert any("backward through the graph a second time" in block.value for block in at.code)


def test_switches_show_pytorchs_own_error():
    at = autograd("Switch it off")
    assert not [block for block in at.code if block.language != "python"]
    at.toggle(key="autograd.no_grad").set_value(True).run()
    assert any("does not require grad" in block.value for block in whole(at).code)
    at.toggle(key="autograd.no_grad").set_value(False).run()
    at.button_group(key="autograd.detach").set_value("u").run()
    assert {m.label: m.value for m in whole(at).metric}["w.grad"] == "none"
    at.toggle(key="autograd.freeze_b").set_value(True).run()
    assert any("does not require grad" in block.value for block in whole(at).code)


def test_the_check_lists_every_value():
    at = autograd("Check it")
    table = at.dataframe[-1].value
    assert len(table) == 23 and table["Gap"].max() < 1e-8


# --- the path on Home

def test_home_lists_the_labs_and_what_was_done():
    at = whole(AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run())
    labs = whole(at.button_group(key="home.more").set_value("Learn how it works").run())
    assert "Learn how it works" in [s.value for s in labs.header]
    assert keys.LABS not in at.session_state or not at.session_state[keys.LABS]
    whole(at.switch_page("pages/learn_tensors.py").run())
    assert at.session_state[keys.LABS] == {"pages/learn_tensors.py": "opened"}
    at.slider(key="tensors.rows").set_value(3).run()
    at.selectbox(key="tensors.how").select("random").run()
    assert at.session_state[keys.LABS] == {"pages/learn_tensors.py": "tried"}
    whole(at.switch_page("pages/learn_autograd.py").run())
    whole(at.switch_page("app.py").run())
    whole(at.button_group(key="home.more").set_value("Learn how it works").run())
    assert "Tried" in said(at) and "Opened" in said(at)


def test_the_menu_names_every_lab():
    at = whole(AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run())
    assert menu(at)["Learn"] == [title for title, _, _ in LABS.values()]
