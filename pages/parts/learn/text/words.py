"""The lab on text, first half: words become numbers, and where texts of one's own come from."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core.data import DATASETS, DataError
from core.data.sources.text_files import (
    MOST_MEGABYTES,
    OwnTexts,
    delete_own,
    import_csv,
    own_texts,
    texts_owner,
)
from core.data.sources.texts import END, FIRST, UNKNOWN, Token, tokens
from core.errors import reason
from pages.parts.learn.lab import covered, predict, tried
from pages.parts.learn.questions import TEXT
from pages.parts.learn.text.subject import TextModel, title_of_own, word_leans
from pages.parts.runs.download import download_button
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row

if TYPE_CHECKING:
    from pages.parts.shell.streamlit_private import UploadedFile

PATH = "pages/learn_text.py"
MOST_SHOWN = 80  # words of a text that are drawn
LONGEST = 2000  # characters that can be typed
OWN = "Type my own"
COMMON = 50  # the most frequent words have a colour of their own


def review(subject: TextModel, key: str) -> str:
    """A test review that is chosen, or one that is typed."""
    kind = st.segmented_control("Review", ["Test review", OWN], default="Test review", required=True, key=f"text.kind.{key}",
                                bind="query-params")
    if kind == OWN:
        return st.text_area("Your review", "The story is wonderful, but the ending is not.", max_chars=LONGEST,
                            key=f"text.own.{key}", on_change=tried, args=(PATH,), persist_state="session")
    count = len(subject.texts.test)
    number = st.number_input(f"Test review (1 to {count:,})", 1, count, 1, key=f"text.number.{key}.{count}",
                             bind="query-params", width=220,
                             on_change=tried, args=(PATH,))
    label = subject.data.classes[int(subject.data.test.labels[number - 1])]  # test rows are all rows, in order
    text = subject.texts.test[number - 1]
    st.markdown(f"“{as_text(text[:LONGEST])}{'…' if len(text) > LONGEST else ''}” · its author's label: **{as_text(label)}**")
    return text


def words_section(server: Services, subject: TextModel) -> str:
    """One review as words and as the row of numbers that the network gets. Returns the review."""
    seen = predict(PATH, TEXT["unknown"])
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
    st.markdown(f"The vocabulary comes from the {len(subject.texts.train):,} training reviews alone: {len(vocabulary.words):,} "
                "words, the most frequent first. Validation and test reviews must not add to it, or they would no longer be new.")
    by_number = {lean.number: lean for lean in word_leans(subject.config.data, server.settings)}
    rows = [{"Number": number, "Word": word, "Count": count,
             "In negative reviews": by_number[number].negative if number in by_number else None,
             "In positive reviews": by_number[number].positive if number in by_number else None}
            for number, (word, count) in enumerate(zip(vocabulary.words[:2000], vocabulary.counts, strict=False), start=FIRST)]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=360, key="text.vocabulary")
    once = sum(count == 1 for count in vocabulary.counts)
    st.caption(f"Number {END} stands where a text has ended, number {UNKNOWN} for every word that is not here. {once:,} words "
               "were seen once: the network can only memorise them. In how many reviews a word stands is counted from 3 "
               "on.")


def own_section(server: Services) -> None:
    """Upload a CSV, or delete one."""
    st.markdown("A CSV file with one text in each line and whether it is positive or negative. A first line `text,label` says "
                f"which column is which; `review,sentiment` and the like are understood, too. At most {MOST_MEGABYTES} MB.")
    upload = st.file_uploader("CSV of texts", type=["csv", "txt"], key="text.upload", max_upload_size=MOST_MEGABYTES)
    who = ("you and the teacher can train on the texts, read them here and delete them" if server.private else
           "everybody who can open this page can train on the texts, read them here and delete them" if server.actor.is_local else
           "everybody on this server can train on what you keep as the teacher and read it here; only a teacher can delete it")
    st.caption(f"**Who sees it:** {who}. They are kept on this server, "
               "without the file's name. Bring no texts that others must not see.")
    if upload is not None:
        _read_once(server, upload)
        _said_of_upload()
    _kept_texts(server)
    _imdb(server)


def _read_once(server: Services, upload: "UploadedFile") -> None:
    """Keep what was uploaded: once, however often the page is drawn while the uploader shows the file."""
    if (before := st.session_state.get(keys.TEXTS_READ)) is not None and before[0] == upload.file_id:
        return
    try:
        became: OwnTexts | str = import_csv(upload.getvalue(), server.settings.data_dir, server.actor)
        st.session_state[keys.OWN_TEXTS] = [*st.session_state.get(keys.OWN_TEXTS, []), became.name]
        tried(PATH)
    except DataError as error:  # TextsRefused, or they are too many
        became = str(error)
    except OSError as error:
        became = f"The file can't be kept: {error.strerror or reason(error)}."
    st.session_state[keys.TEXTS_READ] = upload.file_id, became
    if not isinstance(became, str):
        st.rerun()  # the list of texts above has been drawn without it


def _said_of_upload() -> None:
    _, became = st.session_state[keys.TEXTS_READ]
    if isinstance(became, str):
        st.error(as_text(became), icon=":material/block:")
    elif became.name in st.session_state[keys.OWN_TEXTS]:
        st.success(f"{became.counts[0]:,} negative and {became.counts[1]:,} positive texts. Choose “{title_of_own(became.name)}” "
                   "above.", icon=":material/check_circle:")
        for note in became.notes:
            st.caption(as_text(note))
    else:
        st.info("The texts of this file were deleted. Upload it again to have them back.", icon=":material/delete:")


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
