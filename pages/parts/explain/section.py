"""Why?: what one answer of a trained network depends on, asked in several ways, with what each way can't tell."""

from uuid import uuid4

import streamlit as st
from torch import Tensor

from core.data import Dataset
from core.figures.attribution import plain_picture
from core.inspection.explain.scores import ExplanationError
from core.runs import TrainedModel
from core.wording import surely_before
from pages.parts.explain.asked import Asked
from pages.parts.explain.nearest import nearest_section
from pages.parts.explain.saliency import maps_section
from pages.parts.explain.smallest_change import change_section
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to, select_run
from pages.parts.shell.markdown import as_text

MAPS, NEAREST, CHANGE = "Which pixels matter", "Most alike in training", "Smallest change that flips it"


def why_section(model: TrainedModel, image: Tensor, key: str, train: Dataset | None = None, run_id: str | None = None,
                opened: bool = False) -> None:
    """The whole section, drawn anew without the rest of the page. Nothing is computed until a view is chosen.

    image: (C, H, W) float32 in [0, 1]. key: a prefix for widgets. train: the data set the model learned from, if it is here.
    run_id: the model's run, which the layer walk opens with; by default the current one. opened: whether the first view is
        chosen at once, where somebody has asked for reasons by coming here.
    """
    def section() -> None:
        st.header("Why does it say so?")
        if (line := why_not(model, image)) is not None:
            st.info(line, icon=":material/image_not_supported:")
            return
        view = st.segmented_control("Why", [MAPS, NEAREST, CHANGE], default=MAPS if opened else None, required=opened,
                                    key=f"{key}.view", bind="query-params", label_visibility="collapsed")
        if view is None:
            st.caption("A network gives no reasons. But it can be asked: which pixels its answer hangs on, which training images "
                       "look the same to it, and how little has to change before it says something else.")
            _walk_button(image, key, run_id)
            return
        try:
            probabilities = model.predict(image.unsqueeze(0))[0].tolist()
            _answer(model, image, probabilities)
            ask = Asked(model, image)
            if view == MAPS:
                maps_section(model, image, probabilities, key, ask)
            elif view == NEAREST:
                nearest_section(model, image, probabilities, key, train)
            else:
                change_section(model, image, probabilities, key, ask)
        except ExplanationError as error:
            st.info(as_text(str(error)), icon=":material/info:")
        _walk_button(image, key, run_id)

    st.fragment(section)()


def why_not(model: TrainedModel, image: Tensor) -> str | None:
    """One line where this model can't be asked about this image."""
    if len(model.input_shape) != 3:
        return "This model does not look at images, so there are no pixels to ask about."
    if not model.classes:
        return "This model predicts a number and no class; these methods explain classes."
    if tuple(image.shape) != model.input_shape:
        needs, has = ("×".join(map(str, size)) for size in (model.input_shape, image.shape))
        return f"This model looks at images of {needs}, and this one is {has}; choose a model that fits."
    return None


def _answer(model: TrainedModel, image: Tensor, probabilities: list[float]) -> None:
    best, second = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])[:2]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.image(plain_picture(image, 112), output_format="PNG", alt="The image as the network gets it", width=112)
        with st.container(width=420):
            sure = surely_before(probabilities[best], as_text(model.classes[second]), probabilities[second])
            st.markdown(f"It says **{as_text(model.classes[best])}**, {sure}.")


def _walk_button(image: Tensor, key: str, run_id: str | None) -> None:
    """To the page that shows what each layer makes of this image."""
    if st.button("Walk it through the layers", icon=":material/footprint:", key=f"{key}.walk",
                 help="Opens Build model, where every layer's maps of this image are shown, one after the other."):
        st.session_state[keys.BROUGHT] = image.detach().clone()
        st.session_state[keys.LOOK] = keys.LOOK_WALK
        st.session_state[keys.SCROLL_TO_WALK] = uuid4().hex
        if run_id:
            select_run(run_id)
        go_to("pages/build_model.py")
