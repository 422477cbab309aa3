"""What a training shows of itself besides losses: its answers to a few validation images, and units that never fire."""

import time

import torch
from torch import Tensor, nn

from core.data.batches import Batches
from core.hooks import watched
from core.training.events import SampleAnswers, Validation
from core.training.inference import Outputs, autocasting, evaluation_mode
from core.training.objectives import Objective

SAMPLES = 10  # validation images whose answers are shown
SECONDS_BETWEEN_LOOKS = 0.5  # at them, at least
SHARE_OF_TIME = 0.005  # that looking may take beside validation's own: after a look of 2 ms the next one comes 0.4 s later
EXAMINED = 500  # validation examples that a unit must be 0 for to count as dead


class Throttle:
    """Something that is done now and then, so that it takes a bounded share of the time."""

    def __init__(self, least: float) -> None:
        self.least, self.next = least, 0.0  # seconds between two times, at least; when the next time comes

    def is_due(self) -> bool:
        return time.perf_counter() >= self.next

    def spent(self, began: float) -> None:
        """To be called when it is done, with when it began."""
        now = time.perf_counter()
        self.next = now + max(self.least, (now - began) / SHARE_OF_TIME)


class SampleMonitor(Throttle):
    """A few validation images that a network answers again and again while it learns, at a bounded cost."""

    def __init__(self, validation: Batches, classes: int, objective: Objective, autocast: torch.dtype | None) -> None:
        super().__init__(SECONDS_BETWEEN_LOOKS)
        self.objective, self.autocast = objective, autocast
        split = validation.split
        self.positions = one_of_each(split.labels[split.rows].cpu(), classes, SAMPLES)
        order = torch.tensor(self.positions, dtype=torch.int64)
        self.batch = next(validation.iterate(max(1, len(order)), order), None)

    def look(self, model: nn.Module, step: int, epoch: int) -> SampleAnswers:
        """The network's answers now. Nothing about it is changed, and no random numbers are drawn."""
        began = time.perf_counter()
        if self.batch is None:
            return SampleAnswers(step, epoch, (), (), (), ())
        with evaluation_mode(model), torch.inference_mode(), autocasting(self.batch.images.device, self.autocast):
            logits = model(self.batch.images)
        best = self.objective.probabilities(logits.float()).max(1)
        said, sure = best.indices.tolist(), best.values.tolist()
        self.spent(began)
        return SampleAnswers(step, epoch, self.positions, tuple(self.batch.labels.tolist()), tuple(said), tuple(sure))


class ValidationMonitor(Throttle):
    """What else can be said after an epoch: which class is taken for which, and which units never fire."""

    def __init__(self, validation: Batches, classes: int, objective: Objective, autocast: torch.dtype | None) -> None:
        super().__init__(0.0)
        self.validation, self.classes, self.objective, self.autocast = validation, classes, objective, autocast

    def look(self, model: nn.Module, answers: Outputs, step: int, epoch: int) -> Validation:
        """answers: to all validation examples, as the epoch's own look gave them."""
        began = time.perf_counter()
        counts = confusion_counts(answers, self.objective, self.classes).tolist() if self.classes else []
        first = next(self.validation.iterate(EXAMINED))
        dead = dead_units(model, first.images, self.autocast)
        self.spent(began)
        return Validation(epoch, step, tuple(map(tuple, counts)), dead, len(first.labels))


def one_of_each(labels: Tensor, classes: int, count: int) -> tuple[int, ...]:
    """Positions of at most `count` of the labels (N,): the first of each class, then the second of each, and so on."""
    found = [(labels == label).nonzero()[:count, 0].tolist() for label in range(classes)]
    rounds = [place for turn in range(count) for places in found for place in places[turn:turn + 1]]
    return tuple(rounds[:count])


def confusion_counts(answers: Outputs, objective: Objective, classes: int) -> Tensor:
    """(K, K) int64 on the CPU: rows are true classes, columns what the network said."""
    pairs = answers.labels * classes + objective.predict(answers.logits)
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes).cpu()


def dead_units(model: nn.Module, images: Tensor, autocast: torch.dtype | None = None) -> dict[str, float]:
    """For each ReLU by its name, the share of its units that are 0 for all `images` (N, C, H, W), normalised.

    Of a convolution, a unit is a channel: it is dead where all of its pixels are. A ReLU that is used again has its later uses
    named "relu #2" and so on. The network is left as it was.
    """
    shares: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        again = sum(known.partition(" #")[0] == name for known in shares)
        largest = output.amax([dim for dim in range(output.dim()) if dim != 1]) if output.dim() > 1 else output
        shares[f"{name} #{again + 1}" if again else name] = (largest <= 0).float().mean()

    if not any(isinstance(module, nn.ReLU) for module in model.modules()):
        return {}
    with (watched(model, nn.ReLU, note), evaluation_mode(model), torch.inference_mode(),
          autocasting(images.device, autocast)):
        model(images)
    return dict(zip(shares, torch.stack(list(shares.values())).tolist(), strict=True)) if shares else {}
