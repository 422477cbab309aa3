"""What lies side by side, in an address: any state comes back from it, and any address is one."""

from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core.runs.beside import LAST, MOST_METRICS, PARAMETERS, Beside, Kind, plain, read_beside, write_beside
from core.runs.change_walk import SEEDS
from core.runs.outcomes import COSTS, RESULTS
from core.runs.table import SETTINGS
from core.runs.view import PARAMETERS as OF_TABLE
from tests.helpers import tiny
from tests.opened_pages import whole
from tests.test_compare_page import address, opened, press
from tests.test_pages import runs  # noqa: F401
from tests.test_side_by_side import made

quick = hypothesis_settings(max_examples=30)
numbers = st.integers(1, 10**9 - 1)
amounts = st.floats(0, 1e9).map(plain)
states = st.builds(
    Beside, view=st.sampled_from(get_args(Kind)),
    metric=st.none() | st.lists(st.text(min_size=1, max_size=20), max_size=4, unique=True).map(tuple),
    over=st.sampled_from(["step", "epoch", "seconds"]), smoothing=st.floats(0, 0.99).map(plain), log=st.booleans(),
    together=st.booleans(), closer=st.none() | st.tuples(amounts, amounts).filter(lambda ends: ends[0] < ends[1]),
    picked=st.none() | st.sets(numbers, max_size=8).map(lambda found: tuple(sorted(found))), highlight=st.just(0) | numbers,
    cost=st.sampled_from([*COSTS, "mult_adds"]), result=st.sampled_from(["", *RESULTS, *COSTS, f"{LAST}throughput"]),
    effect=st.sampled_from(["one", "all", "which"]), setting=st.sampled_from(["", *SETTINGS]),
    split=st.sampled_from(["test", "validation"]), budget=st.sampled_from(["", *COSTS]), most=st.none() | amounts,
    first=st.just(0) | numbers, second=st.just(0) | numbers, seeds=st.sampled_from(SEEDS),
    measure=st.sampled_from(["", *RESULTS]))


@quick
@given(states)
def test_a_state_comes_back_from_its_address(state):
    assert read_beside(write_beside(state)) == state


any_text = st.text(max_size=30) | st.from_regex(r"-?[0-9a-fin_+.]{0,12},?[0-9e.-]{0,12}", fullmatch=True) | st.sampled_from(
    ["nan", "inf", "-1", "1e999", "yes", "1,0", "5,5", "0", "9" * 5000, "__class__", "training.seed"])


@quick
@given(st.dictionaries(st.sampled_from(list(PARAMETERS)), st.lists(any_text, max_size=4)))
def test_any_address_is_a_state(parameters):
    state = read_beside(parameters)
    assert read_beside(write_beside(state)) == state
    assert state.closer is None or 0 <= state.closer[0] < state.closer[1] < float("inf")
    assert state.view in get_args(Kind) and state.seeds in SEEDS and 0 <= state.smoothing <= 0.99


def test_each_field_is_in_the_address_once_and_none_is_the_tables():
    assert list(PARAMETERS) == [field.name for field in fields(Beside)]
    assert not set(PARAMETERS) & {*OF_TABLE, "run", "preset"}
    assert write_beside(Beside()) == {}
    many = read_beside({"metric": ["x" * 10**6, *(f"m{number}" for number in range(1000))]})
    assert many.metric == tuple(f"m{number}" for number in range(MOST_METRICS))


@pytest.mark.parametrize(("parameters", "state"), [
    ({"view": ["cost", "<b>"]}, Beside()), ({"view": ["<b>", "cost"]}, Beside(view="cost")),
    ({"metric": [""]}, Beside(metric=())),
    ({"closer": ["2.5,10"], "over": ["seconds"]}, Beside(closer=(2.5, 10.0), over="seconds")),
    ({"closer": ["10,2"], "smoothing": ["1"], "most": ["-3"], "highlight": ["1-2"], "log": ["true"]}, Beside()),
    ({"seeds": ["4"], "first": ["3"], "setting": ["training.nothing"]}, Beside(first=3)),
    ({"picked": ["3,1-2"], "log": ["yes"], "together": ["no"]}, Beside(picked=(1, 2, 3), log=True, together=False)),
], ids=str)
def test_addresses(parameters, state):
    assert read_beside(parameters) == state


# --- on the page

@pytest.fixture
def three(runs):  # noqa: F811
    """Runs with the numbers 1 to 3; the first two differ by their seed alone."""
    return [made(runs, tiny(), seconds=1.0), made(runs, tiny(training__seed=1)), made(runs, tiny(training__batch_size=128))]


def values(at: AppTest) -> dict[str, object]:
    """What the controls say, by their keys."""
    found = (*at.segmented_control, *at.multiselect, *at.selectbox, *at.slider, *at.toggle, *at.select_slider)
    return {one.key: one.value for one in found if one.key}


CURVES = {"selected": "1-3", "metric": ["loss", "validation_accuracy"], "over": "step", "smoothing": "0.5", "log": "yes",
          "together": "no", "closer": "10,20", "highlight": "3"}
SHOWN = {"compare.metrics": ["loss", "validation_accuracy"], "compare.axis": "step", "compare.smoothing": 0.5,
         "compare.log": True, "compare.together": False, "compare.window.step.40": (10, 20), "compare.highlight": 3}


def test_curves_are_shown_as_an_address_says_and_what_is_changed_stands_in_it(three):
    at = opened(**CURVES)
    assert {key: values(at)[key] for key in SHOWN} == SHOWN
    assert address(at) == {name: value if isinstance(value, list) else [value] for name, value in CURVES.items()}

    whole(at.segmented_control(key="compare.axis").set_value("epoch").run())  # a part of another axis has no meaning here
    whole(at.toggle(key="compare.together").set_value(True).run())
    whole(at.multiselect(key="compare.metrics").set_value([]).run())
    assert address(at) == {"selected": ["1-3"], "metric": [""], "smoothing": ["0.5"], "log": ["yes"], "highlight": ["3"]}
    whole(at.multiselect(key="compare.metrics").set_value(["validation_accuracy"]).run())  # as usual: there is no loss of it
    whole(at.slider(key="compare.smoothing").set_value(0.0).run())
    assert address(at) == {"selected": ["1-3"], "log": ["yes"], "highlight": ["3"]}
    whole(at.segmented_control(key="compare.view").set_value("cost").run())
    assert address(at)["view"] == ["cost"]

    at.query_params.clear()  # the browser goes back to the plain page …
    assert address(whole(at.run())) == {} and at.session_state["session.compare_view"].selected == ()
    for name, value in CURVES.items():  # … and forth again
        at.query_params[name] = value
    whole(at.run())
    assert {key: values(at)[key] for key in SHOWN} == SHOWN
    at.session_state["session.page"] = "Home"  # by the menu from another page: as it was left
    at.query_params.clear()
    assert {key: values(whole(at.run()))[key] for key in SHOWN} == SHOWN and address(at)["over"] == ["step"]
    press(at, "compare.none")
    assert "selected" not in address(at) and address(at)["over"] == ["step"], "for what is selected next"


ASKED = [
    ({"view": "cost", "cost": "seconds", "result": "test_loss"}, {"compare.cost": "seconds", "compare.result": "test_loss"}),
    ({"view": "effect", "effect": "one", "setting": "training.seed", "result": "test_loss"},
     {"compare.setting": "training.seed", "compare.result": "test_loss"}),
    ({"view": "board", "split": "validation", "budget": "seconds", "most": "5"},
     {"compare.board_split": "validation", "compare.budget": "seconds", "compare.most.seconds": 4.0}),
    ({"view": "change", "first": "3", "second": "1", "seeds": "5", "measure": "test_loss"},
     {"compare.walk_from": 3, "compare.walk_to": 1, "compare.walk_seeds": 5, "compare.walk_by": "test_loss"}),
    # what these runs do not have is shown as usual
    ({"metric": ["gone", "<b>"], "over": "seconds", "closer": "900,1000", "highlight": "77", "together": "no"},
     {"compare.metrics": ["validation_accuracy"], "compare.highlight": 0, "compare.window.seconds.8": (0.0, 8.0)}),
    ({"view": "change", "first": "77", "second": "0", "measure": "best_loss"},
     {"compare.walk_from": 3, "compare.walk_to": 2, "compare.walk_by": "validation_accuracy"}),
]


def test_every_view_is_shown_as_an_address_says(three):
    at = opened(selected="1-3")
    for asked, shown in ASKED:
        at.query_params.clear()
        for name, value in (asked | {"selected": "1-3"}).items():
            at.query_params[name] = value
        whole(at.run())
        assert {key: values(at).get(key) for key in shown} == shown and not at.error
    assert "budget" not in address(at)
