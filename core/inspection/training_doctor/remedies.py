"""Changes of one setting that a troubled run is tried again with: what to say, and the config."""

from core.config import RunConfig
from core.inspection.doctor.training_rules import usual_rate
from core.inspection.training_doctor.record import Record

Remedy = tuple[str, RunConfig | None]

HANDWRITING = {"digits", "mnist"}  # data whose images data.variations can vary


def smaller_steps(record: Record) -> Remedy:
    """The usual learning rate where the run's is far above it, else a tenth of the run's."""
    usual = usual_rate(record.config)
    rate = usual if record.rate >= 3 * usual else float(f"{record.rate / 10:.2g}")
    return f"Set the learning rate to {rate:g}", record.changed(training__optimizer__learning_rate=rate)


def larger_steps(record: Record) -> Remedy:
    """The usual learning rate, where the run's is far below it; else no config."""
    usual = usual_rate(record.config)
    if record.rate * 3 > usual:
        return "", None
    return f"Set the learning rate to {usual:g}", record.changed(training__optimizer__learning_rate=usual)


def less_overfitting(record: Record) -> Remedy:
    """What makes overfitting harder: dropout, else varied copies, else keeping the weights of the best epoch."""
    dropout = getattr(record.config.model, "dropout", None)
    if dropout is not None and dropout < 0.3:
        return "Switch half of the units off in each step (dropout 0.5)", record.changed(model__dropout=0.5)
    if record.config.data.dataset in HANDWRITING and record.config.data.variations < 4:
        return "Add four varied copies of each image", record.changed(data__variations=4)
    return "Keep the weights of the best epoch", record.changed(training__keep="best")


def wider(record: Record) -> Remedy:
    """A network with twice as many units or channels in each layer, up to 512; no config where it has no such numbers."""
    for name in ("hidden", "channels"):
        widths = getattr(record.config.model, name, ())
        if widths and all(isinstance(width, int) for width in widths) and max(widths) < 512:
            doubled = [max(16, 2 * width) for width in widths]
            return f"Widen the layers to {', '.join(map(str, doubled))}", record.changed(**{f"model__{name}": doubled})
    return "Choose a larger network on the page “Build model”", None
