"""Explore data, Bring your own: a zip file of images is checked, looked at, and kept as a data set or dropped."""

import threading
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.data import DataError, Dataset, ImportRefused, ImportReport, default_config, delete_imported, spec_of
from core.data.own.importing import Checked, check_archive, discard, keep
from core.data.own.sample_archive import sample_archive
from core.data.own.sets import OwnSet, own_sets
from pages.parts.draft import draft
from pages.parts.explore.own_report import rejected, show_report
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.shell.streamlit_private import free

if TYPE_CHECKING:
    from pages.parts.shell.streamlit_private import UploadedFile

MOST_MB = 100  # of an upload: while one of 97 MB arrives the server grows by 188 MB, and half of that stays until it is checked
TYPES = ["zip", "tar", "gz", "tgz", "npz", "csv", "tsv", "parquet", "bin"]
AT_ONCE = 2  # archives that are read at the same time, each by a process of up to 300 MB
FITS = {"pad": "Show all of it", "crop": "Cut out the middle"}
CHANNELS = {1: "Gray", 3: "Colour"}
FOLDERS = """animals.zip
├── cat
│   ├── tom.png
│   └── garfield.jpg
└── dog
    ├── snowy.png
    └── idefix.jpg"""
TABLE = """clothes.zip
├── labels.csv    file name, label
│                 shirt1.jpg, shirt
│                 boot1.jpg, boot
├── shirt1.jpg
└── boot1.jpg"""


def section(server: Services, data: Dataset | None) -> None:
    """The whole section. It needs no other data set, so it is there while one is missing too."""
    st.header("Bring your own images")
    explain(server)
    upload(server)
    if refused := st.session_state.get(keys.OWN_REFUSED):
        line, report = refused
        st.error(as_text(line), icon=":material/block:")
        if report:
            rejected(report)
            other_readings(report, "It can be read in another way", "choose one")
    if checked := st.session_state.get(keys.OWN_CHECKED):
        with st.container(border=True):
            show_report(checked)
            other_readings(checked.report)
            decide(server, checked)
    if kept := st.session_state.get(keys.OWN_KEPT):
        next_steps(server, kept[-1])
    list_sets(server)


def explain(server: Services) -> None:
    """What an archive may look like, and who will see it."""
    st.markdown("Put images (PNG, JPEG, WebP, BMP, GIF, TIFF or PGM) into a zip file, at least two classes, in one of two ways. "
                "You see a report before anything is kept. Pictures as numbers are read, too: Kaggle's `train.csv`, Keras' "
                "`mnist.npz`, MNIST's own files in a zip file, CIFAR's binary version; and Parquet, as on the Hugging Face Hub. "
                "Archives in the archive are opened.")
    left, right = st.columns(2)
    left.markdown("**A folder for each class.** Folders such as `train` and `test` around or inside them are a split.")
    left.code(FOLDERS, language=None)
    right.markdown("**A table that names the images** and says what each shows, as a CSV file. Titles such as `file`, "
                   "`label` and `split` are understood, in any order.")
    right.code(TABLE, language=None)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button("Download a sample", lambda: sample_archive(server.settings.data_dir, server.settings.cache_dir),
                           "sample-digits.zip", "application/zip", key="explore.own.sample", icon=":material/folder_zip:",
                           on_click="ignore")
        st.caption("200 digits and a few mistakes, to try it with.")
    if server.private:
        who = ("you and the teacher see the title, the classes and the images of what is kept, and can train on it or delete it. "
               "Who opens the link of a run of yours sees images that it learned from.")
    elif server.actor.is_local:
        who = ("everybody who can open this page sees the title, the classes and the images of what is kept, and can train on it "
               "or delete it.")
    else:
        who = ("everybody on this server sees the title, the classes and the images of what you keep as the teacher, and can "
               "train on it; only a teacher can delete it.")
    st.info(f"**Who sees it:** {who} File names are not kept. Bring no images that others must not see.",
            icon=":material/visibility:")


def upload(server: Services) -> None:
    """The file and how its images are to be kept."""
    version = st.session_state.setdefault(keys.OWN_VERSION, 0)
    file = st.file_uploader(f"Archive or table (up to {MOST_MB} MB)", type=TYPES, key=f"explore.own.file.{version}",
                            max_upload_size=MOST_MB)
    size_column, colour_column, fit_column = st.columns(3)
    size = size_column.segmented_control("Size (pixels)", [28, 32, 64], default=28, required=True, key="explore.own.size",
                                         persist_state="session", help="Height and width that every image is brought to. More "
                                         "pixels show more and train more slowly: 64 takes about five times as long as 28.")
    channels = colour_column.segmented_control("Colour", list(CHANNELS), default=1, required=True, key="explore.own.channels",
                                               format_func=CHANNELS.__getitem__, persist_state="session",
                                               help="Gray has one number for each pixel, colour three.")
    fit = fit_column.segmented_control("Images that are not square", list(FITS), default="pad", required=True,
                                       key="explore.own.fit", format_func=FITS.__getitem__, persist_state="session",
                                       help="The shape of what is shown never changes. “Show all of it” fills the rest with the "
                                       "colour of the image's edge.")
    with st.expander("Split and copies", icon=":material/call_split:"):
        share = st.slider("Share for testing (%)", 5, 50, 20, 5, key="explore.own.share", persist_state="session",
                          help="Of each class, drawn by the seed. Used where the archive has no folder for testing.")
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="explore.own.seed", persist_state="session",
                               help="The same number draws the same test images.")
        drop = st.toggle("Leave out exact copies", key="explore.own.drop", persist_state="session",
                         help="Keeps one of several images that are pixel for pixel the same, if their class is the same.")
    reading = st.session_state.get("explore.own.reading", "")
    options = {"size": size, "channels": channels, "fit": fit, "test_share": share / 100, "seed": int(seed), "drop_copies": drop,
               "reading": reading}
    if st.button("Check the images", type="primary", icon=":material/fact_check:", key="explore.own.check",
                 disabled=file is None) and file is not None:
        st.session_state["explore.own.title"] = file.name.rpartition(".")[0][:60] or "My images"
        st.session_state[keys.OWN_VERSION] += 1
        free(file)
        st.session_state.pop("explore.own.reading", None)
        check(server, file, options | {"reading": ""})
    archive = st.session_state.get(keys.OWN_ARCHIVE)
    if archive and archive[1] != options:  # the report is shown: it has to be of what would be kept
        st.session_state["explore.own.title"] = st.session_state.get("explore.own.title", "My images")  # as it was typed
        check(server, archive[0], options)


def check(server: Services, file: "UploadedFile", options: dict[str, Any]) -> None:
    """Read the upload with a progress bar; the report is in the session afterwards, and the upload until it is kept or dropped:
    with another option it is read again."""
    forget_checked()
    bar = st.progress(0.0, "Waiting for another import to end…")

    def show(done: int, total: int) -> None:
        bar.progress(done / max(1, total), f"{done:,} of {total:,} images")

    try:
        with turn():
            bar.progress(0.0, "Reading the archive…")
            checked = check_archive(file.getbuffer(), server.settings.data_dir, **options, name=file.name, progress=show)
        st.session_state[keys.OWN_CHECKED] = checked
        st.session_state[keys.OWN_ARCHIVE] = (file, options)
    except ImportRefused as error:
        st.session_state[keys.OWN_REFUSED] = (str(error), error.report)
        if error.report and error.report.readings:
            st.session_state[keys.OWN_ARCHIVE] = (file, options)
    except DataError as error:
        st.session_state[keys.OWN_REFUSED] = (str(error), None)
    st.rerun()


def other_readings(report: ImportReport, label: str = "Read it as", first: str = "it was understood") -> None:
    """The ways in which the archive can be read besides; another one is read at once. first: what stands for none of them."""
    ways = {"": first} | dict(report.readings)
    if len(ways) > 1:
        st.selectbox(label, list(ways), format_func=ways.__getitem__, key="explore.own.reading", persist_state="session")


@st.cache_resource(show_spinner=False)
def turn() -> threading.Semaphore:
    """Taken while an archive is read: of many visitors' archives, two at a time."""
    return threading.Semaphore(AT_ONCE)


def forget_checked() -> None:
    """Drop what was checked before."""
    st.session_state.pop(keys.OWN_REFUSED, None)
    st.session_state.pop(keys.OWN_ARCHIVE, None)
    if checked := st.session_state.pop(keys.OWN_CHECKED, None):
        discard(checked)


def decide(server: Services, checked: Checked) -> None:
    """Keep it or drop it."""
    title = st.text_input("Title", key="explore.own.title", max_chars=60, help="What it is called in the list of data sets.")
    with st.container(horizontal=True):
        if st.button("Keep it", type="primary", icon=":material/check:", key="explore.own.keep"):
            try:
                report = keep(checked, title, server.actor)
            except DataError as error:
                st.error(as_text(str(error)), icon=":material/folder_off:")
                return
            st.session_state.pop(keys.OWN_CHECKED)
            st.session_state.pop(keys.OWN_ARCHIVE, None)
            st.session_state[keys.OWN_KEPT] = [*st.session_state.get(keys.OWN_KEPT, []), report.name]
            st.rerun()
        if st.button("Drop it", icon=":material/close:", key="explore.own.discard"):
            forget_checked()
            st.rerun()


def next_steps(server: Services, name: str) -> None:
    """Where to go with what was kept last."""
    try:
        spec = spec_of(name, server.settings.data_dir)
    except DataError:
        return  # deleted since
    st.success(f"**{as_text(spec.title)}** is a data set now: {spec.counts[0]:,} training and {spec.counts[1]:,} test images.",
               icon=":material/check_circle:")
    with st.container(horizontal=True):
        if st.button("Train on it", type="primary", icon=":material/model_training:", key="explore.own.train"):
            draft.take_data(default_config(name, server.settings.data_dir))
            go_to("pages/train_model.py")
        st.button("Look at it", icon=":material/grid_view:", key="explore.own.look", on_click=look_at, args=(name,))


def look_at(name: str) -> None:
    """Choose the data set and the section Look, before the page runs again."""
    st.session_state[keys.EXPLORED] = name
    st.session_state["explore.section"] = "Look"


def list_sets(server: Services) -> None:
    """All sets that people have brought, each with a way to remove it."""
    found = [own for own in own_sets(server.settings.data_dir, server.actor) if not own.hidden]
    if not found:
        return
    st.markdown("### Data sets that were brought here")
    mine = [own.name for own in found if own.owner == server.actor.key] if server.private else \
        st.session_state.get(keys.OWN_KEPT, [])
    for own in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{as_text(own.title)}**")
            channels, height, width = own.input_shape
            whose = " · yours" if own.name in mine else ""
            st.caption(f"{sum(own.counts):,} images, {len(own.classes)} classes, {height}×{width} "
                       f"{CHANNELS.get(channels, '').lower()} · {own.created[:10]}{whose}")
            if server.actor.may_change(own.owner):
                delete(server, own)


def delete(server: Services, own: OwnSet) -> None:
    """The button, and what it says before it does anything."""
    with st.popover("Delete", icon=":material/delete:", key=f"explore.own.delete.{own.id}"):
        st.markdown(f"The {sum(own.counts):,} images will be gone{'' if server.private else ' for everybody'}. Networks that "
                    "learned from them stay.")
        if st.button("Delete this data set", type="primary", key=f"explore.own.delete.{own.id}.sure"):
            try:
                delete_imported(server.settings.data_dir, own.name, server.actor)
            except DataError as error:
                st.error(as_text(str(error)))
                return
            st.rerun()
