"""Read a sheet: what do all the digits on this page say, and can the network learn from them?"""

from core.process import configure

configure("server")

import streamlit as st

from core.data.drawing.photograph import MOST_MB
from core.data.own.sample_sheet import sample_sheet
from core.runs import Run
from core.wording import chance, percent, plural
from pages.parts.draw.answers import Asked, ask, title_of
from pages.parts.runs.panel import current_run
from pages.parts.runs.usable import picture_runs
from pages.parts.sheet.correct import list_section, picture_section
from pages.parts.sheet.result import keep_section, numbers_section
from pages.parts.sheet.work import Reader, Work, turn_by, work_on
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to, open_page, select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, services
from pages.parts.widgets.address import keep_choice, take_choice

SOURCE = "sheet.source"  # in the address
SOURCES = {"Upload": ":material/upload_file:", "Camera": ":material/photo_camera:"}
TURN = "Turn by 90°"
STRANGE = 0.15  # share of marks: of made sheets of digits at most 5 % are unlike what a model learned from, of text 29 to 54 %
LYING = {1: "on its left side", 2: "upside down", 3: "on its right side"}


def choose(server: Services, runs: dict[str, Run]) -> Asked:
    """Which trained model reads; the one in the address first."""
    selected = st.session_state.get(keys.RUN)
    options = list(runs)
    titles = {run_id: title_of(run) for run_id, run in runs.items()}
    key = f"sheet.model.{selected}"
    chosen = st.selectbox("Trained model", options, options.index(selected) if selected in runs else 0, key=key,
                          format_func=titles.__getitem__, on_change=lambda: select_run(st.session_state[key]))
    if chosen != selected:  # on a first visit
        select_run(chosen)
    return ask(server, runs, chosen)


def reader_of(asked: Asked) -> Reader:
    """The model as a reader of sheets. It must be able to answer."""
    model, familiar = asked.model, asked.familiar
    assert model is not None
    unlike = None if familiar is None else lambda images: familiar.scores(
        model.model, model.brought_to_size(images), model.mean, model.std)
    return Reader(asked.run.id, model.classes, model.predict, unlike, asked.how)


def picture() -> bytes | None:
    """The photograph's file; None while there is none. What another page has sent comes first."""
    if brought := st.session_state.get(keys.SHEET_BROUGHT):
        about, content = brought
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(about)
            if st.button("Another picture", icon=":material/close:", key="sheet.another"):
                st.session_state[keys.SHEET_BROUGHT] = None
                st.rerun()
        return content
    take_choice(SOURCE, SOURCES, "Upload")
    source = st.segmented_control("Where from", list(SOURCES), default="Upload", required=True, key=SOURCE,
                                  format_func=lambda name: f"{SOURCES[name]} {name}", persist_state="session",
                                  label_visibility="collapsed")
    keep_choice(SOURCE, source, "Upload")
    if source == "Upload":
        file = st.file_uploader(f"Photograph or scan of many digits: PNG, JPEG or WebP (up to {MOST_MB} MB)",
                                type=["png", "jpg", "jpeg", "webp"], key="sheet.file", max_upload_size=MOST_MB)
    else:
        st.caption("Hold the camera straight above the sheet, in even light. It is looked at on this server and not kept. A "
                   "phone's own camera takes more pixels: Upload offers it.")
        file = st.camera_input("Photograph a sheet", key="sheet.camera", label_visibility="collapsed")
    return None if file is None else file.getvalue()


def found(work: Work) -> None:
    """What was found, and what was done to the picture."""
    assert work.labelled is not None
    sheet = work.labelled.sheet
    done = [f"turned by {abs(sheet.tilt):.1f}° to lie straight"] if sheet.tilt else []
    done += ["what looks like printed lines taken away"] if sheet.ruled else []
    st.markdown(f"**{plural(len(work.labelled.entries), 'mark')}** on this sheet" + (f"; {', '.join(done)}." if done else "."))


def doubts(work: Work, content: bytes, reader: Reader) -> None:
    """Says that the sheet seems to lie the wrong way, and turns it; and that it is no sheet of digits."""
    if work.strange > STRANGE and not work.turn:
        st.warning(f"{percent(work.strange, 0)} of the marks are unlike the digits this model learned from. Is this a text? It "
                   "answers every mark with one of its classes, whatever it is.", icon=":material/help:")
    if work.turn:
        before, after = work.turn.sure
        st.warning(f"This sheet seems to lie {LYING[work.turn.quarters]}: turned, the answers are {chance(after)} sure on "
                   f"average, as it lies {chance(before)}.", icon=":material/screen_rotation:")
    with st.container(horizontal=True):
        turns = [(work.turn.quarters, "Turn it upright")] if work.turn else []
        for quarters, label in [*turns, (1, TURN)]:
            st.button(label, icon=":material/rotate_right:", key=f"sheet.turn.{label}", on_click=turn_by,
                      args=(content, quarters, reader),
                      type="secondary" if label == TURN else "primary", help="Marks are looked for anew; corrections are gone.")


@st.fragment
def correct(server: Services, work: Work, reader: Reader) -> None:
    """Picture, list and result: all that a correction changes."""
    assert work.labelled is not None
    found(work)
    picture_section(work, reader.ask)
    if work.note:
        st.warning(as_text(work.note), icon=":material/label_off:")
    numbers_section(work.labelled)
    list_section(work, work.labelled)
    keep_section(server, work)


open_page("Read a sheet")
server = services()
st.title("Read a sheet")
st.markdown("A page of digits at once: each mark is found, prepared as the images were that the network learned from, and read. "
            "Correct what is wrong, and it is a labelled data set.")
current_run(server)  # an address of no run is said to be one
runs = picture_runs(server)
if not runs:
    st.info("There is no trained model yet that reads pictures. Train one first: it takes a few seconds, on Home.",
            icon=":material/model_training:")
    if st.button("To Home", icon=":material/home:", key="sheet.home"):
        go_to("app.py")
    st.stop()
model = choose(server, runs)
if model.problem:
    st.warning(as_text(model.problem), icon=":material/block:")
    st.stop()
content = picture()
if content is None:
    st.info("Choose a picture of a page with digits: plain, ruled or squared paper, a form. Photograph it from straight above, "
            "the whole picture paper.", icon=":material/document_scanner:")
    if st.button("Try an example sheet", icon=":material/grid_on:", key="sheet.example"):
        st.session_state[keys.SHEET_BROUGHT] = "An example: scikit-learn's digits on squared paper.", sample_sheet()
        st.rerun()
    st.stop()
reader = reader_of(model)
work = work_on(content, reader)
if work.labelled is None:
    st.error(as_text(work.problem), icon=":material/broken_image:")
    st.stop()
doubts(work, content, reader)
correct(server, work, reader)
