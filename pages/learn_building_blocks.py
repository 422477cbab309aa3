"""Building blocks: what do activations, losses and optimizers do to numbers and to gradients?"""

import streamlit as st

from pages.parts import blocks_activations, blocks_losses, blocks_race
from pages.parts.lab import open_lab

PARTS = {"Activations": blocks_activations, "Losses": blocks_losses, "Optimizers": blocks_race}

open_lab("pages/learn_building_blocks.py")
part = st.segmented_control("Part", list(PARTS), default="Activations", key="blocks.part", required=True,
                            label_visibility="collapsed", persist_state="session")
PARTS[part].show()
