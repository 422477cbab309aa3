"""Tensors: what are a network's numbers kept in, and what can be done with them?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.learn.lab import Next, open_lab, try_next
from pages.parts.learn.tensors import first_half, second_half
from pages.parts.shell import lesson

TOPICS = {
    "Create": first_half.creating, "Index and slice": first_half.indexing, "Join": second_half.joining,
    "Products": second_half.products, "Broadcasting": second_half.broadcasting,
    "Reduce": second_half.reductions, "In place": second_half.in_place, "NumPy": second_half.numpy_memory,
    "Your own expression": first_half.expressions,
}
NEXT = [
    Next("The images a network learns from are tensors of shape (channels, height, width).", "pages/explore_data.py",
         "Look at the data", ":material/grid_view:"),
    Next("Every layer turns a tensor of one shape into one of another.", "pages/build_model.py", "Follow the shapes",
         ":material/account_tree:"),
    Next("Tensors that remember how they were made can be differentiated.", "pages/learn_autograd.py", "Autograd",
         ":material/graph_3:"),
]

open_lab("pages/learn_tensors.py",
         "Make tensors, take them apart and put them together, and see each number's way. Afterwards you can read the "
         "shapes in PyTorch code and know which operation gives which.")
topics = lesson.parts("learn_tensors", list(TOPICS))
topic = st.pills("Topic", topics, default=topics[0], required=True, key="tensors.topic", bind="query-params")
TOPICS[topic]()
try_next(NEXT)
