"""The private parts of Streamlit that we use, each with what is done where a version of Streamlit has it no more.

Where one is gone, the app works as it would without this module: uploads stay in memory longer, a page may come up empty, the
browser's way back right after a change is not followed, and takes more presses after others.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import streamlit as st

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile


def free(file: "UploadedFile") -> None:
    """Give up Streamlit's hold of an upload, so that its memory is free as soon as ours is gone. Streamlit keeps it until the
    session is over, also when its widget is gone: three archives of 97 MB took 290 MB."""
    with suppress(AttributeError, TypeError):
        if (context := _context()) is not None:
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)


def came_by_history() -> bool:
    """Whether the browser's way back or forth led to this address. Else it may be older than what this session has put there: a
    press that comes before the browser has the new address still brings the old one."""
    return bool(getattr(_context(), "is_history_navigation", False))


def change_address(changes: Mapping[str, str | None]) -> None:
    """Change parameters of the address, those that are None being taken out, as one step of the browser's way back. By itself
    Streamlit makes a step of each: the way back would have presses that change nothing on the page."""
    gone = [name for name, value in changes.items() if value is None and name in st.query_params]
    new = {name: value for name, value in changes.items() if value is not None and st.query_params.get(name) != value}
    if not gone and not new:
        return
    if not _leave_out(gone):
        for name in gone:
            del st.query_params[name]
    st.query_params.update(new)  # also of nothing: the browser is told


def _leave_out(names: list[str]) -> bool:
    """Take parameters out, of which the browser is told with the next change; False where that can't be."""
    with suppress(ImportError, AttributeError):
        from streamlit.runtime.state import get_session_state

        with get_session_state().query_params() as parameters:
            for name in names:
                del parameters._query_params[name]
        return True
    return False


def _context() -> Any:
    """Streamlit's own record of the run of a page's script, or None."""
    with suppress(ImportError):
        from streamlit.runtime.scriptrunner import get_script_run_ctx

        return get_script_run_ctx()
    return None


def ignore_fragments_of_left_pages() -> None:
    """Have no fragment run that is of a page which its visitor has left.

    A page that looks at a run now and then goes on asking for that until it hears of the next page. Streamlit runs what was
    asked for meanwhile after the next page: it finds no such fragment, yet tells the browser that the page it was of is the one
    to show, which empties the screen. On a busy machine, and for whoever is far away, "meanwhile" is long.
    """
    with suppress(ImportError, AttributeError):
        from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

        run_script = ScriptRunner._run_script
        if hasattr(run_script, "__wrapped__"):
            return
        shown: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # a session's fragments → the page they are of

        @wraps(run_script)
        def run_what_is_shown(self: Any, rerun_data: Any) -> None:
            with suppress(AttributeError):
                page = shown.get(self._fragment_storage, rerun_data.page_script_hash)
                if rerun_data.fragment_id_queue and rerun_data.page_script_hash != page:
                    return
            run_script(self, rerun_data)  # which may end on another page than it was asked for
            with suppress(AttributeError):
                shown[self._fragment_storage] = self._get_script_run_ctx().page_script_hash

        ScriptRunner._run_script = run_what_is_shown
