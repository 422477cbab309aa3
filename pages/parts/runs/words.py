"""What a run's status, times and shares are called, and its numbers in a row."""

from collections.abc import Mapping

import streamlit as st

STATUS = {
    "queued": ("Waiting", ":material/hourglass_empty:"), "running": ("Training", ":material/play_circle:"),
    "finished": ("Finished", ":material/check_circle:"), "stopped": ("Stopped", ":material/stop_circle:"),
    "failed": ("Failed", ":material/error:"), "interrupted": ("Interrupted", ":material/power_off:"),
}


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}".replace("%", " %")


def number(value: float | None) -> str:
    """A loss."""
    return "–" if value is None else f"{value:.4f}"


def figures(named: Mapping[str, tuple[str, str | None]]) -> None:
    """Numbers in a row that wraps on a phone: label → (value, help)."""
    with st.container(horizontal=True, gap="medium"):
        for label, (value, about) in named.items():
            st.metric(label, value, help=about, width="content")
