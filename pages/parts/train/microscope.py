"""One step under the microscope: what do zero_grad, backward and step do?"""

from collections.abc import Callable

import pandas as pd
import streamlit as st
import torch

from core.config import RunConfig
from core.data import DataError
from core.export.step_code import step_code
from core.figures.images import contact_sheet
from core.figures.windows import histogram_chart
from core.inspection import InspectionError, histogram
from core.models import ModelError
from core.runs import CheckpointError, Run
from core.runs.checkpoints import TRAINING, load_training
from core.training import build_for
from core.training.microscope import (
    FrozenStep,
    Microscope,
    MicroscopeError,
    Trace,
    check_config,
    open_fresh,
    pulls,
    strongest,
    trace,
)
from core.training.update_rules import precise
from core.wording import percent
from pages.parts.shell import keys
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.markdown import as_text
from pages.parts.widgets.metrics import metrics_row

FRESH, FROM_RUN = "Fresh weights, these settings", "This run's last checkpoint"
BEFORE, ZERO, BACKWARD, STEP = STAGES = ("Before", "zero_grad()", "backward()", "step()")
BATCH, LAYERS, CODE = VIEWS = ("The batch", "All layers", "The code")
SHOWN = 48  # examples of a batch
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
# the optimizer's memory by PyTorch's names: its letter in the formulas, and what it is
KEPT = {"momentum_buffer": ("b", "momentum"), "exp_avg": ("m", "running mean of the gradients"),
        "exp_avg_sq": ("v", "running mean of their squares"), "square_avg": ("v", "running mean of the squared gradients"),
        "sum": ("s", "sum of the squared gradients"), "step": ("t", "steps taken")}


def microscope_section(server: Services, config: RunConfig, run: Run | None) -> None:
    """The whole section, drawn anew without the rest of the page. Nothing is computed until it is opened."""

    def section() -> None:
        st.subheader("One step under the microscope")
        if not st.toggle("Freeze a step", key="train.microscope", persist_state="session",
                         help="Training is this, thousands of times. What do zero_grad, backward and step do?"):
            st.caption("One batch, its loss, and one weight on its way from the old value to the new one, with the optimizer's "
                       "formula and numbers.")
            return
        try:
            _look(server, config, run)
        except (MicroscopeError, ModelError, InspectionError, DataError) as error:
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
    _numbers(frozen)
    name, index = _stages(config, frozen)
    view = st.segmented_control("More of this step", VIEWS, key="train.microscope.view")
    if view == BATCH:
        _batch(scope, frozen)
    elif view == LAYERS:
        _layers(frozen)
    elif view == CODE:
        _code(config, frozen, name, index)


def _choose(server: Services, config: RunConfig, run: Run | None) -> tuple[RunConfig, tuple[str, ...], Callable[[], Microscope]]:
    """Which training is looked at: its config, what identifies it, and how to begin."""
    path = server.store.folder(run.id) / TRAINING if run else None
    options = [FRESH] + ([FROM_RUN] if path and path.exists() else [])
    chosen = st.segmented_control("Begin with", options, default=options[-1], required=True,
                                  key=f"train.microscope.begin.{len(options)}.{run.id if run else ''}")
    if chosen == FROM_RUN and run:
        return run.config, ("run", run.id, run.config.model_dump_json()), lambda: _from_run(server, run)
    return config, ("fresh", config.model_dump_json()), lambda: open_fresh(config, dataset(config.data, server.settings))


def _from_run(server: Services, run: Run) -> Microscope:
    data = dataset(run.config.data, server.settings)
    check_config(run.config, data)
    model = build_for(run.config, data)
    return Microscope(run.config, data, model, load_training(server.store, run.id, model))


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
        stage = st.segmented_control("Stage", STAGES, required=True, key="train.microscope.stage")
        if stage == STEP:
            st.button("Next step", icon=":material/skip_next:", type="primary", on_click=following, key="train.microscope.next",
                      help="Go on with the next batch. Weights, gradients and the optimizer's memory stay.")
        else:
            st.button(f"Do {STAGES[STAGES.index(stage) + 1]}", icon=":material/arrow_forward:", type="primary", on_click=onward,
                      key="train.microscope.onward")
        st.button("Start over", icon=":material/replay:", on_click=again, key="train.microscope.again",
                  help="Back to the weights it began with; of a run that trains, to its newest checkpoint.")


def _numbers(frozen: FrozenStep) -> None:
    metrics_row({
        "Step": (f"{frozen.number:,}", f"Counted from 1; in epoch {frozen.epoch}."),
        "Learning rate": (precise(frozen.learning_rate), "Of this step, as the schedule has it."),
        "Images in the batch": (f"{len(frozen.labels):,}", None),
        "Loss before": (f"{frozen.loss:.4f}", "Mean over the batch, with the old weights."),
        "Loss after": (f"{frozen.loss_after:.4f}" if st.session_state["train.microscope.stage"] == STEP else "–",
                       "Of the same batch with the new weights."),
    })
    if len(frozen.labels) < frozen.of:
        st.caption(f"The run's batches have {frozen.of:,} images; {len(frozen.labels):,} of them are used here, so that it fits "
                   "into memory. Numbers differ from the run's.")


def _stages(config: RunConfig, frozen: FrozenStep) -> tuple[str, tuple[int, ...]]:
    """One weight, at each stage up to the chosen one; which one it is."""
    name, index = _pick_weight(frozen)
    seen = trace(config, frozen, name, index)
    stage = st.session_state["train.microscope.stage"]
    st.markdown(EXPLAINED[stage])
    st.dataframe(_table(seen, stage), key="train.microscope.stages", height="content")
    if memory := _memory(seen):
        st.caption("The optimizer's memory for this weight: " + ", ".join(f"{KEPT[kind][0]} {KEPT[kind][1]}" for kind in memory)
                   + ". Only step() changes it.")
    if stage == BEFORE and seen.old is None and frozen.number > 1:
        st.caption("A checkpoint keeps weights and the optimizer's memory, but no gradients: none are needed to go on.")
    elif stage == ZERO and seen.old is not None and seen.gradient is not None:
        st.caption(f"Without zero_grad, backward would add: {precise(seen.old)} + {_bracket(seen.gradient)} = "
                   f"{precise(seen.added_up)} instead of {precise(seen.gradient)}, an old batch mixed with the new one.")
    elif stage == BACKWARD:
        _slope(seen)
    elif stage == STEP:
        _formula(seen)
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


def _table(seen: Trace, stage: str) -> pd.DataFrame:
    """Value, gradient and the optimizer's memory, a column for each stage so far."""
    none, gradient = "None", "None" if seen.gradient is None else precise(seen.gradient)
    clipped = gradient if seen.gradient is None or seen.clipped == 1 else precise(seen.gradient * seen.clipped)
    old = none if seen.old is None else precise(seen.old)
    columns = {BEFORE: [precise(seen.before), old], ZERO: [precise(seen.before), none],
               BACKWARD: [precise(seen.before), gradient], STEP: [precise(seen.after), clipped]}
    memory = _memory(seen)
    for column, values in columns.items():
        state = seen.state_after if column == STEP else seen.state_before
        values += [precise(state[kind]) if kind in state else "–" for kind in memory]
    shown = STAGES[:STAGES.index(stage) + 1]
    return pd.DataFrame({column: columns[column] for column in shown},
                        index=["weight", "weight.grad", *(KEPT[kind][0] for kind in memory)])


def _memory(seen: Trace) -> list[str]:
    return [kind for kind in KEPT if kind in seen.state_before or kind in seen.state_after]


def _slope(seen: Trace) -> None:
    if seen.gradient is None:
        st.caption("No gradient reached this weight: nothing that leads to the loss uses it, or it is frozen.")
    elif seen.gradient == 0:
        st.caption("0: for this batch the loss does not depend on this weight, for example because its input is 0 in every image "
                   "or its unit is switched off by ReLU.")
    else:
        more = "more" if seen.gradient > 0 else "less"
        st.caption("Read it as a slope: with this weight larger by 0.001 the loss would be about "
                   f"{precise(abs(seen.per_thousandth))} {more}. So the weight should become "
                   f"{'smaller' if seen.gradient > 0 else 'larger'}.")


def _formula(seen: Trace) -> None:
    """The new value, line by line."""
    if not seen.lines:
        st.info("There is no gradient, so the optimizer leaves this weight as it is.", icon=":material/block:")
        return
    if seen.clipped < 1:
        st.markdown("The gradients of all weights together were too long; clipping multiplied each by "
                    f"{precise(seen.clipped)} first.")
    for line in seen.lines:
        st.markdown(f"**{line.name}** ← {line.formula} = {line.written()} = **{precise(float(line.value))}**  \n"
                    f":gray[{line.why}]")
    if seen.agrees:
        st.caption(f":material/check: PyTorch's own new value is {precise(seen.after)}: the same, up to the rounding of float32.")
    else:
        st.warning(f"PyTorch's own new value is {precise(seen.after)}.", icon=":material/error:")


def _batch(scope: Microscope, frozen: FrozenStep) -> None:
    """Pictures, labels, logits, probabilities and losses."""
    classes = scope.data.classes
    count = min(SHOWN, len(frozen.labels))
    scale = 1 if frozen.images.shape[-1] > 64 else 2
    st.image(contact_sheet(frozen.images[:count], columns=16, scale=scale), output_format="PNG",
             alt=f"{count} images of the batch")
    labels = frozen.labels[:count]
    rows = {"Image": range(1, count + 1), "It is": [classes[int(label)] for label in labels],
            "It says": [classes[int(best)] for best in frozen.probabilities[:count].argmax(1)],
            "Probability of the right answer": [percent(float(p)) for p in frozen.probabilities[torch.arange(count), labels]],
            "Loss": [f"{float(loss):.4f}" for loss in frozen.losses[:count]]}
    logits = {f"Logit {classes[i] if frozen.logits.shape[1] == len(classes) else 'yes'}": frozen.logits[:count, i].tolist()
              for i in range(min(20, frozen.logits.shape[1]))}
    st.dataframe(pd.DataFrame(rows | logits), hide_index=True, height=280, key="train.microscope.batch",
                 column_config={name: st.column_config.NumberColumn(format="%.3f") for name in logits})
    first = f"The first {count} of {len(frozen.labels):,} images. " if count < len(frozen.labels) else ""
    st.caption(f"{first}Logits are the network's raw scores. The loss of the batch, {frozen.loss:.4f}, is the mean of all its "
               "images' losses: a sure mistake costs much, a sure right answer almost nothing.")


def _layers(frozen: FrozenStep) -> None:
    """Norms of all parameters, and one gradient's histogram."""
    st.dataframe(pd.DataFrame([{
        "Parameter": pull.name, "Shape": "×".join(map(str, pull.shape)), "Norm of the weights": precise(pull.weight),
        "Norm of the gradient": "None" if pull.gradient is None else precise(pull.gradient),
        "Change of the weights": percent(pull.change, 3),
    } for pull in pulls(frozen)]), hide_index=True, height="content", key="train.microscope.layers")
    st.caption("A norm is the root of the sum of squares. The change is that of the whole parameter in this step, relative to "
               "its norm: 0.1 to 1 % is usual, far more is rough, far less is slow.")
    names = [name for name, gradient in frozen.gradients.items() if gradient is not None]
    if not names:
        return
    name = st.selectbox("Gradient of", names, key=f"train.microscope.histogram.{hash(tuple(names))}", width=240)
    values = histogram(frozen.gradients[name])
    st.plotly_chart(histogram_chart(values, f"gradient of {name}"), key="train.microscope.histogram.chart",
                    config={"displayModeBar": False})
    if values.not_finite:
        st.warning(f"{values.not_finite:,} values are infinite or NaN and in no bar.")


def _code(config: RunConfig, frozen: FrozenStep, name: str, index: tuple[int, ...]) -> None:
    st.code(step_code(config, name, index, frozen.learning_rate, frozen.logits.shape[1]), language="python")
    st.caption("`model` is the network, `images` (N, channels, height, width) and `labels` (N,) are the batch.")
