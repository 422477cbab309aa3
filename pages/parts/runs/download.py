"""A button that downloads a data set, with how far it is; for every visitor the same download."""

import streamlit as st

from core.data import DATASETS, DataError
from core.data.download import download
from core.data.download.lock import DownloadRunning, Progress, progress_of
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services


def download_button(server: Services, name: str, key: str) -> None:
    """Fetch a data set into the data directory; what has come of it stays for the next try."""
    if progress_of(name, server.settings.data_dir):
        _watch(server, name)
    elif st.button(f"Download {DATASETS[name].title}", type="primary", icon=":material/download:", key=key):
        bar = st.progress(0.0, "Connecting…")

        def show(progress: Progress) -> None:
            bar.progress(progress.share, str(progress))

        try:
            download(name, server.settings.data_dir, show)
        except DownloadRunning:  # begun since this page was drawn
            st.rerun()
        except DataError as error:
            bar.empty()
            st.error(as_text(str(error)), icon=":material/cloud_off:")
            return
        st.rerun()


def _watch(server: Services, name: str) -> None:
    """Another visitor's download, until it ends."""

    def look() -> None:
        progress = progress_of(name, server.settings.data_dir)
        if progress is None:
            st.rerun()
        st.progress(progress.share, f"Another visitor is downloading it. {progress if progress.file else 'Connecting…'}")

    st.fragment(look, run_every="1s")()
