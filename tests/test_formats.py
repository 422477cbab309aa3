"""The number format that a run takes: made-up machines whose steps take a computed time, and real runs."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.models import CNNConfig
from core.runs import RunStore
from core.runs.checkpoints import load_model
from core.runs.execute import execute
from core.runs.records import NUMBER_FORMAT
from core.training import NumberFormat, Shortcuts, Started, Step, build_for, choose, computed_in, fit, formats
from core.training.formats import MOST_REMEMBERED, SECONDS, Clocks, Remembered, compare, decided, kind_of_run, work_of
from core.training.measured import measure
from tests.helpers import run_here, tiny

CPU, CUDA, MPS = (torch.device(kind) for kind in ("cpu", "cuda", "mps"))


def images(**changes) -> RunConfig:
    """A convolutional network on digits, whose number format is left open."""
    model = CNNConfig(channels=(4,), fc_width=8, dropout=0.2)
    return tiny(training__precision="auto", **changes).model_copy(update={"model": model})


class Machine:
    """A clock that goes on by what steps take on a made-up machine. `waits`: seconds of each step that somebody else computes."""

    def __init__(self, float32: float, bfloat16: float, fixed: float = 0.001, waits=lambda number: 0.0) -> None:
        self.per_example = {"float32": float32, "bfloat16": bfloat16}
        self.fixed, self.waits = fixed, waits
        self.worked = self.now = 0.0
        self.taken: list[tuple[str, int]] = []

    def take(self, precision: str, examples: int) -> None:
        seconds = self.fixed + self.per_example[precision] * examples
        self.worked, self.now = self.worked + seconds, self.now + seconds + self.waits(len(self.taken))
        self.taken.append((precision, examples))

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.worked, lambda: self.now)


# --- trying

def test_small_steps_are_tried_whole_and_in_turn():
    machine = Machine(2e-4, 1e-4, fixed=0.0)
    assert compare(machine.take, 64, machine.clocks) == pytest.approx(2.0)
    assert machine.now <= SECONDS
    rounds = machine.taken[4:]
    assert {examples for _, examples in rounds} == {64}
    assert [precision for precision, _ in rounds] == ["float32", "bfloat16"] * (len(rounds) // 2) and len(rounds) >= 8


@pytest.mark.parametrize("per_example", [1e-5, 1e-4, 5e-4, 2e-3])
@pytest.mark.parametrize("ratio", [0.6, 1.0, 1.3, 4.0])
@pytest.mark.parametrize("batch", [1, 10, 64, 4096])
def test_it_takes_no_longer_than_it_may(per_example, ratio, batch):
    machine = Machine(per_example, per_example / ratio, fixed=0.0)
    assert compare(machine.take, batch, machine.clocks) == pytest.approx(ratio)
    assert machine.now <= 1.02 * SECONDS
    assert max(examples for _, examples in machine.taken) <= batch


def test_very_long_steps_are_four_of_a_few_examples():
    machine = Machine(0.5, 0.2, fixed=0.0)
    assert compare(machine.take, 64, machine.clocks) == pytest.approx(2.5)
    assert machine.taken == [("float32", 4), ("bfloat16", 4)] * 2


def test_what_is_hopeless_is_not_tried_any_longer():
    machine = Machine(1e-4, 1e-3)
    assert compare(machine.take, 64, machine.clocks) < 0.5
    assert len(machine.taken) == 4


def test_others_that_compute_meanwhile_change_nothing():
    """Each third step waits for a fifth of a second, whatever it is of."""
    machine = Machine(2e-4, 1.5e-4, fixed=0.0, waits=lambda number: 0.2 * (number % 3 == 0))
    assert compare(machine.take, 64, machine.clocks) == pytest.approx(2e-4 / 1.5e-4)


def test_what_was_waited_before_counts():
    machine = Machine(2e-4, 1e-4, fixed=0.0)
    assert compare(machine.take, 64, machine.clocks, began=-0.15) == pytest.approx(2.0)
    assert machine.now <= SECONDS - 0.15 and {examples for _, examples in machine.taken[4:]} == {64}


@pytest.mark.parametrize(("speedup", "expected"), [
    (1.31, NumberFormat("bfloat16", "bfloat16: 1.31 times as fast as float32 here, measured for this network")),
    (1.1, NumberFormat("bfloat16", "bfloat16: 1.10 times as fast as float32 here, measured for this network")),
    (1.09, NumberFormat("float32", "float32: bfloat16 is only 1.09 times as fast here, measured for this network")),
    (0.25, NumberFormat("float32", "float32: bfloat16 takes 4.00 times as long here, measured for this network"))])
def test_only_what_is_clearly_faster_is_taken(speedup, expected):
    assert decided(speedup) == expected


# --- choosing

@pytest.fixture
def measured(monkeypatch):
    """In place of measuring: what will be found, one after the other and the last one again and again; and a list of the times
    that it was asked. However short a training is, it is long enough to try."""
    found, asked = [2.0], []

    def compare(take, batch, clocks, began):
        asked.append(batch)
        return found.pop(0) if len(found) > 1 else found[0]

    monkeypatch.setattr(formats, "compare", compare)
    monkeypatch.setattr(formats, "LEAST_WORK", 0.0)
    return found, asked


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_config_that_names_a_format_asks_nothing(precision, digits, measured, tmp_path):
    config = computed_in(images(), precision)
    assert choose(config, digits, build_for(config, digits), CPU, tmp_path) == NumberFormat(precision)
    assert not measured[1] and not list(tmp_path.iterdir())


def test_it_is_measured_once_for_each_kind_of_network(digits, measured, tmp_path):
    found, asked = measured
    first = choose(images(), digits, build_for(images(), digits), CPU, tmp_path)
    assert first == decided(2.0) and len(asked) == 1
    found[:] = [0.5]
    for same in (images(), images(training__seed=3), images(training__epochs=9), images(training__threads=2)):
        assert choose(same, digits, build_for(same, digits), CPU, tmp_path) == first
    assert len(asked) == 1
    for other in (images(training__batch_size=32), images(training__optimizer__name="sgd"),
                  images().model_copy(update={"model": CNNConfig(channels=(5,), fc_width=8)})):
        assert choose(other, digits, build_for(other, digits), CPU, tmp_path) == decided(0.5)
    assert len(asked) == 4


def test_another_machine_measures_for_itself(digits, measured, tmp_path, monkeypatch):
    model = build_for(images(), digits)
    choose(images(), digits, model, CPU, tmp_path)
    monkeypatch.setattr(formats, "machine_mark", lambda device: "another")
    measured[0][:] = [0.5]
    assert choose(images(), digits, model, CPU, tmp_path).precision == "float32"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"KEY": "fast"}', b'{"KEY": -1}', b'{"KEY": NaN}',
                                     b'{"KEY": true}', b'{"KEY": [2]}'])
def test_a_damaged_memory_is_measured_again(content, digits, measured, tmp_path):
    model = build_for(images(), digits)
    key = kind_of_run(images(), digits, model, CPU)
    (tmp_path / formats.FILE).write_bytes(content.replace(b"KEY", key.encode()))
    assert choose(images(), digits, model, CPU, tmp_path) == decided(2.0)
    assert len(measured[1]) == 1
    assert json.loads((tmp_path / formats.FILE).read_text(encoding="utf-8")) == {key: 2.0}


def test_a_cache_that_cannot_be_written_to_costs_nothing_but_time(digits, measured, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert choose(images(), digits, build_for(images(), digits), CPU, tmp_path / "file" / "below").precision == "bfloat16"


def test_the_memory_is_bounded_and_the_first_to_write_is_right(tmp_path):
    known = Remembered(tmp_path)
    for number in range(MOST_REMEMBERED + 20):
        assert known.keep(f"kind {number}", 1.0 + number) == 1.0 + number
    assert known.speedup("kind 19") is None and known.speedup("kind 20") == 21.0
    assert len(json.loads((tmp_path / formats.FILE).read_text(encoding="utf-8"))) == MOST_REMEMBERED
    assert Remembered(tmp_path).keep("kind 30", 7.0) == 31.0, "another process was earlier"
    assert Remembered(None).keep("kind 30", 7.0) == 7.0 and Remembered(None).speedup("kind 30") is None


def test_where_it_is_not_tried(digits, measured, monkeypatch, tmp_path):
    plain = tiny(training__precision="auto")
    assert choose(plain, digits, build_for(plain, digits), CPU).why == \
        "float32: on a processor bfloat16 is tried for convolutional networks alone"
    model = build_for(images(), digits)
    monkeypatch.setattr(formats, "free_memory_bytes", lambda device: 1000)
    assert choose(images(), digits, model, CPU).why == "float32: there is too little memory to try bfloat16"
    monkeypatch.undo()
    assert choose(images(), digits, model, CPU).why == "float32: bfloat16 is not tried for so short a training"
    assert not measured[1]


def test_the_work_of_a_training_counted_by_hand(digits):
    """Two convolutions are none here: 4 filters of 3×3 over 28×28 places, then 4·14·14 inputs to 8 units and those to 10."""
    config = images(training__epochs=3)
    forward = 4 * 9 * 28 * 28 + 4 * 14 * 14 * 8 + 8 * 10
    assert work_of(config, digits, build_for(config, digits)) == 3 * forward * len(digits.train) * 3


def test_a_run_draws_the_same_with_and_without_a_measurement(digits, monkeypatch):
    """A real measurement, of a network with dropout."""
    monkeypatch.setattr(formats, "LEAST_WORK", 0.0)
    monkeypatch.setattr(formats, "SECONDS", 0.05)
    config = images()
    model, untouched = build_for(config, digits), build_for(config, digits)
    torch.manual_seed(11)
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    assert choose(config, digits, model, CPU).why
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == 2
    assert model.training == untouched.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), untouched.state_dict().values(), strict=True))
    torch.set_num_threads(1)
    config = computed_in(config, "float32")
    losses = [[event.loss for event in fit(config, digits, network, CPU) if isinstance(event, Step)]
              for network in (model, untouched)]
    assert losses[0] == losses[1]


def test_bfloat16_that_fails_or_gives_no_numbers_is_not_taken(digits, monkeypatch):
    monkeypatch.setattr(formats, "LEAST_WORK", 0.0)
    model = build_for(images(), digits)
    shortcuts = Shortcuts(CPU)

    def take(self, precision, examples):
        self.loss = torch.tensor(float("nan") if precision == "bfloat16" else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(formats.Trial, "take", take)
        assert choose(images(), digits, model, CPU, None, shortcuts).why == "float32: bfloat16 could not be tried here"
    assert not shortcuts.failed

    def fails(self, precision, examples):
        if precision == "bfloat16":
            raise RuntimeError("no bfloat16 on this card\nand more")

    with monkeypatch.context() as patch:
        patch.setattr(formats.Trial, "take", fails)
        assert choose(images(), digits, model, CPU, None, shortcuts).precision == "float32"
    line, = shortcuts.news()
    assert line == "bfloat16 failed here (no bfloat16 on this card) and is not used any more; plain PyTorch takes its place."
    asked = []
    monkeypatch.setattr(formats, "compare", lambda *given: asked.append(given))
    assert choose(images(), digits, model, CPU, None, Shortcuts(CPU, shortcuts.failed)).precision == "float32"
    assert not asked, "never again in this process"


# --- what becomes of it

def recorded(store: RunStore, run_id: str) -> dict:
    return store.snapshots(run_id)[NUMBER_FORMAT].value


@pytest.mark.parametrize("speedup", [1.5, 0.8])
def test_a_run_says_what_was_taken_and_why(speedup, settings, store, measured, tmp_path):
    measured[0][:] = [speedup]
    settings = replace(settings, cache_dir=tmp_path / "cache")
    expected = decided(speedup)
    said = []
    run = execute(store, store.create_running(images(), "ann", "here"), settings,
                  report=lambda event: said.append(event) if isinstance(event, Started) else None)
    assert run.status == "finished", run.message
    assert run.precision == expected.precision
    assert recorded(store, run.id) == {"precision": expected.precision, "why": expected.why}
    assert [(event.precision, event.why) for event in said] == [(expected.precision, expected.why)]
    assert run.config.training.precision == "auto", "the settings stay as somebody made them"
    assert load_model(store, run.id).config.training.precision == expected.precision, "evaluations take the same"


def test_a_run_in_bfloat16_is_evaluated_in_it(settings, store, measured, tmp_path):
    """The losses of the run that measured are those of one that was asked to compute so."""
    results = []
    for config in (images(), computed_in(images(), "bfloat16"), computed_in(images(), "float32")):
        run = run_here(store, replace(settings, cache_dir=tmp_path / "cache"), config)
        results.append((run.test_loss, store.metrics(run.id).series["loss"][1]))
    assert results[0] == results[1] != results[2]


def test_seeds_of_a_group_take_the_first_ones_format(settings, store, measured, monkeypatch):
    """Even where each would measure otherwise, and nothing is remembered."""
    measured[0][:] = [1.2, 0.9, 0.8]
    monkeypatch.setattr(Remembered, "speedup", lambda self, key: None)
    monkeypatch.setattr(Remembered, "keep", lambda self, key, speedup: speedup)
    ids = store.create_group([(images(training__seed=seed), f"seed {seed}") for seed in range(3)], "ann")
    for _ in ids:
        assert execute(store, store.claim("here"), settings).status == "finished"
    assert {store.get(run_id).precision for run_id in ids} == {"bfloat16"}
    assert {recorded(store, run_id)["why"] for run_id in ids} == {decided(1.2).why}
    assert len(measured[1]) == 1


def test_a_run_that_goes_on_keeps_its_format(settings, store, measured, tmp_path):
    settings = replace(settings, cache_dir=tmp_path / "cache")
    run = run_here(store, settings, images())
    assert run.precision == "bfloat16"
    (tmp_path / "cache" / formats.FILE).unlink()
    measured[0][:] = [0.5]
    store.requeue(run.id, run.config.with_values({"training.epochs": 2}))
    again = execute(store, store.claim("here"), settings)
    assert (again.status, again.precision, again.epoch) == ("finished", "bfloat16", 2)
    assert recorded(store, run.id)["why"] == decided(2.0).why


def test_a_range_test_takes_the_runs_format(settings, store, measured, tmp_path):
    curves = []
    for config in (images(), computed_in(images(), "bfloat16"), computed_in(images(), "float32")):
        store.create(config, "ann", kind="range_test")
        run = execute(store, store.claim("here"), replace(settings, cache_dir=tmp_path / "cache"))
        assert run.status == "finished", run.message
        curves.append((run.precision, store.metrics(run.id).series["loss"][1]))
    assert curves[0] == curves[1] != curves[2]
    assert [precision for precision, _ in curves] == ["bfloat16", "bfloat16", "float32"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_with_threads_and_format_fixed_a_run_repeats_bit_for_bit(precision, settings, store):
    config = computed_in(images(training__threads=2, training__epochs=2), precision)
    found = []
    for _ in range(2):
        run = run_here(store, settings, config)
        found.append((store.metrics(run.id).series["loss"][1], run.test_loss))
    torch.set_num_threads(1)
    assert found[0] == found[1]


# --- other devices

def test_on_mps_nothing_is_tried(digits):
    assert formats._why_not_tried(images(), digits, nn.Linear(1, 1), MPS) == "bfloat16 is not tried on mps"


def test_on_cuda_networks_without_convolutions_are_tried_too(digits, monkeypatch):
    monkeypatch.setattr(formats, "free_memory_bytes", lambda device: None)
    assert formats._why_not_tried(tiny(), digits, nn.Linear(1, 1), CUDA) == ""
    assert formats.clocks_for(CUDA).steps is formats.time.perf_counter, "the processor waits meanwhile"


def test_a_measurement_for_a_page_takes_what_is_remembered(digits, measured, tmp_path, monkeypatch):
    monkeypatch.setattr("core.training.measured.MOST_SECONDS", 0.01)
    given = (images(), digits.input_shape, len(digits.source_classes), len(digits.train))
    assert measure(*given, tmp_path).precision == measure(*given).precision == "float32"
    choose(images(), digits, build_for(images(), digits), CPU, tmp_path)
    assert measure(*given, tmp_path).precision == "bfloat16"
    assert len(measured[1]) == 1, "a page tries nothing itself"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_on_a_real_gpu_it_is_measured_and_nothing_is_drawn(digits, tmp_path):
    before = torch.cuda.get_rng_state(CUDA), torch.get_rng_state()
    shortcuts = Shortcuts(torch.device("cuda"))
    found = choose(images(), digits, build_for(images(), digits), torch.device("cuda"), tmp_path, shortcuts)
    assert "measured for this network" in found.why and not shortcuts.failed
    assert torch.equal(before[0], torch.cuda.get_rng_state(CUDA)) and torch.equal(before[1], torch.get_rng_state())
