"""Tensors: what are a network's numbers kept in, and what can be done with them?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.learn.lab import Next, open_lab, try_next
from pages.parts.learn.tensors import first_half as tensor_topics
from pages.parts.learn.tensors import second_half as tensor_operations

TOPICS = {
    "Create": tensor_topics.creating, "Index and slice": tensor_topics.indexing, "Join": tensor_operations.joining,
    "Products": tensor_operations.products, "Broadcasting": tensor_operations.broadcasting,
    "Reduce": tensor_operations.reductions, "In place": tensor_operations.in_place, "NumPy": tensor_operations.numpy_memory,
    "Your own expression": tensor_topics.expressions,
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
         "shapes in any "
         "PyTorch code and know which operation gives which.")
topic = st.pills("Topic", list(TOPICS), default="Create", required=True, key="tensors.topic")
TOPICS[topic]()
try_next(NEXT)
