"""Data loading: how do files become the batches that a network learns from?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.learn.data_loading import concat, dataset, loader, transforms
from pages.parts.learn.data_loading.shared import PATH, from_address
from pages.parts.learn.lab import Next, open_lab, try_next

VIEWS = {"dataset": ("Dataset", dataset.show), "transform": ("Transforms", transforms.show),
         "loader": ("DataLoader", loader.show), "concat": ("Joined sets", concat.show)}
NEXT = [
    Next("See the batches of a whole data set, in any order.", "pages/explore_data.py", "Explore data", ":material/grid_view:"),
    Next("Train on MNIST, whose files come mixed, or on images of your own.", "pages/train_model.py", "Train model",
         ":material/model_training:"),
    Next("What happens to a batch next: the first network, line by line.", "pages/learn_first_networks.py", "First networks",
         ":material/rocket_launch:"),
]

open_lab(PATH, "Write a Dataset for a folder of images with a CSV, line by line, until it runs. Then see what transforms, "
         "batches, shuffle, workers and a second data set do to what a network gets.")
from_address("loading.view", "view", {name: name for name in VIEWS}, "dataset")
view = st.segmented_control("View", list(VIEWS), format_func=lambda name: VIEWS[name][0], key="loading.view", required=True,
                            label_visibility="collapsed", persist_state="session") or "dataset"
VIEWS[view][1]()
try_next(NEXT)
