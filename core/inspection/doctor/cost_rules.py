"""Rules about time and memory."""

import torch

from core.config import RunConfig
from core.inspection.doctor.case import Case, Finding, Severity
from core.layers import memory
from core.wording import rough_duration, size_of_bytes

# Forward and backward together take about three times the multiply-adds of forward alone: backward computes the gradient by
# inputs and by weights. Multiply-adds each second of a whole training step, taken for an estimate where none was measured.
# CPU: measured on one thread of a Xeon in float32, batch 64: CNN 8-16 1.1e10, CNN 32-64 2.6e10, 784-50-10
# 2.6e10, ResNet-18 4.4e10, 784-512-512-10 6.2e10. The others are guesses on the low side: no GPU was there to measure.
PER_SECOND = {"cpu": 3e10, "mps": 2e11, "cuda": 1e12}
STEPS_COST = 3


def images_per_second(case: Case) -> float:
    """Training speed: measured where it was, else estimated from the multiply-adds; 0 where nothing is known."""
    if case.surroundings.images_per_second:
        return case.surroundings.images_per_second
    work = STEPS_COST * case.totals.mult_adds if case.rows else 0
    return PER_SECOND[_device(case.config)] / work if work else 0.0


def _device(config: RunConfig) -> str:
    wanted = config.training.device
    return wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def epoch_too_long(case: Case) -> Finding | None:
    """An epoch that won't finish in the time allowed."""
    speed, allowed = images_per_second(case), case.surroundings.seconds_per_epoch
    seconds = case.per_epoch / speed if speed else 0.0
    if seconds <= allowed:
        return None
    measured = case.surroundings.images_per_second is not None
    how = f"measured {speed:,.0f} images/s" if measured else \
        f"about {speed:,.3g} images/s, estimated from {case.totals.mult_adds:,} multiply-adds for each image"
    return Finding(
        "epoch_too_long", "warning", f"One epoch takes about {rough_duration(seconds)}",
        f"{case.per_epoch:,} images at {how}: {rough_duration(seconds)}; {rough_duration(allowed)} are allowed. The whole run "
        f"takes {rough_duration(seconds * case.config.training.epochs)}.",
        "Nothing can be seen of validation accuracy before the first epoch is over. Fewer channels or units, or fewer copies of "
        "the images, make it shorter; the work of a layer grows with its inputs times its outputs.",
        *_lighter(case))


def _lighter(case: Case) -> tuple[str, RunConfig | None]:
    """A smaller network that would do: half as wide until an epoch fits."""
    if case.given is not None:
        return "Make the network narrower", None
    config = case.config
    for halvings in range(1, 9):
        changes = {}
        for name in ("hidden", "channels"):
            if widths := getattr(case.config.model, name, ()):
                changes[f"model__{name}"] = [max(8, width >> halvings) for width in widths]
        config = case.changed(**changes) if changes else None
        if config is None:
            return "Make the network narrower", None
        smaller = case.with_own_network(config)
        work = STEPS_COST * smaller.totals.mult_adds
        faster = images_per_second(case) * STEPS_COST * case.totals.mult_adds / work if work else 0.0
        if faster and case.per_epoch / faster <= case.surroundings.seconds_per_epoch:
            return f"Divide the widths of its layers by {2 ** halvings}", config
    return "Make the network narrower", None


def training_bytes(case: Case) -> int:
    """Memory that the run's training steps need; see core.layers.memory."""
    return memory.training_bytes(case.rows, case.config.training.optimizer, case.config.training.batch_size)


def beyond_memory(case: Case) -> Finding | None:
    """More memory than the device has."""
    limit = case.surroundings.memory_bytes
    if limit is None or not case.rows:
        return None
    needed = training_bytes(case)
    if needed <= 0.8 * limit:
        return None
    severity: Severity = "error" if needed > limit else "warning"
    per_image, batch = case.totals.activation_bytes, case.config.training.batch_size
    fixed = needed - per_image * batch
    room = int((0.5 * limit - fixed) / per_image) if per_image else 0
    fix = case.changed(training__batch_size=1 << (room.bit_length() - 1)) if 0 < room < batch else None
    return Finding(
        "beyond_memory", severity, f"Training needs about {size_of_bytes(needed)}, and the device has {size_of_bytes(limit)}",
        f"Weights, gradients and optimizer state: {size_of_bytes(fixed)}. What the layers return: {size_of_bytes(per_image)} for "
        f"each image, {size_of_bytes(per_image * batch)} for a batch of {batch}.",
        "Training keeps the result of every layer for the whole batch until the backward pass has used it, and for each weight a "
        "gradient and what the optimizer remembers. Where memory runs out, the run ends.",
        f"Set the batch size to {fix.training.batch_size}" if fix else "Make the network narrower", fix)
