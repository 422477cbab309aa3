"""A button that downloads a data set, or pretrained weights, with how far it is; for every visitor the same download."""

from collections.abc import Callable

import streamlit as st

from core.data import DATASETS, DataError
from core.data.download import download
from core.data.download.lock import DownloadRunning, Progress, progress_of
from core.models.pretrained import PretrainedWeights
from core.weights import published
from core.wording import size_of_bytes
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services


def download_button(server: Services, name: str, key: str) -> None:
    """Fetch a data set into the data directory; what has come of it stays for the next try."""
    root = server.settings.data_dir
    _button(f"Download {DATASETS[name].title}", key, lambda: progress_of(name, root), lambda show: download(name, root, show))


def weights_button(server: Services, weights: PretrainedWeights, key: str) -> None:
    """The same for a file of torchvision's weights."""
    root = server.settings.data_dir
    _button(f"Download the weights ({size_of_bytes(weights.size)})", key, lambda: published.downloading(root),
            lambda show: published.download(weights, root, show))


def _button(label: str, key: str, progress: Callable[[], Progress | None],
            fetch: Callable[[Callable[[Progress], None]], None]) -> None:
    if progress():
        _watch(progress)
    elif st.button(label, type="primary", icon=":material/download:", key=key):
        bar = st.progress(0.0, "Connecting…")

        def show(now: Progress) -> None:
            bar.progress(now.share, str(now))

        try:
            fetch(show)
        except DownloadRunning:  # begun since this page was drawn
            st.rerun()
        except DataError as error:
            bar.empty()
            st.error(as_text(str(error)), icon=":material/cloud_off:")
            return
        st.rerun()


def _watch(progress: Callable[[], Progress | None]) -> None:
    """Another visitor's download, until it ends."""

    def look() -> None:
        now = progress()
        if now is None:
            st.rerun()
        st.progress(now.share, f"Another visitor is downloading it. {now if now.file else 'Connecting…'}")

    st.fragment(look, run_every=1.0)()
