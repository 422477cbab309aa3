"""Look inside: a sample on its way through the network, stage by stage, and the weights it meets."""

import pyarrow as pa
import streamlit as st
import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.figures.bars import probability_bars
from core.figures.in_words import in_words
from core.figures.maps import colour_picture, map_sheet, row_picture
from core.inspection import InspectionError, SigmoidSteps, SoftmaxSteps, Stage, layer_of, probability_steps, walk
from core.inspection.activations.walk import BETWEEN, IMAGE, NORMALISED
from core.inspection.activations.windows import POOLING, number
from core.models import ModelError
from core.wording import chance, percent
from pages.parts.build.layer_arithmetic import batch_norm_detail, linear_detail, window_detail
from pages.parts.build.subject import InspectedNetwork, Sample, choose_sample, choose_subject
from pages.parts.build.weights import weights_section
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.scroll import place_to_scroll_to
from pages.parts.widgets.table import draw_table, rows_table

WALK, WEIGHTS = keys.LOOK_WALK, "Weights"
VECTOR_PICTURE, MAPS_PICTURE = 4096, 128  # how many numbers of a row, and how many maps, are drawn
EXPLAINED = {
    IMAGE: "The picture as it is: each pixel is a number from 0 (black) to 1 (white).",
    NORMALISED: "The same picture on another scale, (pixel − mean) / standard deviation. Networks often learn faster from "
                "numbers around 0.",
    BETWEEN: "Computed in forward between two layers: an addition of a shortcut, a flatten, or a function such as torch.relu.",
    "Conv2d": "A small window of weights slides over the picture and answers at every place: each map shows where one filter "
              "found what it looks for (red) or the opposite (blue).",
    "ReLU": "Everything below 0 becomes 0, the rest stays. What remains is where a filter found something.",
    "LeakyReLU": "What is below 0 is made much smaller, the rest stays.",
    "GELU": "Like ReLU with a soft bend: what is well below 0 becomes almost 0.",
    "Sigmoid": "Every number is squeezed between 0 and 1.",
    "Tanh": "Every number is squeezed between −1 and 1.",
    "MaxPool2d": "Each little window keeps its largest number: fewer pixels, and what was found stays found.",
    "AvgPool2d": "Each little window becomes its mean: fewer pixels, smoother maps.",
    "AdaptiveAvgPool2d": "Each map becomes a few means, here without regard to where something was found.",
    "BatchNorm2d": "Each map is shifted and scaled with the mean and standard deviation met in training, so that the next "
                   "layer gets numbers of a usual size.",
    "BatchNorm1d": "Each number is shifted and scaled with the mean and standard deviation met in training.",
    "Dropout": "Switches units off in training only. Here, as in every test, it lets everything pass unchanged.",
    "Flatten": "The same numbers in one row: first map first, line by line. Nothing is computed, only where a number stood is "
               "forgotten.",
    "Linear": "Every unit adds up all numbers that come in, each times a weight of its own, and a bias.",
    "Softmax": "Scores become shares that add up to 1.",
}


def walk_section(server: Services, config: RunConfig, model: nn.Module | None) -> None:
    """The whole section, drawn anew without the rest of the page. Nothing is computed until a view is chosen.

    model: the network of `config`, also one without numbers (meta device); None where it can't be built.
    """

    def section() -> None:
        place_to_scroll_to("build.look.place", st.session_state.get(keys.SCROLL_TO_WALK, ""))
        st.header("Look inside")
        view = st.segmented_control("View", [WALK, WEIGHTS], key=keys.LOOK, bind="query-params", label_visibility="collapsed")
        if view is None:
            st.caption("Send one picture through the network and see what every layer makes of it, or look at the weights.")
            return
        try:
            left, right = st.columns(2)
            with left:
                subject = choose_subject(server, config, model)
            if subject is None:
                return
            if view == WEIGHTS:
                weights_section(subject)
                return
            with right:
                sample = choose_sample(subject)
            _walk(subject, sample)
        except (InspectionError, ModelError) as error:
            st.error(as_text(str(error)), icon=":material/error:")

    st.fragment(section)()


def _walk(subject: InspectedNetwork, sample: Sample) -> None:
    if not subject.trained:
        st.caption("Its weights are still random, so the maps show chance patterns. Train it, then choose the run above to see "
                   "what training changed.")
    stages = _stages(subject, sample)
    names = [*(f"{index} · {stage.name} · {stage.kind} · {shape_text(stage)}" for index, stage in enumerate(stages)),
             f"{len(stages)} · probabilities"]
    place = _stepper(names)
    if place == len(stages):
        _probabilities(subject, stages[-1], sample)
    else:
        _show(subject, stages, place)
    with st.expander("All stages as a table", icon=":material/table_rows:"):
        draw_table(_table(stages), hide_index=True, height="content", key="build.look.table")


def _stages(subject: InspectedNetwork, sample: Sample) -> list[Stage]:
    """The walk, kept while network and sample stay the same, so that a slider does not repeat it."""
    wanted = (subject.key, sample.key)
    kept = st.session_state.get(keys.WALK)
    if kept is None or kept[0] != wanted:
        kept = st.session_state[keys.WALK] = (wanted, walk(subject.model, sample.images, subject.mean, subject.std))
    return kept[1]


def _stepper(names: list[str]) -> int:
    """Which stage, with a step back and a step on. It stays the same when another sample goes through."""
    last = len(names) - 1
    key = f"build.look.stage.{hash(tuple(names))}"  # options with other names are another widget

    def move(by: int) -> None:
        st.session_state[key] = min(max(0, st.session_state[key] + by), last)

    st.session_state.setdefault(key, min(st.session_state.get(keys.WALK_STAGE, 0), last))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        at = st.selectbox("Stage", range(len(names)), format_func=names.__getitem__, key=key, width=420)
        st.button("Back", icon=":material/arrow_back:", key="build.look.back", on_click=move, args=(-1,), disabled=at == 0)
        st.button("Next", icon=":material/arrow_forward:", key="build.look.next", on_click=move, args=(1,),
                  disabled=at == last, type="primary")
    st.session_state[keys.WALK_STAGE] = at
    return at


def shape_text(stage: Stage) -> str:
    """Batch first: 1×32×28×28."""
    return "×".join(map(str, stage.shape)) or "one number"


def _table(stages: list[Stage]) -> pa.Table:
    return rows_table([{
        "Stage": stage.name, "Kind": stage.kind, "Settings": stage.arguments, "Shape": shape_text(stage),
        "Smallest": number(stage.minimum), "Largest": number(stage.maximum), "Mean": number(stage.mean),
        "Zeros": percent(stage.zeros, 0),
    } for stage in stages])


def _show(subject: InspectedNetwork, stages: list[Stage], place: int) -> None:
    """One stage: numbers, a sentence, a picture, and the arithmetic behind one number of it."""
    stage = stages[place]
    metrics_row({
        "Shape": (shape_text(stage), "Batch first, then channels, height and width; or batch and features."),
        "Range": (f"{number(stage.minimum)} to {number(stage.maximum)}", "Smallest and largest number."),
        "Mean": (number(stage.mean), None),
        "Zeros": (percent(stage.zeros, 0), "Share of numbers that are exactly 0."),
    })
    st.markdown(EXPLAINED.get(stage.kind, f"{stage.kind}: {stage.arguments or 'see its page in the PyTorch documentation'}."))
    if stage.not_finite:
        st.warning(f"{stage.not_finite:,} numbers are infinite or NaN (magenta). No layer after this one can use them.",
                   icon=":material/error:")
    _picture(stage)
    layer = layer_of(subject.model, stage)
    source = None if stage.source is None else stages[stage.source]
    if layer is None or source is None:
        return
    if isinstance(layer, (nn.Conv2d, *POOLING)) and stage.values.dim() == 3:
        window_detail(layer, source, stage)
    elif isinstance(layer, nn.Linear) and stage.values.dim() == 1:
        linear_detail(layer, stages, place, subject)
    elif isinstance(layer, nn.BatchNorm2d) and stage.values.dim() == 3:
        batch_norm_detail(layer, source, stage)


def _picture(stage: Stage) -> None:
    """Maps as a contact sheet, a row of numbers as a row."""
    values, about = stage.values, f"{stage.name}, shape {shape_text(stage)}"
    if values.dim() == 3 and values.shape[1:].numel() > 1:
        if stage.kind == IMAGE and values.shape[0] in (1, 3):
            st.image(colour_picture(values), output_format="PNG", alt=about)
            return
        own = values.shape[0] > 1 and st.toggle(
            "Each map on its own scale", key="build.look.own",
            bind="query-params", help="Shows faint patterns, but maps can't be compared then.")
        st.image(map_sheet(values, own_scale=own, most=MAPS_PICTURE), output_format="PNG", alt=about)
    else:
        values = values.flatten()
        st.image(row_picture(values, VECTOR_PICTURE), output_format="PNG", alt=about)
    drawn = [f"The first {limit} of {count:,} {what} are drawn." for limit, count, what in (
        (MAPS_PICTURE, stage.shape[1] if len(stage.shape) == 4 else 0, "maps"),
        (VECTOR_PICTURE, values.numel() if values.dim() == 1 else 0, "numbers")) if count > limit]
    first = ["The first image of the batch."] if stage.shape[:1] > (1,) else []
    scale = "Blue is below 0, white is 0, red is above." if stage.minimum < 0 else "Black is 0, white the largest number."
    st.caption(" ".join([scale, *first, *drawn]))


def _probabilities(subject: InspectedNetwork, last: Stage, sample: Sample) -> None:
    """Logits to probabilities, row by row, as the run's loss wants them."""
    logits = last.values.flatten()
    if not bool(torch.isfinite(logits).all()):
        st.warning("The last layer returned infinite or NaN numbers; there are no probabilities for them.")
        return
    steps = probability_steps(subject.config.training.loss, logits)
    softmax = isinstance(steps, SoftmaxSteps)
    probabilities = _softmax(steps, subject.classes) if softmax else _sigmoid(steps, subject.classes)
    classes = _names(subject.classes, len(probabilities))
    height = max(120, 28 * len(classes) + 40)
    chart = probability_bars(classes, probabilities.tolist())
    st.echarts_chart(chart, height=height, key="build.look.bars", alt=in_words(chart, "Chance of each class"))
    right = f" It is labelled {as_text(sample.label)}." if sample.label else ""
    st.markdown(f"It says **{as_text(classes[int(probabilities.argmax())])}**.{right}")


def _names(classes: tuple[str, ...], count: int) -> list[str]:
    return list(classes) if len(classes) == count else [f"output {i}" for i in range(count)]


def _steps(rows: dict[str, Tensor], names: list[str]) -> None:
    draw_table(rows_table([{"": step} | dict(zip(names, map(number, row.tolist()), strict=True)) for step, row in rows.items()],
                          index=""), key="build.look.steps")


def _softmax(steps: SoftmaxSteps, classes: tuple[str, ...]) -> Tensor:
    st.markdown("**Softmax** turns the last layer's scores (logits) into shares that add up to 1: take the largest score away, "
                "raise e to each, divide by the sum.")
    _steps({"logit": steps.logits, f"minus the largest ({number(steps.maximum)})": steps.shifted,
            "e to that": steps.exponentials, f"divided by the sum ({number(steps.total)})": steps.probabilities},
           _names(classes, len(steps.logits)))
    st.caption("Taking the largest away changes no share, since it divides top and bottom by the same number; it keeps e from "
               "growing beyond what a computer can hold.")
    return steps.probabilities


def _sigmoid(steps: SigmoidSteps, classes: tuple[str, ...]) -> Tensor:
    single = len(steps.logits) == 1
    st.markdown("**Sigmoid** turns each score (logit) into a probability of its own: 1 / (1 + e to minus the logit). Above 0 "
                "means more likely yes than no.")
    _steps({"logit": steps.logits, "e to minus that": steps.exponentials, "1 plus that": steps.denominators,
            "1 divided by that": steps.sigmoids}, [classes[-1]] if single else _names(classes, len(steps.logits)))
    st.caption(f"The rest, {chance(float(steps.normalized[0]))}, is the probability of “{as_text(classes[0])}”." if single else
               "Each class is a question of its own, so these need not add up to 1; a prediction divides them by their sum.")
    return steps.normalized
