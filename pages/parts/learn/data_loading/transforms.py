"""Second view: what transform does to an image and target_transform to a label, before and after."""

import streamlit as st
import torch

from core.figures.grids import tensor_grid
from core.figures.in_words import in_words
from core.labs.data_folder import COUNT, Item, picture_of
from core.labs.data_transforms import (
    STEPS,
    TARGETS,
    USUAL,
    Way,
    scatter_steps,
    step_code,
    through,
    transformed,
    transforms_code,
)
from pages.parts.learn.data_loading.shared import PATH, STILL, folder, from_address, numbers
from pages.parts.learn.lab import covered, predict, refusal, show_code, tried
from pages.parts.learn.questions import LOADING
from pages.parts.shell.markdown import as_text
from pages.parts.shell.streamlit_private import came_by_history
from pages.parts.widgets.pictures import picture_grid
from pages.parts.widgets.table import draw_table, rows_table

NO_STEPS = "none"  # in the address


def show() -> None:
    """An image's way and a label's way, and the script that does both."""
    truth = folder()
    st.markdown("A Dataset takes two functions: **transform** for every image and **target_transform** for every label. They act "
                "when a sample is asked for, so a random one draws anew each time.")
    seen = predict(PATH, LOADING["normalize"])
    from_address("loading.sample", "sample", numbers(0, COUNT - 1), 15)
    index = st.slider("Sample", 0, COUNT - 1, key="loading.sample", persist_state="session", on_change=tried, args=(PATH,))
    item = truth[index]
    names, mean, std, way = _image(item, seen)
    target, label, fine = _label(item)
    show_code(transforms_code(names, mean, std, target, label, item.name))
    if way.error or not fine or way.stages[-1].kind != "tensor":
        st.caption("With these settings the script ends with an error, too: the one shown above, or that a Pillow image has no "
                   "shape to print.")


def _image(item: Item, seen: bool) -> tuple[list[str], float, float, Way]:
    """The steps in the order in which they were chosen; the image after each where that may be seen."""
    st.header("transform")
    said = st.query_params.get("steps", "")
    if "loading.steps" not in st.session_state or came_by_history():
        asked = [name for name in dict.fromkeys(said.split(",")) if name in STEPS]
        st.session_state["loading.steps"] = asked or ([] if said == NO_STEPS else list(USUAL))
    names = st.multiselect("Steps, in the order in which you choose them", list(STEPS), key="loading.steps", on_change=tried,
                           args=(PATH,), format_func=lambda name: STEPS[name].code.split("(")[0], persist_state="session",
                           placeholder="None: the image as it was read",
                           help="  \n".join(f"{step.code.split('(')[0]}: {step.about}" for step in STEPS.values()))
    if names == list(USUAL):
        st.query_params.pop("steps", None)
    elif said != (wanted := ",".join(names) or NO_STEPS):
        st.query_params["steps"] = wanted
    mean = std = 0.5
    if "normalize" in names:
        with st.container(horizontal=True):
            mean = st.number_input("mean", -10.0, 10.0, 0.5, 0.1, key="loading.mean", bind="query-params", width=150)
            std = st.number_input("std", 0.0, 10.0, 0.5, 0.1, key="loading.std", bind="query-params", width=150,
                                  help="0 is allowed here, to see what PyTorch says.")
    way = through(picture_of(item), names, mean, std)
    st.code(f"Compose([{', '.join(step_code(name, mean, std) for name in names)}])", language="python", wrap_lines=True)
    if not seen:
        covered()
        return names, mean, std, way
    draw_table(rows_table([{
        "After": stage.code or "Image.open(path)", "What it is": stage.kind, "Shape": stage.shape, "Numbers": stage.dtype,
        "Smallest": f"{stage.low:.4g}", "Largest": f"{stage.high:.4g}", "Mean": f"{stage.mean:.4g}"} for stage in way.stages]),
        hide_index=True, height="content", key="loading.stages")
    picture_grid(torch.stack([stage.picture for stage in way.stages]), "loading.stage_pictures", "The image after each step",
                 [stage.code.split("(")[0] or "as read" for stage in way.stages], pick=False, smallest=88)
    st.caption("Each picture goes from its smallest value, black, to its largest, white: Normalize changes the numbers and not "
               "the picture.")
    if way.error:
        st.markdown(f"At `{way.stopped}`:")
        refusal(way.error)
    if way.about:
        st.markdown(f":material/lightbulb: {as_text(way.about)}")
    return names, mean, std, way


def _label(item: Item) -> tuple[str, int, bool]:
    """A label through target_transform, and what the loss makes of it; whether it went through."""
    st.header("target_transform")
    left, right = st.columns([1, 1.3], gap="large")
    with left:
        from_address("loading.label", "label", numbers(-1, 12), 3)
        label = st.number_input("Label y", -1, 12, key="loading.label", persist_state="session", width=150, on_change=tried,
                                args=(PATH,), help=f"{item.name} has the label {item.label}. Ten classes have 0 to 9; try 10.")
        from_address("loading.target", "target", {name: name for name in TARGETS}, "scatter")
        target = st.radio("target_transform", list(TARGETS), format_func=lambda name: f"`{TARGETS[name]}`", key="loading.target",
                          on_change=tried, args=(PATH,), persist_state="session")
    found = transformed(label, target)
    with right:
        if target == "scatter" and (steps := scatter_steps(label)):
            st.markdown("`torch.zeros(10)`")
            figure = tensor_grid(steps[0])
            st.plotly_chart(figure, key="loading.zeros", config=STILL, alt=in_words(figure, "Ten zeros"))
            st.markdown(f"`.scatter_(0, torch.tensor({label}), value=1)`: along dimension 0, at the place that the index names, "
                        "write value. The underscore says that it changes the tensor itself.")
            figure = tensor_grid(steps[1], steps[1].int())
            st.plotly_chart(figure, key="loading.scattered", config=STILL, alt=in_words(figure, "After scatter_"))
        elif isinstance(found.value, torch.Tensor):
            st.markdown(f"`{str(found.value.dtype).removeprefix('torch.')}`, shape ({found.value.shape[0]},)")
            figure = tensor_grid(found.value, found.value.int())
            st.plotly_chart(figure, key="loading.one_hot", config=STILL, alt=in_words(figure, "The label as it comes out"))
        elif found.value is not None:
            st.markdown(f"The number itself: `{found.value}`")
        if found.error:
            refusal(found.error)
            st.markdown(f":material/lightbulb: {as_text(found.about)}")
        if found.loss is not None and found.index_loss is not None:
            st.markdown(f"Cross-entropy of one network's answer with it: **{found.loss:.4f}**; with the plain number {label}: "
                        f"**{found.index_loss:.4f}**. PyTorch's cross-entropy takes both, so one-hot labels are needed only "
                        "where labels are mixed (mixup), or for a loss such as MSE.")
    return target, label, not found.error
