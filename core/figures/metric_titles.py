"""What metrics are called in charts. Without plotly, which what is drawn by others need not wait for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricTitle:
    """How a metric is called in a chart; share: from 0 to 1, read in percent; falls: a logarithmic axis helps it; rises: the
    larger the better."""

    title: str
    share: bool = False
    falls: bool = False
    rises: bool = False


METRICS: dict[str, MetricTitle] = {
    "validation_loss": MetricTitle("Validation loss", falls=True),
    "validation_accuracy": MetricTitle("Validation accuracy", share=True, rises=True),
    "loss": MetricTitle("Training loss of each batch", falls=True),
    "accuracy": MetricTitle("Training accuracy of each batch", share=True, rises=True),
    "train_loss": MetricTitle("Training loss, mean of each epoch", falls=True),
    "train_accuracy": MetricTitle("Training accuracy, mean of each epoch", share=True, rises=True),
    "learning_rate": MetricTitle("Learning rate", falls=True),
    "throughput": MetricTitle("Training speed (examples/s)", rises=True),
    "images_per_second": MetricTitle("Training speed of each epoch (examples/s)", rises=True),
    "seconds": MetricTitle("Training time of each epoch (s)"),
    "memory": MetricTitle("Memory of the training process (MB)"),
    "gpu_memory": MetricTitle("Memory of the GPU (MB)"),
    "threads": MetricTitle("Processor threads"),
}
FAMILIES = {"gradient.": ("Gradient norm of", True), "dead.": ("Share of dead units after", False)}


def metric_title(name: str) -> MetricTitle:
    """Of a metric that a run has recorded; one that is not known here keeps its name."""
    for prefix, (title, falls) in FAMILIES.items():
        if name.startswith(prefix):
            return MetricTitle(f"{title} {name.removeprefix(prefix)}", share=not falls, falls=falls)
    return METRICS.get(name, MetricTitle(name))
