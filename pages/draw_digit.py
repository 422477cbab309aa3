"""Draw a digit: does the network recognise my handwriting, and what does it see?"""

import streamlit as st
from streamlit_drawable_canvas import st_canvas

from core.data import spec_of
from core.data.drawing import Drawing, DrawingError, prepare
from core.figures.bars import probability_bars
from core.figures.images import as_picture, ink_picture
from core.runs import CheckpointError, Run, TrainedModel, has_checkpoint
from pages.parts import keys
from pages.parts.frame import go_to, open_page, select_run
from pages.parts.run_words import percent
from pages.parts.services import Services, services, trained_model

CANVAS_SIZE = 280  # pixels: ten for each of the network's, and it fits a phone
PAPER, INK = "#ffffff", "#1a1a1a"
STAGES = {
    "crop": ("Cut out", "The part with ink on it."),
    "fitted": ("Fit into 20×20", "Made smaller, its shape kept."),
    "image": ("Centre in 28×28", "Moved until the middle of the ink is in the middle. This is what the network gets."),
}


def usable_runs(server: Services) -> dict[str, Run]:
    """Runs by id that have weights for pictures of a drawing's shape, newest first."""
    return {run.id: run for run in server.store.runs() if not run.is_active and has_checkpoint(server.store, run.id)}


def choose(runs: dict[str, Run]) -> Run:
    """Which trained model answers; the one in the address first."""
    selected = st.session_state.get(keys.RUN)
    options = list(runs)

    def title(run_id: str) -> str:
        run = runs[run_id]
        return f"{run.title or run.id[:8]} · {'test ' + percent(run.test_accuracy) if run.test_accuracy else run.status}"

    chosen = st.selectbox("Trained model", options, options.index(selected) if selected in runs else 0, format_func=title,
                          key=f"draw.model.{selected}")
    if chosen != selected:
        select_run(chosen)
    return runs[chosen]


def canvas() -> Drawing | None:
    """The canvas and what was drawn on it, prepared; None while it is blank."""
    width = st.slider("Brush width (pixels)", 6, 40, 20, key="draw.width", persist_state="session")
    version = st.session_state.get(keys.CANVAS_VERSION, 0)
    result = st_canvas(stroke_width=width, stroke_color=INK, background_color=PAPER, height=CANVAS_SIZE, width=CANVAS_SIZE,
                       drawing_mode="freedraw", update_streamlit=True, return_image_data=True,
                       key=f"{keys.CANVAS}.{version}")
    if st.button("Clear", icon=":material/ink_eraser:", key="draw.clear"):
        st.session_state[keys.CANVAS_VERSION] = version + 1
        st.rerun()
    if result.image_data is None:
        return None
    try:
        drawing = prepare(result.image_data)
    except DrawingError as error:
        st.error(str(error), icon=":material/broken_image:")
        return None
    if drawing.empty:
        return None
    st.session_state[keys.DRAWING] = drawing.image
    return drawing


def answer(model: TrainedModel, drawing: Drawing) -> None:
    """The most probable class and the bars."""
    probabilities = model.predict(drawing.image.unsqueeze(0))[0].tolist()
    order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
    best, second = order[0], order[1]
    st.markdown(f"## It says: {model.classes[best]}")
    st.caption(f"{percent(probabilities[best])} sure; next is {model.classes[second]} with {percent(probabilities[second])}.")
    height = max(120, 28 * len(model.classes) + 40)
    st.echarts_chart(probability_bars(model.classes, probabilities), height=height, key="draw.bars")


def stages(drawing: Drawing) -> None:
    """What happens to the drawing on its way to the network."""
    st.subheader("What the network sees")
    st.caption("MNIST's digits were prepared like this. A network only knows pictures like the ones it learned from.")
    pictures = {"crop": ink_picture(drawing.crop), "fitted": ink_picture(drawing.fitted), "image": as_picture(drawing.image, 5)}
    with st.container(horizontal=True, gap="medium"):
        for name, (title, text) in STAGES.items():
            with st.container(width=160):
                st.image(pictures[name], width=140, alt=title)
                st.markdown(f"**{title}**")
                st.caption(text)


open_page("Draw a digit")
server = services()
st.title("Draw a digit")
runs = usable_runs(server)
if not runs:
    st.info("There is no trained model yet. Train one first: it takes a few seconds, on Home.", icon=":material/model_training:")
    if st.button("To Home", icon=":material/home:", key="draw.home"):
        go_to("app.py")
    st.stop()
left, right = st.columns([1, 1.6], gap="large")
with left:
    run = choose(runs)
    drawing = canvas()
try:
    model = trained_model(server.store, run.id)
except CheckpointError as error:
    st.error(str(error), icon=":material/broken_image:")
    st.stop()
with right:
    if not model.takes((1, 28, 28)):
        size = "×".join(map(str, model.input_shape))
        kind = spec_of(model.config.data.dataset).kind
        looks_at = {"points": f"points of {size} numbers", "text": "texts"}.get(kind, f"images of {size}")
        st.warning(f"This model looks at {looks_at}; a drawing is 1×28×28. Choose another.")
    elif drawing is None:
        st.info("Draw on the white square with mouse, pen or finger. This model answers with one of: "
                f"{', '.join(model.classes)}.", icon=":material/draw:")
    else:
        answer(model, drawing)
if drawing is not None:
    stages(drawing)
