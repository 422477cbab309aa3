"""Why?, Most alike in training: which images it learned from look the same to its last layer."""

import hashlib

import streamlit as st
from torch import Tensor

from core.data import Dataset
from core.figures.images import as_picture
from core.inspection.explain.nearest import Features, LastLinear, nearest_in_features
from core.memory import as_in_training
from core.runs import TrainedModel
from pages.parts.shell.markdown import as_text

MEASURES = {"cosine": "Pattern (angle)", "distance": "Distance"}
ABOUT = {"cosine": "the cosine, 1 for the same pattern", "distance": "the distance, 0 for the same numbers"}
COUNT, PICTURE = 12, 84


def nearest_section(model: TrainedModel, image: Tensor, probabilities: list[float], key: str, train: Dataset | None) -> None:
    """The nearest training images with their labels."""
    if train is None or train.input_shape != model.input_shape or train.classes != model.classes:
        st.info("The images that this model learned from are not on this machine, or are others by now.",
                icon=":material/hide_image:")
        return
    measure = st.segmented_control("Alike in", list(MEASURES), default="cosine", format_func=MEASURES.__getitem__, required=True,
                                   key=f"{key}.measure", persist_state="session",
                                   help="Pattern: the angle between the two rows of numbers (cosine). Distance: the root of "
                                        "their summed squared differences.")
    network = LastLinear(model.model, model.mean, model.std, model.input_shape)
    features = _features(model, train, _fingerprint(model), train.title, len(train.train))
    found = nearest_in_features(features, network.features(image.unsqueeze(0))[0], COUNT, measure)
    said = max(range(len(probabilities)), key=probabilities.__getitem__)
    same = int((found.labels == said).sum())
    st.markdown(f"{same} of the {len(found.labels)} nearest are labelled **{as_text(model.classes[said])}**, which is what it "
                "says.")
    pixels, _ = train.train.take(found.positions)
    lines = [f"{train.classes[label]} · {closeness:.3f}" for label, closeness in
             zip(found.labels.tolist(), found.closeness.tolist(), strict=True)]
    with st.container(horizontal=True, gap="small"):
        for picture, line in zip(pixels, lines, strict=True):
            st.image(as_picture(picture, max(1, PICTURE // max(picture.shape[1:]))), caption=as_text(line), width=PICTURE,
                     output_format="PNG", alt=f"A training image: {line}")
    _about(features, image, measure)


def _about(features: Features, image: Tensor, measure: str) -> None:
    count, width = features.values.shape
    of_all = f"all {count:,}" if count == features.available else f"{count:,} of {features.available:,}"
    pixels = "It has no hidden layer, so these numbers are the pixels themselves. " if width == image.numel() else ""
    st.caption(f"Compared with {of_all} training images by the {width:,} numbers that the last layer, {as_text(features.layer)}, "
               f"receives. {pixels}Below each image: its label and {ABOUT[measure]}. Can't tell: what the likeness consists of. "
               "What is alike here need not be alike to an eye.")


def _fingerprint(model: TrainedModel) -> str:
    """Of the run's settings and of the last layer's weights: the same for the same network, however often it is read."""
    digest = hashlib.blake2b(f"{model.config.model_dump_json()} {model.epoch}".encode(), digest_size=16)
    for weight in list(model.model.parameters())[-2:]:
        digest.update(weight.detach().numpy().tobytes())
    return digest.hexdigest()


@st.cache_resource(max_entries=3, show_spinner="Showing it the training images…")  # 24 MB each at most
def _features(_model: TrainedModel, _train: Dataset, fingerprint: str, title: str, count: int) -> Features:
    with as_in_training():
        return LastLinear(_model.model, _model.mean, _model.std, _model.input_shape).of_split(_train.train)
