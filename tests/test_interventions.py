"""What a person changes by hand while a run trains: done once, in order, between two steps, and part of the run from then on."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from core.data import load
from core.data.batches import Batches
from core.presets import PRESETS
from core.runs import LocalEngine, RunNotFound, RunStore, load_model
from core.runs import interventions as kept
from core.runs.checkpoints import load_training
from core.runs.execute import execute
from core.runs.live_weights import newest_model
from core.training import (
    Checkpoint,
    Command,
    Finished,
    Intervention,
    InterventionError,
    Paused,
    Step,
    WeightEdit,
    build_for,
    fit,
)
from core.training.by_hand import LARGEST_WEIGHT, check_edit, editable, set_weight
from core.training.step import batches_of_epoch
from tests.helpers import wait_for, wait_until
from tests.test_control import Script

CPU = torch.device("cpu")
# 100 points in batches of 10: ten steps an epoch; 2-4-1
CIRCLE = PRESETS["circle-2d"].config.with_values({"training.epochs": 3, "training.batch_size": 10})


@pytest.fixture(scope="module")
def points():
    return load(CIRCLE.data, Path("no files needed"))


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch):
    monkeypatch.setattr("core.training.loop.time.sleep", lambda seconds: None)


def edit(number, value, layer="fc1", row=0, column=0):
    return WeightEdit(number, layer, row, column, value)


def done(events) -> list[Intervention]:
    return [event for event in events if isinstance(event, Intervention)]


def losses(events) -> list[float]:
    return [event.loss for event in events if isinstance(event, Step)]


# --- fit


def test_a_changed_rate_and_a_set_weight_act_from_the_next_step_on(points):
    """The losses are those of a loop of plain PyTorch that does the same between the same steps."""
    model = build_for(CIRCLE, points)
    own = CIRCLE.training.optimizer.learning_rate
    late = Command(learning_rate=0.5, edits=(edit(7, -1.5, row=2, column=1), edit(9, 0.25, "fc2", 0, None)))
    control = Script(*[Command()] * 3, *[Command(learning_rate=0.5)] * 9, late)
    events = list(fit(CIRCLE, points, model, CPU, control))

    theirs = build_for(CIRCLE, points)
    before = theirs.fc1.weight[2, 1].item(), theirs.fc2.bias[0].item()
    optimizer, said = torch.optim.SGD(theirs.parameters(), own), []
    batches = Batches(points, points.train, CPU)
    for epoch in range(1, CIRCLE.training.epochs + 1):
        for batch in batches_of_epoch(batches, CIRCLE.training, epoch):
            if len(said) == 3:
                optimizer.param_groups[0]["lr"] = 0.5
            if len(said) == 12:
                before = theirs.fc1.weight[2, 1].item(), theirs.fc2.bias[0].item()
                with torch.no_grad():
                    theirs.fc1.weight[2, 1], theirs.fc2.bias[0] = -1.5, 0.25
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy(theirs(batch.images)[:, 0].sigmoid(), batch.labels.float())
            loss.backward()
            optimizer.step()
            said.append(loss.item())
    assert losses(events) == pytest.approx(said, abs=1e-5)
    rate, weight, bias = done(events)
    assert rate == Intervention(1, 3, "learning_rate", own, 0.5)
    assert (weight.number, weight.step, weight.what, weight.after) == (2, 12, "weight", -1.5)
    assert (weight.layer, weight.row, weight.column, weight.edit) == ("fc1", 2, 1, 7)
    assert (bias.number, bias.step, bias.after, bias.layer, bias.row, bias.column, bias.edit) == (3, 12, 0.25, "fc2", 0, None, 9)
    assert (weight.before, bias.before) == pytest.approx(before, abs=1e-5)
    kinds = [event for event in events if isinstance(event, Step | Intervention)]
    assert kinds[3] is rate and kinds[13:15] == [weight, bias], "what was done before it is told before it"


def test_the_same_edits_told_again_are_done_once_and_none_is_lost(points):
    first, second = edit(1, 1.0), edit(2, 2.0)
    control = Script(Command(edits=(first,)), Command(edits=(first,)), Command(edits=(first, second)),
                     Command(edits=(first, second, edit(3, 3.0), edit(4, 4.0))), Command(stop=True))
    events = list(fit(CIRCLE, points, build_for(CIRCLE, points), CPU, control))
    assert [(one.step, one.edit, one.after) for one in done(events)] == [(0, 1, 1.0), (2, 2, 2.0), (3, 3, 3.0), (3, 4, 4.0)]
    assert done(events)[3].before == 3.0


def test_a_paused_run_makes_changes_at_once_and_shows_them(points):
    pause, step = Command(pause=True), Command(pause=True, steps=1, edits=(edit(1, 5.0),))
    control = Script(pause, pause, Command(pause=True, edits=(edit(1, 5.0),)), Command(pause=True, edits=(edit(1, 5.0),)), step,
                     step, Command(pause=True, steps=1, edits=(edit(1, 5.0),), learning_rate=1.0), Command(stop=True))
    model, weights = build_for(CIRCLE, points), []
    events = []
    for event in fit(CIRCLE, points, model, CPU, control):
        events.append(event)
        if isinstance(event, Paused):
            weights.append(model.fc1.weight[0, 0].item())
    order = [(type(event).__name__, event.step) for event in events if isinstance(event, Step | Paused | Intervention)]
    assert order == [("Paused", 0), ("Intervention", 0), ("Paused", 0), ("Step", 1), ("Paused", 1), ("Intervention", 1),
                     ("Paused", 1)]
    assert weights[0] != 5.0 and weights[1] == 5.0


def test_what_is_asked_for_with_a_stop_is_not_done(points):
    model = build_for(CIRCLE, points)
    before = model.fc1.weight.clone()
    events = list(fit(CIRCLE, points, model, CPU, Script(Command(stop=True, learning_rate=1.0, edits=(edit(1, 5.0),)))))
    assert not done(events) and torch.equal(model.fc1.weight, before)


def test_an_edit_for_another_network_ends_no_run(points):
    wrong = (edit(1, 1.0, "fc9"), edit(2, 1.0, row=99), edit(3, 1.0, "activation"), edit(4, 1.0, "fc1", 0, 2), edit(5, 0.5))
    events = list(fit(CIRCLE, points, build_for(CIRCLE, points), CPU, Script(Command(edits=wrong))))
    assert [one.edit for one in done(events)] == [5] and isinstance(events[-1], Finished)


def test_a_run_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(points):
    """The rate set by hand stays, what was done is not done again, and what is done now counts on."""
    commands = [*[Command()] * 4, *[Command(learning_rate=0.3, edits=(edit(1, 2.0),))] * 11,
                Command(learning_rate=0.3, edits=(edit(1, 2.0), edit(2, -2.0)))]
    unbroken = list(fit(CIRCLE, points, build_for(CIRCLE, points), CPU, Script(*commands)))
    at = next(index for index, event in enumerate(unbroken) if isinstance(event, Checkpoint))
    kept_then = unbroken[at]
    assert kept_then.step == 10 and kept_then.state.interventions == 2
    model = build_for(CIRCLE, points)
    model.load_state_dict(kept_then.weights)
    again = list(fit(CIRCLE, points, model, CPU, Script(*commands[10:]), kept_then.state))
    assert losses(again) == losses(unbroken[at:])
    assert done(again) == done(unbroken[at:]) and [one.number for one in done(again)] == [3]


def test_without_a_control_a_run_keeps_the_rate_it_had(points):
    control = Script(*[Command()] * 4, Command(learning_rate=0.3))
    unbroken = list(fit(CIRCLE, points, build_for(CIRCLE, points), CPU, control))
    state = next(event for event in unbroken if isinstance(event, Checkpoint))
    model = build_for(CIRCLE, points)
    model.load_state_dict(state.weights)
    again = list(fit(CIRCLE, points, model, CPU, resume=state.state))
    assert losses(again) == losses(unbroken)[10:] and not done(again)


def test_a_run_that_diverges_goes_back_to_the_weights_set_by_hand(points):
    """Else the record would name a change that the kept weights do not have."""
    config = CIRCLE.with_values({"training.optimizer.learning_rate": 1.0, "training.loss": "bce_with_logits"})
    edits = tuple(edit(1 + row, LARGEST_WEIGHT, "fc1", row, 0) for row in range(4))
    control = Script(Command(), Command(), Command(learning_rate=1e38, edits=edits))
    events = list(fit(config, points, build_for(config, points), CPU, control))
    assert events[-1].reason == "diverged"
    last = [event for event in events if isinstance(event, Checkpoint)][-1]
    assert last.state.interventions == 5 and last.weights["fc1.weight"][:, 0].tolist() == [LARGEST_WEIGHT] * 4


# --- one weight


NETWORK = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3, bias=False),
                        nn.Embedding(5, 4))


def test_a_weight_is_set_in_place():
    """Whoever shares its memory has the new value too."""
    layer = nn.Linear(3, 2)
    model = nn.Sequential(layer)
    views = layer.weight.data.numpy(), layer.bias.data.numpy()
    before = layer.weight[1, 2].item()
    assert set_weight(model, WeightEdit(1, "0", 1, 2, 4.5)) == before
    set_weight(model, WeightEdit(2, "0", 1, None, -4.5))
    assert views[0][1, 2] == 4.5 and views[1][1] == -4.5 and layer.weight.requires_grad


def test_which_layers_have_weights_to_set():
    assert editable(NETWORK) == ["0", "1", "4", "5"]


@pytest.mark.parametrize(("layer", "row", "column", "value", "said"), [
    ("4", 2, 7, math.nan, "a number from −10,000 to 10,000"), ("4", 2, 7, math.inf, "a number from −10,000 to 10,000"),
    ("4", 2, 7, -10_001, "a number from −10,000 to 10,000"), ("4", 2, 7, 10**400, "a number from −10,000 to 10,000"),
    ("4", 2, 7, "1.0", "a number from"), ("4", 2, 7, True, "a number from"), ("4", 2, 7, None, "a number from"),
    ("nowhere", 0, 0, 1.0, "no layer 'nowhere' with weights to set; it has 0, 1, 4, 5."), (4, 0, 0, 1.0, "no layer 4"),
    ("2", 0, 0, 1.0, "no layer '2'"), ("", 0, 0, 1.0, "no layer ''"), (None, 0, 0, 1.0, "no layer None"),
    ("a\nb" * 1000, 0, 0, 1.0, "no layer"), ("4", 3, 0, 1.0, "Layer 4 has 3×8 weights, counted from 0; there is none at [3, 0]."),
    ("4", 0, 8, 1.0, "none at [0, 8]"), ("4", -1, 0, 1.0, "none at [-1, 0]"), ("4", 0, -1, 1.0, "none at [0, -1]"),
    ("4", "0", 0, 1.0, "none at ['0', 0]"), ("4", 0.0, 0, 1.0, "none at [0.0, 0]"), ("4", True, 0, 1.0, "none at [True, 0]"),
    ("4", None, 0, 1.0, "none at [None, 0]"), ("4", "x" * 1000, 0, 1.0, "none at ['xxx"),
    ("4", 0, None, 1.0, "Layer 4 has no biases that can be set one by one."), ("0", 0, 0, 1.0, "Layer 0 has no weights"),
    ("1", 0, 0, 1.0, "Layer 1 has no weights"),
    ("0", 2, None, 1.0, "Layer 0 has 2 biases, counted from 0; there is none at [2]."),
])
def test_what_is_no_weight_of_the_network(layer, row, column, value, said):
    with pytest.raises(InterventionError) as caught:
        check_edit(NETWORK, layer, row, column, value)
    assert said in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_is_one():
    assert check_edit(NETWORK, "4", 2, 7, 3) == WeightEdit(0, "4", 2, 7, 3.0)
    assert check_edit(NETWORK, "0", 1, None, -10_000.0) == WeightEdit(0, "0", 1, None, -10_000.0)


# --- the store


RATE = Intervention(1, 5, "learning_rate", 0.1, 0.2)
WEIGHT = Intervention(2, 5, "weight", -0.25, 1e-3, "fc1", 3, 1, 1)
BIAS = Intervention(3, 9, "weight", 0.5, 0.0, "fc2", 0, None, 2)


def test_the_store_keeps_and_forgets_them(store: RunStore):
    run, other = (store.create_running(CIRCLE, "ann", "here") for _ in range(2))
    assert store.interventions(run.id) == store.interventions("0" * 32) == store.interventions("no id") == []
    assert store.record(run.id, [], interventions=[RATE, WEIGHT]) and store.record(run.id, [], interventions=[WEIGHT, BIAS])
    assert store.record(other.id, [], interventions=[RATE])
    assert store.interventions(run.id) == [RATE, WEIGHT, BIAS]
    store.forget_after(run.id, 5, 2)
    assert store.interventions(run.id) == [RATE, WEIGHT] and store.interventions(other.id) == [RATE]
    store.forget_after(run.id, 5, 1)  # both came between the same two steps, and the checkpoint knows the first alone
    assert store.interventions(run.id) == [RATE]
    store.finish(run.id, "stopped")
    assert not store.record(run.id, [], interventions=[BIAS]) and store.interventions(run.id) == [RATE]
    store.requeue(run.id, run.config)
    assert store.interventions(run.id) == [RATE]
    store.request_stop(run.id)
    store.delete(run.id)
    assert store.interventions(run.id) == [] and store.interventions(other.id) == [RATE]


def test_an_edit_waits_until_it_is_recorded(store: RunStore):
    run = store.create_running(CIRCLE, "ann", "here")
    for value in (1.0, 2.0, 3.0):
        store.request_edit(run.id, edit(0, value))
    waiting = store.command(run.id).edits
    assert [one.value for one in waiting] == [1.0, 2.0, 3.0] and waiting == store.command(run.id).edits
    second = waiting[1]
    store.record(run.id, [], interventions=[RATE])
    assert store.command(run.id).edits == waiting
    store.record(run.id, [], interventions=[Intervention(2, 5, "weight", 1.0, 2.0, "fc1", 0, 0, second.number)])
    assert store.command(run.id).edits == waiting[2:]
    store.finish(run.id, "interrupted")
    store.requeue(run.id, run.config)
    assert store.command(run.id).edits == (), "minutes later nobody remembers it"
    store.claim("w")
    store.request_edit(run.id, edit(0, 4.0))
    assert store.command(run.id).edits[0].number > waiting[2].number, "or a resumed run would take it for one that it has done"


def test_only_a_training_that_goes_can_be_changed(store: RunStore, monkeypatch):
    queued = store.create(CIRCLE, "ann")
    test = store.create(CIRCLE, "ann", kind="range_test")
    ended, stopping = (store.create_running(CIRCLE, "bob", "here").id for _ in range(2))
    store.finish(ended, "finished")
    store.request_stop(stopping)
    with pytest.raises(InterventionError, match="training or paused"):
        store.request_edit(queued, edit(0, 1.0))
    assert store.claim("w").id == queued and store.claim("w").id == test
    store.request_edit(queued, edit(0, 1.0))
    for run_id in (test, ended, stopping):
        with pytest.raises(InterventionError, match="training or paused"):
            store.request_edit(run_id, edit(0, 1.0))
    with pytest.raises(RunNotFound):
        store.request_edit("0" * 32, edit(0, 1.0))
    with pytest.raises(RunNotFound):
        store.request_edit("../../etc", edit(0, 1.0))
    monkeypatch.setattr(kept, "MOST_EDITS", 2)
    store.record(queued, [], interventions=[WEIGHT])
    store.request_edit(queued, edit(0, 1.0))
    with pytest.raises(InterventionError, match="2 weights of this run"):
        store.request_edit(queued, edit(0, 1.0))


# --- a run from its first step to its last


class Acting:
    """A control that does something to the store before the so-many-th question, and answers as the store says."""

    def __init__(self, store: RunStore, run_id: str, acts: dict) -> None:
        self.store, self.run_id, self.acts, self.asked = store, run_id, acts, 0

    def command(self) -> Command:
        if self.asked in self.acts:
            self.acts[self.asked]()
        self.asked += 1
        return self.store.command(self.run_id)


def test_a_thousand_edits_of_one_run(store: RunStore, settings):
    """None is lost, none is done twice, and they are done in their order, whatever is flushed between them."""
    run = store.create_running(CIRCLE, "ann", "here")

    def ask(start):
        return lambda: [store.request_edit(run.id, edit(0, float(value), row=value % 4)) for value in range(start, start + 250)]

    execute(store, run, settings, Acting(store, run.id, {2: ask(0), 5: ask(250), 11: ask(500), 12: ask(750)}))
    found = store.interventions(run.id)
    assert [one.after for one in found] == list(map(float, range(1000))) and [one.number for one in found] == list(range(1, 1001))
    assert [found[index].step for index in (0, 249, 250, 500, 750, 999)] == [2, 2, 5, 11, 12, 12]
    assert store.command(run.id).edits == ()


def test_a_resumed_run_forgets_what_its_checkpoint_does_not_know(store: RunStore, settings, points):
    """Its process dies after step 14; what is kept is from step 10."""
    run = store.create_running(CIRCLE, "ann", "here")
    acts = {2: lambda: (store.set_learning_rate(run.id, 0.005), store.request_edit(run.id, edit(0, 0.5))),
            12: lambda: store.request_edit(run.id, edit(0, 0.75))}

    class Dies(Acting):
        def command(self) -> Command:
            if self.asked == 14:
                raise KeyboardInterrupt  # as if the process had been killed: nothing is written any more
            return super().command()

    with pytest.raises(KeyboardInterrupt):
        execute(store, run, settings, Dies(store, run.id, acts))
    state = load_training(store, run.id, build_for(CIRCLE, points))
    assert (state.step, state.interventions) == (10, 2), "the first epoch was kept"
    store.record(run.id, [], interventions=[Intervention(3, 12, "weight", 0.0, 0.75, "fc1", 0, 0, 2)])  # it had been flushed
    store.end_runs_of("here", "interrupted", "It died.")
    store.requeue(run.id, CIRCLE)
    again = store.claim("here")
    ended = execute(store, again, settings, Acting(store, run.id, {}))
    assert ended.status == "finished" and ended.learning_rate == 0.005
    assert [(one.step, one.what, one.after) for one in store.interventions(run.id)] == [
        (2, "learning_rate", 0.005), (2, "weight", 0.5)], "the rate goes on, and is not written down again"


def test_a_run_that_begins_anew_forgets_them_all(store: RunStore, settings):
    """Ended before its first step, it has weights set by hand and no step that would say so."""
    run = store.create_running(CIRCLE, "ann", "here")
    store.set_pause(run.id, True)
    acts = {1: lambda: store.request_edit(run.id, edit(0, 2.5)), 3: lambda: store.request_stop(run.id)}
    execute(store, run, settings, Acting(store, run.id, acts))
    assert [one.after for one in store.interventions(run.id)] == [2.5] and load_model(store, run.id).model.fc1.weight[0, 0] == 2.5
    store.requeue(run.id, run.config)
    execute(store, store.claim("here"), settings)
    assert store.interventions(run.id) == []


def test_a_weight_is_set_in_a_training_process(engine: LocalEngine):
    """While it waits, at once; and the picture of the paused run has it."""
    store = engine.store
    run_id = engine.submit(CIRCLE.with_values({"training.epochs": 300}), "ann", paused=True, pace=0.2)
    wait_for(store, run_id, lambda run: run.status == "running" and run.steps > 0)
    for value in (3.0, -2.0, 1.25):
        engine.set_weight(run_id, "fc1", 3, 1, value)
    engine.set_weight(run_id, "fc2", 0, None, 0.5)
    wait_until(lambda: len(store.interventions(run_id)) == 4, lambda: store.interventions(run_id))
    assert [(one.step, one.after) for one in store.interventions(run_id)] == [(0, 3.0), (0, -2.0), (0, 1.25), (0, 0.5)]
    shown = wait_until(lambda: newest_model(store, run_id), lambda: "no picture").model
    assert shown.fc1.weight[3, 1] == 1.25 and shown.fc2.bias[0] == 0.5
    engine.pause(run_id, False)
    wait_for(store, run_id, lambda run: run.step > 20)
    engine.set_weight(run_id, "fc1", 0, 0, 0.125)
    engine.set_learning_rate(run_id, 0.25)
    wait_until(lambda: len(store.interventions(run_id)) == 6, lambda: (store.interventions(run_id), store.get(run_id)))
    assert {(one.what, one.after, one.step > 20) for one in store.interventions(run_id)[4:]} == {
        ("weight", 0.125, True), ("learning_rate", 0.25, True)}
    engine.cancel(run_id)
    wait_for(store, run_id)
    for wrong in (("fc1", 4, 0, 1.0), ("fc1", 0, 0, math.nan), ("fc1", 0, 0, 1.0)):
        with pytest.raises(InterventionError):
            engine.set_weight(run_id, *wrong)
    with pytest.raises(RunNotFound):
        engine.set_weight("0" * 32, "fc1", 0, 0, 1.0)
