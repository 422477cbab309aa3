"""How long a lab takes from a control to the new picture, on the server: `python -m benchmarks.lab_speed`.

Each control is changed a number of times through Streamlit's own AppTest, which runs the page's script as the server does, and
the expression box is also measured alone with its slowest expressions. The aim is 150 ms at most for every control.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from streamlit.testing.v1 import AppTest

from benchmarks.conditions import conditions, spread
from core.labs import ExpressionError, evaluate_expression

ROOT = Path(__file__).parents[1]
AIM = 150  # ms
Change = Callable[[AppTest, int], object]

# (page, topic): what a person does, the i-th time
CONTROLS: dict[tuple[str, str], Change] = {
    ("tensors", "Create"): lambda at, i: at.slider(key="tensors.rows").set_value(2 + i % 5),
    ("tensors", "Index and slice"): lambda at, i: at.text_input(key="tensors.index").set_value(f"x > {i % 9}"),
    ("tensors", "Join"): lambda at, i: at.slider(key="tensors.join_rows").set_value(1 + i % 4),
    ("tensors", "Products"): lambda at, i: at.slider(key="tensors.product_step_matrix").set_value(1 + i % 4),
    ("tensors", "Broadcasting"): lambda at, i: at.text_input(key="tensors.shape_b").set_value(str(1 + i % 8)),
    ("tensors", "Reduce"): lambda at, i: at.radio(key="tensors.reduce_dim").set_value(f"dim={i % 2}"),
    ("tensors", "In place"): lambda at, i: at.radio(key="tensors.in_place").set_value(("needed", "copy", "leaf")[i % 3]),
    ("tensors", "NumPy"): lambda at, i: at.slider(key="tensors.position").set_value(i % 5),
    ("tensors", "Your own expression"): lambda at,
    i: at.text_input(key="tensors.expression").set_value(f"torch.rand({20 + i % 5}, 24)"),
    ("autograd", "Step by step"): lambda at, i: at.slider(key="autograd.step_10").set_value(1 + i % 10),
    ("autograd", "Accumulate"): lambda at, i: at.button(key="autograd.again").click(),
    ("autograd", "Switch it off"): lambda at, i: at.toggle(key="autograd.no_grad").set_value(i % 2 == 0),
    ("autograd", "Check it"): lambda at, i: at.text_area(key="autograd.inputs").set_value(
        "\n".join(f"{i % 7}, 0.5, {place}, -1" for place in range(5))),
    ("first_networks", "Line by line"): lambda at, i: at.radio(key="first.line").set_value(1 + i % 11),
    ("first_networks", "Training and new samples"): lambda at,
    i: at.slider(key="first.epochs.toy-sigmoid").set_value(400 - 10 * (i % 30)),
    ("linear_regression", "Watch it converge"): lambda at, i: at.slider(key="regression.step.1000").set_value(i * 37 % 1000),
    ("linear_regression", "Predictions and residuals"): lambda at,
    i: at.slider(key="regression.points").set_value(100 + 10 * (i % 9)),
    ("linear_regression", "Learning rate"): lambda at,
    i: at.select_slider(key="regression.rate").set_value((0.01, 0.1, 1.2)[i % 3]),
    ("text", "Words to numbers"): lambda at, i: at.number_input(key="text.number.words.120").set_value(1 + i % 100),
    ("text", "Map of words"): lambda at,
    i: at.segmented_control(key="text.when").set_value(("Before training", "After training")[i % 2]),
    ("text", "What decided"): lambda at, i: at.number_input(key="text.number.decision.120").set_value(1 + i % 100),
    ("text", "Word order"): lambda at, i: at.text_input(key="text.order").set_value(f"not {'very ' * (i % 9)}good"),
    ("decision_boundary", "Data set"): lambda at, i: at.button(key=f"plane.set.{('xor', 'moons')[i % 2]}").click(),
    ("decision_boundary", "Units"): lambda at, i: at.number_input(key="plane.0.units.0").set_value(1 + i % 8),
    ("decision_boundary", "Noise"): lambda at, i: at.select_slider(key="plane.0.data.noise").set_value((i % 10) / 20),
    ("decision_boundary", "Learning rate"): lambda at, i: at.select_slider(
        key="plane.0.training.optimizer.learning_rate").set_value((0.1, 0.3)[i % 2]),
}
KEYS = {"first_networks": "first", "linear_regression": "regression"}  # of a page's widgets, where not its own name
SLOW = {  # the most that the limits let through, and the quickest refusals
    "a @ b": "a @ b",
    "4 products of (316, 316)": "@".join(["torch.rand(316,316)"] * 5),
    "2 products of (316, 316), int64": "@".join(["torch.ones(316,316).long()"] * 3),
    "sorting 100,000 numbers, 6 times": "torch.rand(99999)" + ".sort().values" * 6,
    "refused: 10**10**10": "10**10**10",
    "refused: torch.ones(10**9)": "torch.ones(10**9)",
}


def milliseconds(work: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append((time.perf_counter() - start) * 1000)
    return took


def measure(page: str, topic: str, change: Change, times: int) -> list[float]:
    """Milliseconds from the change to the end of the script run, after one to warm up."""
    at = AppTest.from_file(str(ROOT / "pages" / f"learn_{page}.py"), default_timeout=60)
    at.session_state[f"{KEYS.get(page, page)}.topic"] = topic
    at.run()
    took = []
    for i in range(times + 1):
        change(at, i)
        took += milliseconds(at.run, 1)
        if at.exception:
            raise RuntimeError(at.exception[0].value)
    return took[1:]


def evaluated(text: str) -> None:
    try:
        evaluate_expression(text)
    except ExpressionError:
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    logging.disable(logging.WARNING)  # AppTest runs without a browser, and Streamlit says so each time
    torch.set_num_threads(1)
    print(conditions())
    worst = 0.0
    with tempfile.TemporaryDirectory() as runs:
        os.environ.update(PLAYGROUND_RUNS=runs, PLAYGROUND_WORKERS="0")
        for (page, topic), change in CONTROLS.items():
            took = measure(page, topic, change, times)
            worst = max(worst, statistics.median(took))
            print(f"{page}, {topic}: {spread(took, 'ms', 0)}")
    print(f"slowest control (median): {worst:.0f} ms of at most {AIM}")
    for name, text in SLOW.items():
        print(f"expression, {name}: {spread(milliseconds(lambda text=text: evaluated(text), times), 'ms')}")


if __name__ == "__main__":
    main()
