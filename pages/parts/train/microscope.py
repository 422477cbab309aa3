"""One step under the microscope: what do zero_grad, backward and step do?"""

from collections.abc import Callable

import pyarrow as pa
import streamlit as st
import torch

from core.config import RunConfig
from core.data import DataError
from core.export.step_code import step_code
from core.fields import ConfigError
from core.figures.images import contact_sheet
from core.figures.in_words import in_words
from core.figures.windows import histogram_chart
from core.inspection import InspectionError, histogram
from core.models import ModelError
from core.runs import CheckpointError, Run
from core.runs.checkpoints import TRAINING, load_training
from core.runs.starting import starting_model
from core.training import build_for, computed_in
from core.training.microscope import (
    FrozenStep,
    Microscope,
    MicroscopeError,
    WeightTrace,
    check_config,
    open_fresh,
    pulls,
    strongest,
    trace_weight,
)
from core.training.update_rules import precise
from core.wording import chance, percent
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import columns_table, draw_table, rows_table

FRESH, FROM_RUN = "Fresh weights, these settings", "This run's last checkpoint"
BEFORE, ZERO, BACKWARD, STEP = STAGES = ("Before", "zero_grad()", "backward()", "step()")
BATCH, LAYERS, CODE = VIEWS = ("The batch", "All layers", "The code")
SHOWN = 48  # examples of a batch
WORDS_SHOWN = 12
EXAMPLE = {"images": "image", "points": "point", "text": "text"}
EXAMPLES = {"images": "Images", "points": "Points", "text": "Texts"}
PLACES = {1: ("Unit",), 2: ("Unit", "Input"), 4: ("Filter", "Input map", "Row", "Column")}  # of a weight, by its dimensions
EXPLAINED = {
    BEFORE: "So far the weight has its value. The gradient that the step before computed still lies beside it, in `weight.grad`; "
            "before the very first step there is none.",
    ZERO: "`optimizer.zero_grad()` forgets the old gradients: `weight.grad` is `None`. No weight changes. It is needed because "
          "`backward()` adds to what is there.",
    BACKWARD: "The batch goes through the network and gives a loss. `loss.backward()` then works out for every weight how the "
              "loss changes with it, and puts that number into `weight.grad`. Still no weight changes.",
    STEP: "`optimizer.step()` changes every weight by its gradient, the way this optimizer does it. It looks at nothing but "
          "`weight.grad` and its own memory. The gradient stays where it is until the next `zero_grad()`.",
}
EXPLAINED_L1 = (" With L1 regularisation it is `(loss + penalty).backward()`: the penalty is λ₁ times the sum of all weights' "
                "sizes, so each gradient gets λ₁·sign(w) on top.")
# the optimizer's memory by PyTorch's names: its letter in the formulas, and what it is
KEPT = {"momentum_buffer": ("b", "momentum"), "exp_avg": ("m", "running mean of the gradients"),
        "exp_avg_sq": ("v", "running mean of their squares"), "square_avg": ("v", "running mean of the squared gradients"),
        "sum": ("s", "sum of the squared gradients"), "step": ("t", "steps taken")}


def microscope_section(server: Services, config: RunConfig, run: Run | None) -> None:
    """The whole section, drawn anew without the rest of the page. Nothing is computed until it is opened."""

    def section() -> None:
        st.header("One step under the microscope")
        if not st.toggle("Freeze a step", key="train.microscope", bind="query-params",
                         help="Training is this, thousands of times. What do zero_grad, backward and step do?"):
            st.caption("One batch, its loss, and one weight on its way from the old value to the new one, with the optimizer's "
                       "formula and numbers.")
            return
        try:
            _look(server, config, run)
        except (MicroscopeError, ModelError, InspectionError, DataError, ConfigError) as error:
            st.info(as_text(str(error)), icon=":material/block:")
        except CheckpointError as error:
            st.error(as_text(str(error)), icon=":material/broken_image:")

    st.fragment(section)()


def _look(server: Services, config: RunConfig, run: Run | None) -> None:
    config, wanted, start = _choose(server, config, run)
    kept = st.session_state.get(keys.MICROSCOPE)
    if kept is None or kept[0] != wanted:
        st.session_state.pop(keys.MICROSCOPE, None)  # before the new one takes memory
        with st.spinner("Taking one step…"):
            scope = start()
            kept = st.session_state[keys.MICROSCOPE] = (wanted, scope, scope.take_step())
    _, scope, frozen = kept
    _buttons(wanted, scope, frozen)
    _numbers(config, scope, frozen)
    name, index = _stages(config, scope, frozen)
    view = st.segmented_control("More of this step", VIEWS, key="train.microscope.view", bind="query-params")
    if view == BATCH:
        _batch(scope, frozen)
    elif view == LAYERS:
        _layers(config, frozen)
    elif view == CODE:
        _code(config, scope, frozen, name, index)


def _choose(server: Services, config: RunConfig, run: Run | None) -> tuple[RunConfig, tuple[str, ...], Callable[[], Microscope]]:
    """Which training is looked at: its config, what identifies it, and how to begin."""
    path = server.store.folder(run.id) / TRAINING if run else None
    options = [FRESH] + ([FROM_RUN] if path and path.exists() else [])
    chosen = st.segmented_control("Begin with", options, default=options[-1], required=True,
                                  key=f"train.microscope.begin.{len(options)}.{run.id if run else ''}")
    if chosen == FROM_RUN and run:
        return run.config, ("run", run.id, run.config.model_dump_json()), lambda: _from_run(server, run)
    return config, ("fresh", config.model_dump_json()), lambda: open_fresh(
        config, dataset(config.data, server.settings),
        lambda config, data: starting_model(server.store, config, data, server.settings))


def _from_run(server: Services, run: Run) -> Microscope:
    data = dataset(run.config.data, server.settings)
    check_config(run.config, data)
    model = build_for(run.config, data)
    return Microscope(computed_in(run.config, run.precision), data, model, load_training(server.store, run.id, model))


def _buttons(wanted: tuple[str, ...], scope: Microscope, frozen: FrozenStep) -> None:
    def following() -> None:
        st.session_state[keys.MICROSCOPE] = (wanted, scope, scope.take_step())
        st.session_state["train.microscope.stage"] = BEFORE

    def again() -> None:
        st.session_state.pop(keys.MICROSCOPE, None)
        st.session_state["train.microscope.stage"] = BEFORE

    def onward() -> None:
        at = STAGES.index(st.session_state["train.microscope.stage"])
        st.session_state["train.microscope.stage"] = STAGES[min(at + 1, len(STAGES) - 1)]

    st.session_state.setdefault("train.microscope.stage", BEFORE)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        stage = st.segmented_control("Stage", STAGES, required=True, key="train.microscope.stage", bind="query-params")
        if stage == STEP:
            st.button("Next step", icon=":material/skip_next:", type="primary", on_click=following, key="train.microscope.next",
                      help="Go on with the next batch. Weights, gradients and the optimizer's memory stay.")
        else:
            st.button(f"Do {STAGES[STAGES.index(stage) + 1]}", icon=":material/arrow_forward:", type="primary", on_click=onward,
                      key="train.microscope.onward")
        st.button("Start over", icon=":material/replay:", on_click=again, key="train.microscope.again",
                  help="Back to the weights it began with; of a run that trains, to its newest checkpoint.")


def _numbers(config: RunConfig, scope: Microscope, frozen: FrozenStep) -> None:
    without = " Without the L1 penalty, as in a run's curves." if config.training.l1 else ""
    metrics_row({
        "Step": (f"{frozen.number:,}", f"Counted from 1; in epoch {frozen.epoch}."),
        "Learning rate": (precise(frozen.learning_rate), "Of this step, as the schedule has it."),
        f"{EXAMPLES[scope.data.kind]} in the batch": (f"{len(frozen.labels):,}", None),
        "Loss before": (f"{frozen.loss:.4f}", f"Mean over the batch, with the old weights.{without}"),
        "Loss after": (f"{frozen.loss_after:.4f}" if st.session_state["train.microscope.stage"] == STEP else "–",
                       "Of the same batch with the new weights."),
    })
    if len(frozen.labels) < frozen.of:
        st.caption(f"The run's batch has {frozen.of:,} {EXAMPLES[scope.data.kind].lower()}; {len(frozen.labels):,} of them are "
                   "used here, so that it fits into memory. Numbers differ from the run's.")


def _stages(config: RunConfig, scope: Microscope, frozen: FrozenStep) -> tuple[str, tuple[int, ...]]:
    """One weight, at each stage up to the chosen one; which one it is."""
    name, index = _pick_weight(frozen)
    seen = trace_weight(config, frozen, name, index)
    stage = st.session_state["train.microscope.stage"]
    st.markdown(EXPLAINED[stage] + (EXPLAINED_L1 if stage == BACKWARD and config.training.l1 else ""))
    draw_table(_table(seen, stage), key="train.microscope.stages", height="content")
    if memory := _memory(seen):
        st.caption("The optimizer's memory for this weight: " + ", ".join(f"{KEPT[kind][0]} {KEPT[kind][1]}" for kind in memory)
                   + ". Only step() changes it.")
    if stage == BEFORE and seen.old is None and frozen.number > 1:
        st.caption("A checkpoint keeps weights and the optimizer's memory, but no gradients: none are needed to go on.")
    elif stage == ZERO and seen.old is not None and seen.gradient is not None:
        st.caption(f"Without zero_grad, backward would add: {precise(seen.old)} + {_bracket(seen.gradient)} = "
                   f"{precise(seen.added_up)} instead of {precise(seen.gradient)}, an old batch mixed with the new one.")
    elif stage == BACKWARD:
        _slope(config, scope, seen)
    elif stage == STEP:
        _formula(config, frozen, seen)
    return name, index


def _bracket(value: float) -> str:
    return f"({precise(value)})" if value < 0 else precise(value)


def _pick_weight(frozen: FrozenStep) -> tuple[str, tuple[int, ...]]:
    """A parameter and a place in it; the largest gradient's to begin with."""
    names = list(frozen.before)
    shapes = {name: "×".join(map(str, value.shape)) for name, value in frozen.before.items()}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("One weight of", names, format_func=lambda entry: f"{entry} ({shapes[entry]})", width=240,
                            key=f"train.microscope.name.{hash(tuple(shapes.items()))}")
        start = strongest(frozen, name)
        key = f"train.microscope.place.{name}.{shapes[name]}"
        index, places = [], PLACES.get(len(start), [f"Place {axis + 1}" for axis in range(len(start))])
        for axis, size in enumerate(frozen.before[name].shape):
            st.session_state.setdefault(f"{key}.{axis}", start[axis])
            index.append(int(st.number_input(f"{places[axis]} (0–{size - 1:,})", 0, size - 1, width=130, key=f"{key}.{axis}")))
        if index:
            st.button("Largest gradient", key="train.microscope.largest", icon=":material/north:",
                      on_click=lambda: st.session_state.update({f"{key}.{axis}": place for axis, place in enumerate(start)}))
    return name, tuple(index)


def _table(seen: WeightTrace, stage: str) -> pa.Table:
    """Value, gradient and the optimizer's memory, a column for each stage so far."""
    old, gradient, used = ("None" if value is None else precise(value) for value in (seen.old, seen.gradient, seen.used))
    columns = {BEFORE: [precise(seen.before), old], ZERO: [precise(seen.before), "None"],
               BACKWARD: [precise(seen.before), gradient], STEP: [precise(seen.after), used]}
    memory = _memory(seen)
    for column, values in columns.items():
        state = seen.state_after if column == STEP else seen.state_before
        values += [precise(state[kind]) if kind in state else "–" for kind in memory]
    shown = STAGES[:STAGES.index(stage) + 1]
    return columns_table({"": ["weight", "weight.grad", *(KEPT[kind][0] for kind in memory)],
                          **{column: columns[column] for column in shown}}, index="")


def _memory(seen: WeightTrace) -> list[str]:
    return [kind for kind in KEPT if kind in seen.state_before or kind in seen.state_after]


def _slope(config: RunConfig, scope: Microscope, seen: WeightTrace) -> None:
    if seen.gradient is not None and seen.of_loss is not None and config.training.l1:
        st.markdown(f"**g** ← ∂loss/∂w + λ₁·sign(w) = {precise(seen.of_loss)} + {_bracket(seen.penalty)} = "
                    f"**{precise(seen.gradient)}**  \n:gray[of the loss, and L1's pull towards zero, with λ₁ = "
                    f"{precise(config.training.l1)}]")
    if seen.gradient is None:
        st.caption("No gradient reached this weight: nothing that leads to the loss uses it, or it is frozen.")
    elif seen.gradient == 0:
        st.caption("0: for this batch the loss does not depend on this weight, for example because its input is 0 in every "
                   f"{EXAMPLE[scope.data.kind]} or its unit is switched off by ReLU." if not seen.penalty else
                   "0: the loss and L1 pull at this weight equally, in opposite directions.")
    else:
        more = "more" if seen.gradient > 0 else "less"
        loss = "the loss and its L1 penalty together" if config.training.l1 else "the loss"
        st.caption(f"Read it as a slope: with this weight larger by 0.001 {loss} would be about "
                   f"{precise(abs(seen.per_thousandth))} {more}. So the weight should become "
                   f"{'smaller' if seen.gradient > 0 else 'larger'}.")


def _formula(config: RunConfig, frozen: FrozenStep, seen: WeightTrace) -> None:
    """The new value, line by line."""
    if not seen.lines:
        st.info("There is no gradient, so the optimizer leaves this weight as it is.", icon=":material/block:")
        return
    if seen.clipped < 1 and seen.gradient is not None and seen.used is not None:
        most = precise(config.training.gradient_clipping)
        st.markdown(f"**g** ← g · c / ‖g‖ = {precise(seen.gradient)} · {most} / {precise(frozen.norm)} = "
                    f"**{precise(seen.used)}**  \n:gray[clipping: ‖g‖ is the length of all weights' gradients together, and more "
                    f"than c = {most} is not let through]")
    for line in seen.lines:
        st.markdown(f"**{line.name}** ← {line.formula} = {line.written()} = **{precise(float(line.value))}**  \n"
                    f":gray[{line.why}]")
    if seen.agrees:
        st.caption(f":material/check: PyTorch's own new value is {precise(seen.after)}: the same, up to the rounding of float32.")
    else:
        st.warning(f"PyTorch's own new value is {precise(seen.after)}.", icon=":material/error:")


def _batch(scope: Microscope, frozen: FrozenStep) -> None:
    """Examples, what they are, what the network says, and losses."""
    count, kind = min(SHOWN, len(frozen.labels)), scope.data.kind
    if kind == "images":
        scale = 1 if frozen.images.shape[-1] > 64 else 2
        st.image(contact_sheet(frozen.images[:count], columns=16, scale=scale), output_format="PNG",
                 alt=f"{count} images of the batch")
    answers = _numbers_of(frozen, count) if scope.data.target == "number" else _classes_of(scope, frozen, count)
    rows = {EXAMPLE[kind].capitalize(): range(1, count + 1)} | _inputs(kind, frozen.images[:count]) | answers
    logits = {} if scope.data.target == "number" else _logits(scope.data.classes, frozen.logits[:count])
    draw_table(columns_table(rows | logits), hide_index=True, height=280, key="train.microscope.batch",
               column_config={name: st.column_config.NumberColumn(format="%.3f") for name in logits})
    first = f"The first {count} of {len(frozen.labels):,} {EXAMPLES[kind].lower()}. " if count < len(frozen.labels) else ""
    if scope.data.target == "number":
        st.caption(f"{first}The loss of the batch, {frozen.loss:.4f}, is the mean of all squared differences.")
    else:
        st.caption(f"{first}Logits are the network's raw scores. The loss of the batch, {frozen.loss:.4f}, is the mean of all "
                   f"its {EXAMPLES[kind].lower()}' losses: a sure mistake costs much, a sure right answer almost nothing.")


def _inputs(kind: str, examples: torch.Tensor) -> dict[str, list[str]]:
    """What can be written of the examples in columns."""
    if kind == "points":
        return {f"Input {place + 1}": list(map(precise, column)) for place, column in enumerate(examples.T.tolist())}
    if kind == "text":
        texts = [[str(word) for word in row if word] for row in examples.tolist()]  # 0: the text has ended
        return {"Numbers of its words": [" ".join(words[:WORDS_SHOWN]) + " …" * (len(words) > WORDS_SHOWN) for words in texts]}
    return {}


def _numbers_of(frozen: FrozenStep, count: int) -> dict[str, list[str]]:
    return {"It is": list(map(precise, frozen.labels[:count].tolist())),
            "It says": list(map(precise, frozen.logits[:count, 0].tolist())),
            "Squared difference": [f"{float(loss):.4f}" for loss in frozen.losses[:count]]}


def _classes_of(scope: Microscope, frozen: FrozenStep, count: int) -> dict[str, list[str]]:
    classes, labels = scope.data.classes, frozen.labels[:count]
    return {"It is": [classes[int(label)] for label in labels],
            "It says": [classes[int(best)] for best in frozen.probabilities[:count].argmax(1)],
            "Probability of the right answer": [chance(float(p)) for p in frozen.probabilities[torch.arange(count), labels]],
            "Loss": [f"{float(loss):.4f}" for loss in frozen.losses[:count]]}


def _logits(classes: tuple[str, ...], logits: torch.Tensor) -> dict[str, list[float]]:
    """A column for each of the first outputs."""
    return {f"Logit {classes[i] if logits.shape[1] == len(classes) else 'yes'}": logits[:, i].tolist()
            for i in range(min(20, logits.shape[1]))}


def _layers(config: RunConfig, frozen: FrozenStep) -> None:
    """Norms of all parameters, and one gradient's histogram."""
    draw_table(rows_table([{
        "Parameter": pull.name, "Shape": "×".join(map(str, pull.shape)), "Norm of the weights": precise(pull.weight),
        "Norm of the gradient": "None" if pull.gradient is None else precise(pull.gradient),
        "Change of the weights": percent(pull.change, 3),
    } for pull in pulls(frozen)]), hide_index=True, height="content", key="train.microscope.layers")
    parts = [part for part, there in (("with L1's part", config.training.l1), ("after clipping", frozen.clipped < 1)) if there]
    if parts:
        st.caption(f"Gradients are {' and '.join(parts)}, as the optimizer sees them.")
    st.caption("A norm is the root of the sum of squares. The change is that of the whole parameter in this step, relative to "
               "its norm. A rule of thumb wants about 0.1 % (Stanford's CS231n notes): far more is rough, far less is slow.")
    gradients = {name: gradient for name, gradient in frozen.gradients.items() if gradient is not None}
    names = list(gradients)
    if not names:
        return
    name = st.selectbox("Gradient of", names, key=f"train.microscope.histogram.{hash(tuple(names))}", width=240)
    values = histogram(gradients[name])
    figure = histogram_chart(values, f"gradient of {name}")
    st.plotly_chart(figure, key="train.microscope.histogram.chart",
                    config={"displayModeBar": False}, alt=in_words(figure, f"Gradient of {name}"))
    if values.not_finite:
        st.warning(f"{values.not_finite:,} values are infinite or NaN and in no bar.")


def _code(config: RunConfig, scope: Microscope, frozen: FrozenStep, name: str, index: tuple[int, ...]) -> None:
    if name not in frozen.rates:
        st.info("This weight is frozen: no step changes it. Choose one that learns for its lines.", icon=":material/ac_unit:")
        return
    st.code(step_code(config, name, index, frozen.rates[name], frozen.logits.shape[1], scope.data.target), language="python")
    shape = {"images": "channels, height, width", "points": "inputs", "text": "words"}[scope.data.kind]
    st.caption(f"`model` is the network, `images` (N, {shape}) and `labels` (N,) are the batch.")
