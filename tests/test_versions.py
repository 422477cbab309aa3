"""What a browser says of widgets that are no longer there: it comes along with the next press until the page is drawn anew."""

from pathlib import Path

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.models import StackConfig
from core.models.layers import FlattenConfig, LinearConfig
from pages.parts.shell import keys, links, versions

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def hermetic(tmp_path, places, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")


def opened(path: str) -> AppTest:
    return whole(AppTest.from_file(str(ROOT / path), default_timeout=60).run())


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == []
    return at


def with_late(at: AppTest, *late: WidgetState) -> AppTest:
    """The page's next run, which is told of former widgets too."""
    states: WidgetStates = at._tree.get_widget_states()
    states.widgets.extend(late)
    return whole(at._run(states))


def state(widget: str, **value: object) -> WidgetState:
    return WidgetState(id=widget, **value)


def made(at: AppTest):
    return read_config(at.session_state[keys.DRAFT])


def test_a_former_form_does_not_bring_its_values_back():
    at = opened("pages/train_model.py")
    before = at.number_input(key=f"form.{at.session_state[keys.DRAFT_VERSION]}.training.epochs")
    widget, usual = before.id, int(before.value)
    before.set_value(usual + 3).run()
    assert made(at).training.epochs == usual + 3
    at.session_state[keys.DRAFT_VERSION] += 1  # as a preset that is taken does
    whole(at.run())
    with_late(at, state(widget, double_value=usual))
    assert made(at).training.epochs == usual + 3
    assert at.number_input(key=f"form.{at.session_state[keys.DRAFT_VERSION]}.training.epochs").value == usual + 3


def test_what_a_form_that_is_there_says_is_heard_also_where_the_same_press_makes_it_anew():
    at = opened("pages/build_model.py")
    version = at.session_state[keys.DRAFT_VERSION]
    at.selectbox(key=f"form.{version}.model.architecture").select("mlp").run()
    version = at.session_state[keys.DRAFT_VERSION]
    at.text_input(key=f"form.{version}.model.hidden").set_value("20")
    at.number_input(key=f"form.{version}.model.dropout").set_value(0.25)
    whole(at.run())
    assert made(at).model.hidden == (20,) and made(at).model.dropout == 0.25


def test_a_former_list_of_the_composer_does_not_replace_the_layers():
    at = opened("pages/build_model.py")
    stack = StackConfig(layers=(FlattenConfig(), LinearConfig(out_features=10)))
    at.session_state[keys.DRAFT] = at.session_state[keys.DRAFT] | {"model": stack.model_dump(mode="json")}
    whole(at.run())
    start = at.selectbox(key=f"compose.{at.session_state[keys.COMPOSE_VERSION]}.start")
    widget = start.id
    start.select("lenet5").run()
    lenet = made(at).model
    assert len(lenet.layers) > 2
    at.button(key="compose.undo").click().run()
    with_late(at, state(widget, string_value="LeNet-5 (1998)"), state(widget, int_value=1))
    assert made(at).model == stack


def test_a_former_control_of_the_plane_changes_nothing():
    at = opened("pages/learn_decision_boundary.py")
    layers = at.number_input(key="plane.0.layers")
    widget = layers.id
    at.button(key="plane.closed").click().run()
    before = at.session_state[keys.PLANE]
    with_late(at, state(widget, double_value=3))
    assert at.session_state[keys.PLANE] == before


def test_a_link_is_followed_also_where_its_page_has_only_just_begun(monkeypatch):
    """Streamlit has then forgotten what was pressed, and knows only that something was."""
    asked, followed = {}, []
    monkeypatch.setattr(links, "_component", lambda **given: asked.update(given))
    group = links.Group({"app.py": ("Home", ":material/home:"), "pages/train_model.py": ("Train model", ":material/play:")})
    links.show_links([group], "menu", "Pages", followed.append, lambda path: {})
    events = {name for name in asked if name.startswith("on_")}
    assert events == {f"on_{path}_change" for path in group.links}
    assert list(asked["data"]["events"]) == list(group.links)
    asked["on_pages/train_model.py_change"]()
    assert followed == ["pages/train_model.py"]


def test_a_form_hears_the_widgets_that_were_drawn_last(monkeypatch):
    session: dict[str, object] = {}
    monkeypatch.setattr(versions.st, "session_state", session)
    form = versions.Form("made", "session.made")
    first = form.key("size")
    assert first == "made.0.size" and form.hears(first)
    form.renew()
    assert form.hears(first)  # until the new ones are drawn, by the same press
    second = form.key("size")
    assert second == "made.1.size" and form.hears(second) and not form.hears(first)
    assert not form.hears("made.11.size") and not form.hears("other.1.size")
