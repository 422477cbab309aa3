"""Building blocks: what do activations, losses and optimizers do to numbers and to gradients?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.learn.building_blocks import activations, dropout, losses, optimizer_race
from pages.parts.learn.lab import open_lab
from pages.parts.shell import lesson

PARTS = {"Optimizers": optimizer_race, "Activations": activations, "Losses": losses, "Dropout": dropout}
# controls of the part that the lab once began with: addresses from then name no part
FIRST_THEN = ("blocks.activation", "blocks.x", "blocks.init", "blocks.seed")

open_lab("pages/learn_building_blocks.py", "Race optimizers across the same landscape and say why one wins. Then see what "
         "activations, losses and dropout do to numbers on the way forward and to gradients on the way back.")
topics = lesson.parts("learn_building_blocks", list(PARTS))
names_no_part = "blocks.part" not in {*st.session_state, *st.query_params}
if names_no_part and "Activations" in topics and any(name in st.query_params for name in FIRST_THEN):
    st.session_state["blocks.part"] = "Activations"
part = st.segmented_control("Part", topics, default=topics[0], key="blocks.part", required=True,
                            label_visibility="collapsed", bind="query-params")
PARTS[part].show()
