"""From an edit to the new table: python -m benchmarks.composer_speed [--repeats 30].

The core's part is what an edit costs without any page: the edit, the check of every row, the network on the meta device and
its layer table. The page's part is the whole script of the page Build model, run by Streamlit's AppTest in this process: it
holds the core's part and every widget, but neither the network nor the browser.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from streamlit.testing.v1 import AppTest

from benchmarks.conditions import conditions, spread
from core.inspection import describe_layers
from core.models import MobileNetV3SmallConfig, ModelConfig, ResNet18Config, SmallResNetConfig, StackConfig, VGG16Config, build
from core.models.composer import check, replace
from core.models.layers import (
    BatchNorm2dConfig,
    Conv2dConfig,
    DropoutConfig,
    FlattenConfig,
    LinearConfig,
    MaxPool2dConfig,
    ReLUConfig,
)
from core.models.small_resnet import layers_of
from pages.parts.shell import keys

SHAPE, OUTPUTS = (1, 28, 28), 10
PAGE = Path(__file__).parents[1] / "pages/build_model.py"


def thirty_layers() -> StackConfig:
    """Six blocks of four layers, then six layers: 30 rows."""
    block = (Conv2dConfig(out_channels=16), BatchNorm2dConfig(), ReLUConfig())
    layers = [layer for number in range(6) for layer in (*block, MaxPool2dConfig() if number < 3 else ReLUConfig())]
    linear = (FlattenConfig(), LinearConfig(), ReLUConfig(), DropoutConfig(), LinearConfig(out_features=32))
    return StackConfig(layers=(*layers, *linear, LinearConfig(out_features=0)))


def table_after_edit(stack: StackConfig, filters: int) -> None:
    """What one edit makes the core do."""
    edited = replace(stack, 0, Conv2dConfig(out_channels=filters))
    check(edited, SHAPE, OUTPUTS)
    table(edited)


def table(config: ModelConfig) -> None:
    """A network's layer table, from its config."""
    with torch.device("meta"):
        model = build(config, SHAPE, OUTPUTS)
    describe_layers(model, SHAPE)


def timed(work: Callable[[int], object], repeats: int) -> list[float]:
    """Milliseconds for each call, after two that are not counted."""
    times = []
    for number in range(repeats + 2):
        start = time.perf_counter()
        work(number)
        times.append((time.perf_counter() - start) * 1000)
    return times[2:]


def page_with(stack: StackConfig) -> AppTest:
    """The page, composing `stack`, with its first row open."""
    at = AppTest.from_file(str(PAGE), default_timeout=60).run()
    at.session_state[keys.DRAFT] = at.session_state[keys.DRAFT] | {"model": stack.model_dump(mode="json")}
    at.run()
    at.button(key="compose.row.1").click().run()
    return at


def edit_on_page(at: AppTest, filters: int) -> None:
    """Another number of filters in the first row."""
    key = f"compose.{at.session_state[keys.COMPOSE_VERSION]}.1.conv2d.out_channels"
    at.number_input(key=key).set_value(filters).run()
    if at.exception or f"1→{filters}" not in at.dataframe[0].value["Settings"][0]:
        raise RuntimeError("the page does not show the edit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    print(conditions())
    stack = thirty_layers()
    print(f"an edit to the new table, {len(stack.layers)} layers (aim ≤ 150 ms):")
    print(f"  core            {spread(timed(lambda n: table_after_edit(stack, 8 + n), args.repeats), 'ms', 1)}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PLAYGROUND_RUNS": folder, "PLAYGROUND_WORKERS": "0"}
        at = page_with(stack)
        print(f"  page            {spread(timed(lambda n: edit_on_page(at, 17 + n), args.repeats), 'ms', 1)}")
    print("the layer table of a whole network (aim for ResNet-18 ≤ 400 ms):")
    for name, config in {"ResNet-18": ResNet18Config(), "VGG-16": VGG16Config(), "MobileNetV3-S.": MobileNetV3SmallConfig(),
                         "Small ResNet": SmallResNetConfig(), "… composed": layers_of(SmallResNetConfig())}.items():
        print(f"  {name:<15} {spread(timed(lambda n, config=config: table(config), args.repeats), 'ms', 1)}")


if __name__ == "__main__":
    main()
