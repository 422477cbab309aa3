"""What is done to the selected runs, and undone."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from zlib import crc32

import streamlit as st

from core.runs import Run, RunNotFound, StoreError
from core.runs.annotations import MOST_NOTE, MOST_TAG, MOST_TITLE, AnnotationError, Change, Replaced
from core.runs.deleting import delete_runs, remove_discarded
from core.runs.engine import SECONDS_KEPT
from core.runs.table import Entry
from core.runs.view import View
from core.takeaway.runs_table import runs_csv
from core.wording import plural
from pages.parts.compare.looked_at import change
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import icon_of, tell
from pages.parts.shell.services import Services

MOST_LISTED = 20  # deleted runs, with a button each


@dataclass(frozen=True)
class Done:
    """What was done last. said: what of it is to be taken back; deleted: which runs are to come back, with their
    numbers; current: which of them was the one in the address."""

    line: str
    said: Mapping[str, Replaced] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)
    current: str | None = None


def many_actions(server: Services, chosen: Sequence[Entry], shown: Sequence[Entry], columns: Sequence[str]) -> None:
    """A row of buttons for the selected runs; for the table where there are none."""
    ids = [entry.id for entry in chosen]
    with st.container(horizontal=True, vertical_alignment="center"):
        if chosen:
            st.markdown(f"**{len(chosen):,} selected**", width="content")
            starred = all(entry.values["starred"] for entry in chosen)
            st.button("Take the star away" if starred else "Star", icon=":material/star:", key="compare.star", on_click=_say,
                      args=(server, ids, Change(starred=not starred), "The star is taken away" if starred else "Starred"))
            with st.popover("Tags", icon=":material/sell:"):
                _tags(server, chosen, shown)
            archived = all(entry.values["archived"] for entry in chosen)
            st.button("Take out of the archive" if archived else "Archive", key="compare.archive",
                      icon=":material/unarchive:" if archived else ":material/archive:", on_click=_say,
                      args=(server, ids, Change(archived=not archived), "Taken out of the archive" if archived else "Archived"),
                      help="An archived run is left out of lists, and stays reachable by its address.")
            st.button("Delete", icon=":material/delete:", key="compare.delete", on_click=_delete,
                      args=(server, {entry.id: entry.number for entry in chosen}),
                      help="Deleted runs can be brought back for a day, as long as the disk has room for them.")
            st.button("Select none", key="compare.none", type="tertiary", on_click=change, kwargs={"selected": ()})
        numbers = tuple(entry.number for entry in chosen or shown)  # a session keeps them: not the runs themselves
        owner = st.session_state[keys.OWNER]  # there is no session where the file is made
        st.download_button("Table as CSV", lambda: csv_of(server, numbers, columns, owner), "runs.csv", "text/csv",
                           icon=":material/download:", key="compare.csv", on_click="ignore",
                           help=f"The {'selected' if chosen else 'shown'} runs with the columns shown.")


def csv_of(server: Services, numbers: Sequence[int], columns: Sequence[str], owner: str) -> bytes:
    """The file of the runs with these numbers, in their order; those that are gone by now are left out."""
    by_number = {entry.number: entry for entry in server.store.entries(owner)}
    return runs_csv([by_number[number] for number in numbers if number in by_number], columns)


def name_and_note(server: Services, run: Run) -> None:
    """Fields for one run's name and note."""
    with st.popover("Name and note", icon=":material/edit:"):
        version = crc32(f"{run.id} {run.title} {run.note}".encode())  # other words, other fields: an undone name is seen
        said = {f"compare.title.{version}": run.title[:MOST_TITLE], f"compare.note.{version}": run.note}  # an older one is longer
        name, note = said
        st.text_input("Name", said[name], max_chars=MOST_TITLE, key=name)
        st.text_area("Note", said[note], max_chars=MOST_NOTE, key=note)

        def keep() -> None:  # before the page is drawn: by then another tab may have changed a word, and with it the fields
            title, text = (now if (now := st.session_state[key]) != before else None for key, before in said.items())
            _say(server, [run.id], Change(title=title, note=text), "Kept")

        st.button("Keep", type="primary", key="compare.keep", on_click=keep)


def _tags(server: Services, chosen: Sequence[Entry], shown: Sequence[Entry]) -> None:
    """Add tags to all of the selected, and take away those that some have."""
    ids = [entry.id for entry in chosen]
    have = sorted({tag for entry in chosen for tag in _tags_of(entry)})
    known = sorted({tag for entry in shown for tag in _tags_of(entry)})
    version = crc32(f"{ids} {have}".encode())  # other runs or tags, other fields
    add, remove = f"compare.add_tags.{version}", f"compare.remove_tags.{version}"
    added = st.multiselect("Add tags", known, accept_new_options=True, key=add, placeholder="Choose or write",
                           help=f"Up to {MOST_TAG} signs each.")
    removed = st.multiselect("Take tags away", have, key=remove, disabled=not have,
                             placeholder="Choose" if have else "They have none")

    def keep() -> None:  # see name_and_note()
        _say(server, ids, Change(add_tags=tuple(st.session_state[add]), remove_tags=tuple(st.session_state[remove])),
             "Tags changed")

    st.button("Keep", type="primary", key="compare.keep_tags", disabled=not (added or removed), on_click=keep)


def _tags_of(entry: Entry) -> tuple[str, ...]:
    tags = entry.values["tags"]
    return tags if isinstance(tags, tuple) else ()


# --- doing and undoing

def _say(server: Services, ids: Sequence[str], what: Change, line: str) -> None:
    try:
        before = server.store.annotate(ids, what)
    except (AnnotationError, StoreError) as error:
        st.session_state[keys.COMPARE_DONE] = Done(str(error))
        return
    st.session_state[keys.COMPARE_DONE] = Done(f"{line}: {_these(server, before)}.", said=before) if before else None


def _delete(server: Services, numbers: Mapping[str, int]) -> None:
    """numbers: of the runs, by their ids."""
    names = _these(server, numbers)
    try:
        result = delete_runs(server.store, numbers, server.settings.data_dir, SECONDS_KEPT)
    except StoreError as error:
        st.session_state[keys.COMPARE_DONE] = Done(str(error))
        return
    deleted = result.ids
    left = len(server.store.these([run_id for run_id in numbers if run_id not in deleted]))
    gone = len(numbers) - len(deleted) - left  # another tab was faster
    done = "Deleted for good, as the disk is full" if result.for_good else "Deleted"
    line = f"{done}: {names if not left + gone else plural(len(deleted), 'run')}."
    if left:
        line += f" {plural(left, 'run')} that {'is' if left == 1 else 'are'} waiting or training can't be deleted; stop first."
    if gone:
        line += f" {plural(gone, 'run')} {'was' if gone == 1 else 'were'} gone already."
    current = st.session_state.get(keys.RUN)
    back = {} if result.for_good else {run_id: numbers[run_id] for run_id in deleted}
    st.session_state[keys.COMPARE_DONE] = Done(line, deleted=back,
                                                current=current if current in deleted else None)
    if current in deleted:
        select_run(None)
    change(selected=tuple(sorted(number for run_id, number in numbers.items() if run_id not in deleted)))


def _these(server: Services, ids: Collection[str]) -> str:
    """"“Name”", or "3 runs"."""
    if len(ids) == 1:
        with suppress(StoreError, RunNotFound):
            run = server.store.get(next(iter(ids)))
            return f"“{run.title or run.id[:8]}”"
    return plural(len(ids), "run")


def undo_line(server: Services) -> None:
    """What was done last, with a button that undoes it."""
    done: Done | None = st.session_state.get(keys.COMPARE_DONE)
    if done is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(as_text(done.line), width="content")
        if done.said or done.deleted:
            st.button("Undo", icon=":material/undo:", key="compare.undo", on_click=_undo, args=(server, done))
        st.button("Close", icon=":material/close:", key="compare.close_done", type="tertiary",
                  on_click=lambda: st.session_state.pop(keys.COMPARE_DONE, None))


def _undo(server: Services, done: Done) -> None:
    try:
        server.store.put_back(done.said)
        back = server.store.restore(done.deleted)
    except StoreError as error:
        st.session_state[keys.COMPARE_DONE] = Done(str(error))
        return
    if done.current in back:
        select_run(done.current)
    if back:
        view: View = st.session_state[keys.COMPARE_VIEW]
        change(selected=tuple(sorted({*view.selected, *(done.deleted[run_id] for run_id in back)})))
    gone = len(done.deleted) - len(back)
    st.session_state[keys.COMPARE_DONE] = Done(f"{plural(gone, 'run')} can't be brought back any more.") if gone else Done(
        "Undone.")


def recycle_bin(server: Services) -> None:
    """The runs that were deleted lately, folded away: each can be brought back, or all removed for good."""
    deleted = server.store.discarded()
    if not deleted:
        return
    with st.expander(f"Deleted lately ({len(deleted):,})", icon=":material/delete:"):
        sooner = ", sooner where a run ends and the disk budget is passed" if server.settings.disk_budget else ""
        st.caption(f"They are removed for good after a day, at the next delete or start of the app{sooner}. Until then they take "
                   "up their room on the disk.")
        held = server.store.held_back()
        if held:
            st.caption(f"The teacher has deleted {plural(len(held), 'run')} of yours; only a teacher can bring "
                       f"{'it' if len(held) == 1 else 'them'} back.")
        for run_id, title in list(deleted.items())[:MOST_LISTED]:
            st.button(as_text(title) or run_id[:8], icon=":material/restore_from_trash:", key=f"compare.restore.{run_id}",
                      help="Deleted by the teacher." if run_id in held else "Bring it back.", disabled=run_id in held,
                      on_click=_bring_back, args=(server, [run_id]))
        with st.container(horizontal=True):
            free = [run_id for run_id in deleted if run_id not in held]
            st.button("Bring all back", key="compare.restore_all", disabled=not free, on_click=_bring_back, args=(server, free))
            with st.popover("Remove for good"):
                st.markdown("The runs, their curves and their weights will be gone.")
                st.button(f"Remove {plural(len(deleted), 'run')}", key="compare.empty", type="primary", on_click=_empty,
                          args=(server,))


def _bring_back(server: Services, ids: Sequence[str]) -> None:
    try:
        back = server.store.restore(ids)
        _answer(f"Brought back: {_these(server, back)}.", ":material/restore_from_trash:")
    except StoreError as error:
        st.session_state[keys.REFUSED] = as_text(str(error)), icon_of(error)


def _empty(server: Services) -> None:
    try:
        removed = remove_discarded(server.store, server.settings.data_dir)
        _answer(f"Removed for good: {plural(len(removed), 'run')}.", ":material/delete_forever:")
    except StoreError as error:
        st.session_state[keys.REFUSED] = as_text(str(error)), icon_of(error)


def _answer(line: str, icon: str) -> None:
    """Seen from down here too; the line above, with what was done before, is no longer true."""
    st.session_state.pop(keys.COMPARE_DONE, None)
    tell(as_text(line), icon)
