"""Search settings: which values of these settings learn best, and how much of that is luck?"""

from core.process import configure

configure("server")

import streamlit as st

from core.config import RunConfig
from core.presets import PRESETS, title_of
from core.runs import StoreError
from core.runs.sweep_records import Sweep
from core.sweeps import GET, is_available
from pages.parts.draft import address, draft
from pages.parts.search.form import beginning
from pages.parts.search.live import buttons, panel
from pages.parts.shell import keys
from pages.parts.shell.frame import link, open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, services

ABOUT = ("A search trains the same network again and again with other settings, each time a little wiser about which are worth "
         "trying. It judges by the validation images, measures how much of a result is luck of the seed, repeats the best with "
         "fresh seeds, and looks at the test images once, with the one it has chosen.")

STYLE = ".st-key-search-figures [data-testid='stMetricValue'] { font-size: 1.4rem; }"  # four in a line


def looked_at(server: Services) -> Sweep | None:
    """The search that is shown: the one that was chosen, else the newest."""
    try:
        known = {sweep.id: sweep for sweep in server.store.sweeps()}
    except StoreError as error:
        st.error(as_text(str(error)), icon=":material/folder_off:")
        return None
    if len(known) > 1:
        st.selectbox("Search", list(known), key=keys.SEARCH, format_func=lambda one: f"{known[one].number}. {known[one].title}",
                     label_visibility="collapsed")
    elif keys.SEARCH in st.session_state:
        del st.session_state[keys.SEARCH]
    return known.get(st.session_state.get(keys.SEARCH, ""), next(iter(known.values()), None))


def base(server: Services, config: RunConfig) -> None:
    """What stays as it is: the settings of Train model."""
    st.caption(f"Everything else stays as on Train model: {as_text(title_of(config, server.settings.data_dir))}.")
    with st.container(horizontal=True):
        link("pages/train_model.py", "Change it there", ":material/tune:")
        st.selectbox("Or start from", [None, *PRESETS], key="search.preset", label_visibility="collapsed", width=220,
                     format_func=lambda name: PRESETS[name].title if name else "Or start from …",
                     on_change=lambda: draft.take_preset(name) if (name := st.session_state["search.preset"]) else None)


open_page("Search settings", STYLE)
server = services()
st.title("Search settings")
config = draft.draft(server)
if not is_available():
    st.markdown(ABOUT)
    st.info(GET, icon=":material/download:")
    address.keep()
    st.stop()
picture, controls = st.columns([2.3, 1], gap="medium")
with picture:
    sweep = looked_at(server)
with controls:
    if sweep is not None and sweep.is_active:
        buttons(server, sweep)
    else:
        base(server, config)
        beginning(server, config)
        address.note()
with picture:
    if sweep is not None:
        panel(server, sweep)
    else:
        st.info(ABOUT, icon=":material/travel_explore:")
address.keep()
