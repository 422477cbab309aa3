"""Learning rates over a run, as a share of the optimizer's own."""

import math

from core.config import (
    ConstantConfig,
    CosineConfig,
    OneCycleConfig,
    PlateauConfig,
    ScheduleConfig,
    StepConfig,
    TrainingConfig,
    WarmUpConfig,
)

# Where one-cycle begins and ends, as PyTorch's OneCycleLR has it: 1/25 of the peak, and 1/10,000 of that.
CYCLE_START, CYCLE_END = 1 / 25, 1 / 25e4


def factor_at(schedule: ScheduleConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """What the learning rate is multiplied by for the step after `step` steps (0 for the first) of `steps`.

    The same values as torch.optim.lr_scheduler's StepLR (each epoch), CosineAnnealingLR, OneCycleLR and LinearLR (each step).
    A plateau's factor depends on the validation loss and is kept by Plateau; here it is 1.
    """
    match schedule:
        case ConstantConfig() | PlateauConfig():
            return 1.0
        case StepConfig():
            return schedule.factor ** (step // steps_per_epoch // schedule.every)
        case CosineConfig():
            return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2
        case OneCycleConfig():
            return _one_cycle(schedule.rise, step, steps)
        case WarmUpConfig():
            rising = max(1, round(schedule.share * steps))
            return min(1.0, (step + 1) / rising)


def _one_cycle(rise: float, step: int, steps: int) -> float:
    """Half a cosine up, half a cosine down."""
    top, last = rise * steps - 1, steps - 1
    if step <= top:
        return _between(CYCLE_START, 1.0, step / top if top > 0 else 1.0)
    return _between(1.0, CYCLE_END, min(1.0, (step - top) / (last - top)) if last > top else 1.0)


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


class Plateau:
    """Lowers the learning rate when the validation loss has not fallen for `patience` epochs, as ReduceLROnPlateau does."""

    THRESHOLD = 1e-4  # share by which a loss must be smaller to count, PyTorch's default

    def __init__(self, schedule: PlateauConfig) -> None:
        self.schedule = schedule
        self.factor, self.best, self.waited = 1.0, math.inf, 0

    def look(self, loss: float) -> None:
        """To be called after each epoch."""
        if loss < self.best * (1 - self.THRESHOLD):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.schedule.patience:
            self.factor, self.waited = self.factor * self.schedule.factor, 0

    def numbers(self) -> dict[str, float]:
        """Where it is, as a checkpoint keeps it; infinite where no loss has been seen."""
        return {"plateau_factor": self.factor, "plateau_best": self.best, "plateau_waited": self.waited}

    def restore(self, numbers: dict[str, float]) -> None:
        """Go to where `numbers` was taken; what is missing there is as at the start."""
        self.factor, self.best = numbers.get("plateau_factor", 1.0), numbers.get("plateau_best", math.inf)
        self.waited = int(numbers.get("plateau_waited", 0))


def learning_rate_at(training: TrainingConfig, epoch: int, batch: int, steps_per_epoch: int, plateau: Plateau | None,
                     instead: float | None = None) -> float:
    """For the batch-th (from 0) step of an epoch (from 1): the schedule's share of the config's learning rate.

    Args:
        plateau: as it is now, where that is the schedule. instead: of the config's learning rate.
    """
    base = training.optimizer.learning_rate if instead is None else instead
    if plateau is not None:
        return base * plateau.factor
    step = (epoch - 1) * steps_per_epoch + batch
    return base * factor_at(training.schedule, step, steps_per_epoch * training.epochs, steps_per_epoch)


def preview(schedule: ScheduleConfig, learning_rate: float, epochs: int, points: int = 200) -> list[tuple[float, float]]:
    """(epoch, learning rate) over a run before it starts; steps are counted as if an epoch had 1,000."""
    per_epoch = 1000
    steps = per_epoch * epochs
    at = sorted({round(i * (steps - 1) / (points - 1)) for i in range(points)})
    return [(step / per_epoch, learning_rate * factor_at(schedule, step, steps, per_epoch)) for step in at]
