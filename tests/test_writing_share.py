"""How often a run writes down what it has, by a clock of the test's own: writing takes a small share of the time on any disk."""

from dataclasses import dataclass

import pytest

from core.runs.execute import CHECKPOINT_SHARE, MOST_SECONDS_PER_CHECKPOINT, SECONDS_PER_CHECKPOINT, Keeper
from core.runs.recorder import FLUSH_SHARE, MOST_SECONDS_PER_FLUSH, SECONDS_PER_FLUSH, Recorder
from core.training import Step
from tests.helpers import tiny

SECONDS = 200.0


@dataclass
class Disk:
    """Takes `takes` seconds for each writing on a clock that only it and the training move."""

    takes: float
    now: float = 0.0
    written: int = 0

    def clock(self) -> float:
        return self.now

    def write(self, *anything, **named) -> bool:
        self.now, self.written = self.now + self.takes, self.written + 1
        return True


@pytest.mark.parametrize(("takes", "every"), [
    (0.0, SECONDS_PER_FLUSH), (0.001, SECONDS_PER_FLUSH), (0.003, 0.003 / FLUSH_SHARE), (0.3, MOST_SECONDS_PER_FLUSH)])
def test_metrics_are_handed_on_as_often_as_the_disk_is_fast(store, monkeypatch, takes, every):
    disk = Disk(takes)
    recorder = Recorder(store, store.create_running(tiny(), "me", "here").id, disk.clock)
    monkeypatch.setattr(store, "record", disk.write)
    while disk.now < SECONDS:
        disk.now += 0.001  # a step
        recorder.take(Step(1, 1, 1.0, 0.5))
        if recorder.is_due():
            recorder.flush()
    assert disk.written == pytest.approx(SECONDS / (every + takes), rel=0.02)
    assert disk.written * takes <= 1.02 * FLUSH_SHARE * SECONDS or takes / FLUSH_SHARE > MOST_SECONDS_PER_FLUSH


@pytest.mark.parametrize(("takes", "every"), [
    (0.0, SECONDS_PER_CHECKPOINT), (0.01, 0.01 / CHECKPOINT_SHARE), (2.0, MOST_SECONDS_PER_CHECKPOINT)])
def test_checkpoints_of_tiny_epochs_are_written_as_often_as_the_disk_is_fast(store, digits, monkeypatch, takes, every):
    disk = Disk(takes)
    run = store.create_running(tiny(), "me", "here")
    keeper = Keeper(store, run.id, run.config, digits, lambda: False, disk.clock)
    monkeypatch.setattr("core.runs.execute.save_checkpoint", disk.write)
    recorder = Recorder(store, run.id)
    keeper.offer("first", recorder)
    assert disk.written == 1, "the first at once"
    while disk.now < SECONDS:
        disk.now += 0.01  # an epoch
        keeper.offer("newest", recorder)
    assert disk.written == pytest.approx(SECONDS / (every + takes), rel=0.02)
    before = disk.written
    keeper.offer("last", recorder)
    keeper.save(recorder)
    assert disk.written == before + 1 and keeper.waiting is None, "and always the last"
