"""The arithmetic behind one number that a layer returned: a window's sum, a unit's strongest weights, batch norm."""

import pyarrow as pa
import streamlit as st
from torch import Tensor, nn

from core.figures.in_words import in_words
from core.figures.maps import map_sheet
from core.figures.windows import numbers_heatmap, sliding_kernel
from core.inspection import (
    Stage,
    WindowError,
    batch_norm_steps,
    boxes_along,
    linear_sum,
    output_at,
    picture_before,
    place_of,
    strongest_weights,
    templates,
)
from core.inspection.activations.windows import ConvolutionSum, PoolingResult, added, number
from pages.parts.build.subject import InspectedNetwork
from pages.parts.widgets.table import draw_table, rows_table

PLAIN = {"displayModeBar": False}
STRONGEST = 10
LONGEST_SUM = 25  # terms that fit on a few lines


def _pixel(stage: Stage) -> tuple[int, int, int]:
    """Sliders for one number of (C, h, w) maps. Starts at the largest number of the first map, which is worth a look."""
    maps, height, width = stage.values.shape
    key = f"build.look.{stage.name}.{maps}.{height}.{width}"
    with st.container(horizontal=True):
        channel = st.number_input(f"Map (0 to {maps - 1})", 0, maps - 1, 0, key=f"{key}.map", width=140)
        row_start, column_start = divmod(int(stage.values[channel].argmax()), width)
        row = st.number_input(f"Row (0 to {height - 1})", 0, height - 1, row_start, key=f"{key}.row.{channel}.{row_start}",
                              width=140)
        column = st.number_input(f"Column (0 to {width - 1})", 0, width - 1, column_start,
                                 key=f"{key}.column.{channel}.{column_start}", width=140)
    return int(channel), int(row), int(column)


def window_detail(layer: nn.Module, source: Stage, stage: Stage) -> None:
    """One output pixel of a convolution or pooling, and where its window lies."""
    st.markdown("### One output pixel, written out")
    if not source.complete:
        st.caption("This layer's input is too large to keep, so its windows can't be shown.")
        return
    channel, row, column = _pixel(stage)
    try:
        at = output_at(layer, source.values, channel, row, column)
        boxes = boxes_along(layer, source.values, channel, row, stage.values.shape[2])
    except WindowError as error:
        st.caption(f"{error}.")
        return
    if isinstance(at, ConvolutionSum):
        shown = _input_channel(at)
        input_map = source.values[at.first_channel + shown]
    else:
        input_map = source.values[channel]
    figure = sliding_kernel(input_map, stage.values[channel], boxes, row, column)
    st.plotly_chart(figure, key="build.look.slide", config=PLAIN,
                    alt=in_words(figure, "The map that goes in, with the window of this number, and the map that comes out"))
    if isinstance(at, ConvolutionSum):
        _convolution(at, shown)
    else:
        _pooling(at)


def _input_channel(at: ConvolutionSum) -> int:
    """Which input map's part of the sum is shown: the one that counts most, or another."""
    maps = len(at.channel_sums)
    if maps == 1:
        return 0
    first, best = at.first_channel, at.strongest_channel
    key = f"build.look.input.{first}.{maps}.{best}"
    st.caption(f"The filter has a window of weights for each of its {maps} input maps; map {first + best} counts most here.")
    return int(st.number_input(f"Input map ({first} to {first + maps - 1})", first, first + maps - 1, first + best, key=key,
                               width=180)) - first


def _convolution(at: ConvolutionSum, shown: int) -> None:
    parts = {"Window": at.window[shown], "× weights": at.kernel[shown], "= products": at.products[shown]}
    with st.container(horizontal=True, gap="small"):
        for title, values in parts.items():
            figure = numbers_heatmap(values, title, outside=~at.inside if title == "Window" else None)
            st.plotly_chart(figure, key=f"build.look.cells.{title}", config=PLAIN, width="content", alt=in_words(figure, title))
    if not bool(at.inside.all()):
        st.caption("In brackets: padding around the picture, which is not part of it.")
    sums = at.channel_sums
    which = f" of input map {at.first_channel + shown}" if len(sums) > 1 else ""
    if at.window[shown].numel() <= LONGEST_SUM:
        st.markdown(f"Products{which}: {at.written_out(shown)}")
    else:
        st.markdown(f"{at.window[shown].numel()} products{which} add up to {number(sums[shown])}.")
    others = f" {added(sum(sums) - sums[shown])} from the other {len(sums) - 1} input maps" if len(sums) > 1 else ""
    st.markdown(f"{number(sums[shown])}{others} {added(at.bias)} (bias) = **{number(at.total)}**, the output pixel.")


def _pooling(at: PoolingResult) -> None:
    figure = numbers_heatmap(at.window, "Window", outside=~at.inside, mark=at.winner)
    st.plotly_chart(figure, key="build.look.cells", config=PLAIN, width="content",
                    alt=in_words(figure, "The numbers in the window"))
    if at.rule == "max":
        st.markdown(f"The largest number wins (framed): **{number(at.total)}**.")
    else:
        st.markdown(f"The sum divided by {at.divisor}: **{number(at.total)}**.")


def batch_norm_detail(layer: nn.BatchNorm2d, source: Stage, stage: Stage) -> None:
    """One number through batch norm."""
    st.markdown("### One number, written out")
    channel, row, column = _pixel(stage)
    try:
        steps = batch_norm_steps(layer, channel, float(source.values[channel, row, column]))
    except ValueError as error:
        st.caption(f"{error}.")
        return
    st.markdown(f"({number(steps.value)} {added(-steps.mean)}) / √({number(steps.variance)} + {number(steps.eps)}) · "
                f"{number(steps.weight)} {added(steps.bias)} = **{number(steps.result)}**")
    st.caption("Value minus the channel's running mean, divided by its running deviation; then times a learned weight, plus a "
               "learned bias.")


def linear_detail(layer: nn.Linear, stages: list[Stage], place: int, subject: InspectedNetwork) -> None:
    """One unit: the products that decide it, and its weights as a picture where its input was one."""
    st.markdown("### One unit, written out")
    stage, before = stages[place], stages[stages[place].source or 0]
    if not before.complete or tuple(before.values.shape) != (layer.in_features,):
        st.caption("This layer's input is too large to keep, so its products can't be shown.")
        return
    classes = subject.classes  # the session keeps what a widget is given: not the subject with its network
    named = place == len(stages) - 1 and layer.out_features == len(classes)
    unit = st.selectbox("Unit", range(layer.out_features), int(stage.values.argmax()),
                        format_func=lambda i: f"{i} · {classes[i]}" if named else str(i), width=220,
                        key=f"build.look.unit.{stage.name}.{int(stage.values.argmax())}")
    total = linear_sum(layer, before.values, unit)
    st.markdown(f"{layer.in_features:,} products add up to {number(total.products)}; {added(total.bias)} (bias) = "
                f"**{number(total.total)}**. The {min(STRONGEST, layer.in_features)} that count most:")
    shape = picture_before(stages, stages[place].source or 0)
    draw_table(_strongest(layer, unit, before.values, shape), hide_index=True, height="content", key="build.look.strongest")
    if shape is not None and shape == subject.input_shape and (pictures := templates(layer, shape)) is not None:
        st.image(map_sheet(pictures[unit]), output_format="PNG", alt=f"Weights of unit {unit} as a picture")
        st.caption("This unit's weights, one for each pixel: ink on red speaks for it, ink on blue against it.")


def _strongest(layer: nn.Linear, unit: int, values: Tensor, shape: tuple[int, ...] | None) -> pa.Table:
    rows = []
    for one in strongest_weights(layer, STRONGEST, unit, values):
        row = {"Input": one.feature}
        if shape is not None and shape[1:].count(1) < 2:  # maps of one pixel: the input's number is the map's
            row |= dict(zip(("Map", "Row", "Column"), place_of(one.feature, shape), strict=True))
        rows.append(row | {"Value": number(one.value or 0), "Weight": number(one.weight), "Product": number(one.product or 0)})
    return rows_table(rows)
