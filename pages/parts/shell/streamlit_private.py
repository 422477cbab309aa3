"""Parts of Streamlit that it promises nothing about: where a version of it has not these, nothing is known."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

__all__ = ["UploadedFile", "came_by_history", "script_context"]


def script_context() -> Any:
    """Streamlit's own record of the run of a page's script, or None."""
    with suppress(ImportError):
        from streamlit.runtime.scriptrunner import get_script_run_ctx

        return get_script_run_ctx()
    return None


def came_by_history() -> bool:
    """Whether the browser's way back or forth led to this address. Else it may be older than what this session has put there: a
    press that comes before the browser has the new address still brings the old one."""
    return bool(getattr(script_context(), "is_history_navigation", False))
