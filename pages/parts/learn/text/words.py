"""The lab on text, first half: words become numbers, and where texts of one's own come from."""

from typing import TYPE_CHECKING

import streamlit as st

from core.data import DATASETS, DataError
from core.data.sources.text_files import (
    OwnTexts,
    delete_own,
    import_csv,
    own_texts,
    texts_owner,
)
from core.data.sources.texts import END, FIRST, UNKNOWN, Token, tokens
from core.errors import reason
from core.importing.text_labels import FEWEST
from core.importing.text_lines import MOST_MEGABYTES
from core.wording import plural
from pages.parts.learn.lab import covered, tried
from pages.parts.learn.text.subject import TextModel, guess, title, title_of_own, word_leans
from pages.parts.runs.download import download_button
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

if TYPE_CHECKING:
    from pages.parts.shell.streamlit_private import UploadedFile

PATH = "pages/learn_text.py"
MOST_SHOWN = 80  # words of a text that are drawn
LONGEST = 2000  # characters that can be typed
TESTED, OWN = "One of the test texts", "Type my own"
MOST_COLUMNS = 6  # of classes in the table of the vocabulary
COMMON = 50  # the most frequent words have a colour of their own


def review(subject: TextModel, key: str) -> str:
    """A test text that is chosen, or one that is typed."""
    what = subject.what
    kind = st.segmented_control(title(what), [TESTED, OWN], default=TESTED, required=True, key=f"text.kind.{key}",
                                format_func=lambda kind: f"Test {what}" if kind == TESTED else kind, bind="query-params")
    if kind == OWN:
        return st.text_area(f"Your {what}", "The story is wonderful, but the ending is not.", max_chars=LONGEST,
                            key=f"text.own.{key}", on_change=tried, args=(PATH,), persist_state="session")
    count = len(subject.texts.test)
    number = st.number_input(f"Test {what} (1 to {count:,})", 1, count, 1, key=f"text.number.{key}.{count}",
                             bind="query-params", width=220,
                             on_change=tried, args=(PATH,))
    label = subject.data.classes[int(subject.data.test.labels[number - 1])]  # test rows are all rows, in order
    text = subject.texts.test[number - 1]
    whose = "its author's" if what == "review" else "its"
    st.markdown(f"“{as_text(text[:LONGEST])}{'…' if len(text) > LONGEST else ''}” · {whose} label: **{as_text(label)}**")
    return text


def words_section(server: Services, subject: TextModel) -> str:
    """One review as words and as the row of numbers that the network gets. Returns the review."""
    seen = guess(subject, "unknown")
    text = review(subject, "words")
    if not seen:
        covered()
        return text
    length = subject.config.data.text_length
    found = tokens(text, subject.texts.vocabulary, length)
    if not found:
        st.info("There is no word in it: the network would see zeros only.", icon=":material/short_text:")
        return text
    st.markdown(" ".join(_badge(place, token, length) for place, token in enumerate(found[:MOST_SHOWN])))
    st.caption(f"Blue: one of the {COMMON} most frequent words. Green: another known word. Red: unknown, number {UNKNOWN}. Grey: "
               f"beyond the {length} words that are read."
               + (f" The first {MOST_SHOWN} words are shown." if len(found) > MOST_SHOWN else ""))
    row = [token.number for token in found[:length]]
    shown = ", ".join(map(str, row[:24])) + (", …" if len(row) > 24 else f", {END}" * 3 + ", …" if len(row) < length - 2 else "")
    st.markdown(f"What the network gets, {length} numbers; {END} means that the text has ended:")
    st.code(f"[{shown}]", language=None, wrap_lines=True)
    known = sum(token.number >= FIRST for token in found[:length])
    metrics_row({"Words": (f"{len(found):,}", None), "Known": (f"{known:,}", "They have a row of their own in the table."),
                 "Unknown": (f"{len(row) - known:,}", "They all share row 1.")})
    return text


def _badge(place: int, token: Token, length: int) -> str:
    """A word is letters and apostrophes only, so nothing in it can be markdown."""
    if place >= length:
        return f":gray-background[{token.word}]"
    colour = "red" if token.number == UNKNOWN else "blue" if token.number < COMMON + FIRST else "green"
    return f":{colour}-background[{token.word} :small[{token.number}]]"


def vocabulary_section(server: Services, subject: TextModel) -> None:
    """All known words with their counts and which way they lean."""
    vocabulary = subject.texts.vocabulary
    what = subject.what
    st.markdown(f"The vocabulary comes from the {len(subject.texts.train):,} training {what}s alone: {len(vocabulary.words):,} "
                f"words, the most frequent first. Validation and test {what}s must not add to it, or they would no longer "
                "be new.")
    by_number, classes = {lean.number: lean for lean in word_leans(subject.config.data, server.settings)}, subject.data.classes

    def of_classes(number: int) -> dict[str, int | str | None]:
        lean = by_number.get(number)
        if len(classes) > MOST_COLUMNS:
            return {"Most one-sided for": classes[lean.label] if lean else None}
        return {f"In {name} {subject.what}s": lean.counts[place] if lean else None for place, name in enumerate(classes)}

    rows = [{"Number": number, "Word": word, "Count": count} | of_classes(number)
            for number, (word, count) in enumerate(zip(vocabulary.words[:2000], vocabulary.counts, strict=False), start=FIRST)]
    draw_table(rows_table(rows), hide_index=True, height=360, key="text.vocabulary")
    once = sum(count == 1 for count in vocabulary.counts)
    st.caption(f"Number {END} stands where a text has ended, number {UNKNOWN} for every word that is not here. {once:,} words "
               f"were seen once: the network can only memorise them. In how many {subject.what}s a word stands is counted from "
               "3 on.")


def own_section(server: Services) -> None:
    """Upload a CSV, or delete one."""
    st.markdown("A CSV file with one text in each line and what it is: positive or negative, spam or not, any two classes or "
                f"more with at least {FEWEST} texts each. A first line `text,label` says which column is which; "
                f"`review,sentiment` and the like are understood, too. At most {MOST_MEGABYTES} MB.")
    upload = st.file_uploader("CSV of texts", type=["csv", "tsv", "txt"], key="text.upload", max_upload_size=MOST_MEGABYTES)
    who = ("you and the teacher can train on the texts, read them here and delete them" if server.private else
           "everybody who can open this page can train on the texts, read them here and delete them" if server.actor.is_local else
           "everybody on this server can train on what you keep as the teacher and read it here; only a teacher can delete it")
    st.caption(f"**Who sees it:** {who}. They are kept on this server, "
               "without the file's name. Bring no texts that others must not see.")
    if upload is not None:
        _read_once(server, upload)
        _said_of_upload(server, upload)
    _kept_texts(server)
    _imdb(server)


def _read_once(server: Services, upload: "UploadedFile") -> None:
    """Keep what was uploaded: once, however often the page is drawn while the uploader shows the file."""
    if (before := st.session_state.get(keys.TEXTS_READ)) is None or before[0] != upload.file_id:
        _keep(server, upload)


def _keep(server: Services, upload: "UploadedFile", taken: tuple[int, int] | None = None) -> None:
    """Read and keep an uploaded file. taken: which columns are text and label, where somebody has said so; what was kept of it by
    another reading goes then."""
    _, before, columns = st.session_state[keys.TEXTS_READ] if taken else (None, None, ())
    mine = st.session_state.get(keys.OWN_TEXTS, [])
    try:
        with st.spinner("Reading the texts…"):
            became: OwnTexts | str = import_csv(upload.getbuffer(), server.settings.data_dir, server.actor, taken)
        columns = became.read.columns
        if isinstance(before, OwnTexts) and not before.was_there and before.name != became.name and not any(
                run.config.data.text_file == before.name for run in server.store.runs(-1)):
            delete_own(server.settings.data_dir, before.name, server.actor)
            mine = [name for name in mine if name != before.name]
        st.session_state[keys.OWN_TEXTS] = [*mine, became.name]
        tried(PATH)
    except DataError as error:  # CsvRefused, or they are too many
        became, columns = str(error), getattr(error, "columns", columns) or columns
    except OSError as error:
        became = f"The file can't be kept: {error.strerror or reason(error)}."
    st.session_state[keys.TEXTS_READ] = upload.file_id, became, columns
    if taken or not isinstance(became, str):
        st.rerun()  # the list of texts above has been drawn without it


def _said_of_upload(server: Services, upload: "UploadedFile") -> None:
    _, became, columns = st.session_state[keys.TEXTS_READ]
    if isinstance(became, str):
        st.error(as_text(became), icon=":material/block:")
        _read_it_as(server, upload, columns, (0, 1))
    elif became.name in st.session_state[keys.OWN_TEXTS]:
        st.success(f"{sum(became.counts):,} texts of {plural(len(became.classes), 'class', 'classes')}: "
                   f"{as_text(_counted(became))}. Choose “{title_of_own(became.name)}” above.", icon=":material/check_circle:")
        for note in became.read.notes:
            st.caption(as_text(note))
        _read_it_as(server, upload, columns, became.read.taken)
    else:
        st.info("The texts of this file were deleted. Upload it again to have them back.", icon=":material/delete:")


def _counted(became: OwnTexts) -> str:
    """The classes and how many texts they have, the largest first."""
    order = sorted(range(len(became.classes)), key=lambda place: (-became.counts[place], place))
    shown = ", ".join(f"{became.classes[place]} {became.counts[place]:,}" for place in order[:8])
    return shown + (", …" if len(order) > 8 else "")


def _read_it_as(server: Services, upload: "UploadedFile", columns: tuple[str, ...], taken: tuple[int, int]) -> None:
    """Other columns for text and label, where the file has some to choose from."""
    if len(columns) < 2:
        return
    with st.popover("Read it as", icon=":material/table_view:", key="text.columns"), st.form("text.columns.form", border=False):
        text, label = (st.selectbox(what, range(len(columns)), taken[place], format_func=lambda column: columns[column],
                                    key=f"text.column.{place}.{upload.file_id}")
                       for place, what in enumerate(("Text", "Label")))
        if st.form_submit_button("Read it again", type="primary", key="text.columns.read") and (text, label) != taken:
            _keep(server, upload, (text, label))


def _imdb(server: Services) -> None:
    """50,000 reviews by download."""
    spec = DATASETS["imdb"]
    st.header("50,000 reviews: IMDB")
    if spec.is_available(server.settings.data_dir):
        st.markdown("They are on this machine: choose “IMDB reviews” above.")
        return
    st.markdown(f"{as_text(spec.summary)} {spec.download_mb} MB, read from the archive as it is; a download that breaks off goes "
                "on where it was. Without internet, put aclImdb_v1.tar.gz into the data directory yourself.")
    st.caption(as_text(f"{spec.citation} Licence: {spec.licence}."))
    download_button(server, "imdb", "text.download")


def _kept_texts(server: Services) -> None:
    """Files that people have brought, each with a button that deletes it."""
    for name in own_texts(server.settings.data_dir, server.actor):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(title_of_own(name))
            if not server.actor.may_change(texts_owner(server.settings.data_dir, name)):
                continue
            with st.popover("Delete", icon=":material/delete:", key=f"text.delete.{name}"):
                st.markdown(f"The texts will be gone{'' if server.private else ' for everybody'}. Networks that learned from "
                            "them stay.")
                if st.button("Delete these texts", type="primary", key=f"text.delete.{name}.sure"):
                    _delete(server, name)


def _delete(server: Services, name: str) -> None:
    try:
        delete_own(server.settings.data_dir, name, server.actor)
    except DataError as error:
        refuse(as_text(str(error)))
    except OSError as error:
        refuse(as_text(f"The texts can't be deleted: {error.strerror or reason(error)}."), ":material/folder_off:")
    st.session_state[keys.OWN_TEXTS] = [mine for mine in st.session_state.get(keys.OWN_TEXTS, []) if mine != name]
    st.rerun()
