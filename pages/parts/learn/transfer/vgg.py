"""The lab on transfer learning: VGG-16 with ImageNet's weights, where they are on this machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st

from core.errors import reason
from core.figures.building_blocks import lines
from core.figures.in_words import in_words
from core.labs import vgg
from core.labs.transfer import WAYS, TransferConfig, Way, few, train
from core.wording import percent
from pages.parts.learn.lab import tried
from pages.parts.learn.transfer.subject import Subject, choose
from pages.parts.learn.transfer.views import PATH, STILL, settings
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row


def vgg_section(server: Services) -> str:
    """Its sizes, and its features where the weights are on this machine. Returns the code."""
    classes = st.slider("Classes of the new task", 2, 20, 5, key="transfer.classes", bind="query-params", on_change=tried,
                        args=(PATH,))
    counted = vgg.sizes(classes)
    metrics_row({"VGG-16 as it comes": (f"{counted.whole:,}", "Its parameters, for ImageNet's 1,000 classes."),
                 "Trainable with a new last layer": (f"{counted.head_only.trainable:,}", f"4,096 weights and a bias for each of "
                                                     f"{classes} classes; {counted.head_only.frozen:,} are frozen."),
                 "Trainable above frozen convolutions": (
                     f"{counted.convolutions_frozen.trainable:,}",
                     f"All three linear layers; {counted.convolutions_frozen.frozen:,} numbers of the convolutions are frozen.")})
    st.caption("Counted from torchvision's own VGG-16, without the memory for its numbers. What is frozen needs no gradients and "
               "no memory for the optimizer, and its features of an image need computing only once.")
    path = vgg.find_weights(server.settings.data_dir)
    if path is None:
        st.info(as_text(vgg.where_to_put(server.settings.data_dir)), icon=":material/cloud_off:")
    else:
        st.caption(f"ImageNet's weights are on this machine: {as_text(path.name)}.")
        _with_weights(server, str(path))
    return vgg.lines(classes)


def _with_weights(server: Services, path: str) -> None:
    """A new last layer above VGG-16's features of the new classes' images."""
    subject = choose(server)
    if subject is None:
        return
    config = _more_steps(settings())
    if not st.toggle("Use its features", key="transfer.vgg", on_change=tried, args=(PATH,), bind="query-params",
                     help=f"Images are brought to {vgg.SIDE}×{vgg.SIDE}. The first time takes about a second for three images."):
        return
    try:
        way = _vgg_way(subject, path, f"{subject.data.name} {subject.data.classes}", config)
    except (vgg.WeightsUnusable, MemoryError, RuntimeError) as error:
        st.error(as_text(reason(error)), icon=":material/broken_image:")
        return
    metrics_row({way.name: (percent(way.accuracies[-1], 1), "Of the test images of the new classes."),
                 "Trained": (f"{way.count.trainable:,}", "Numbers of the new last layer.")})
    figure = lines(np.array(way.steps), {way.name: list(way.accuracies)}, "step", "accuracy on test images")
    st.plotly_chart(figure, key="transfer.vgg_accuracy", config=STILL, alt=in_words(figure, "Accuracy over steps"))


def _more_steps(config: TransferConfig) -> TransferConfig:
    """A last layer alone is quick, so it takes ten times the steps at most."""
    return config.model_copy(update={"steps": min(300, 10 * config.steps)})


@st.cache_data(max_entries=4, show_spinner="VGG-16 looks at the images…")
def _vgg_way(_subject: Subject, path: str, data: str, config: TransferConfig) -> Way:
    model = vgg.read_weights(Path(path))
    images = few(_subject.data, config.per_class, config.seed)
    test = replace(_subject.data.test, rows=_subject.data.test.rows[:vgg.MOST_TEST])
    points, learned = vgg.as_points(_subject.data, images, test, vgg.features(model, images), vgg.features(model, test))
    head = vgg.last_layer(points.train.images.shape[1], len(points.classes), config.seed)
    return train(WAYS["frozen"], head, points, learned, config)
