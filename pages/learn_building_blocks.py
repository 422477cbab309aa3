"""Building blocks: what do activations, losses and optimizers do to numbers and to gradients?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.learn.building_blocks import activations, dropout, losses, optimizer_race
from pages.parts.learn.lab import open_lab
from pages.parts.shell import lesson

PARTS = {"Activations": activations, "Losses": losses, "Optimizers": optimizer_race, "Dropout": dropout}

open_lab("pages/learn_building_blocks.py", "See what each building block does to numbers on the way forward and to gradients "
         "on the way back. Then race seven optimizers across the same landscape and say why one wins.")
topics = lesson.parts("learn_building_blocks", list(PARTS))
part = st.segmented_control("Part", topics, default=topics[0], key="blocks.part", required=True,
                            label_visibility="collapsed", bind="query-params")
PARTS[part].show()
