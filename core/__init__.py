"""Torch Playground without its pages: data, models, training, runs. Works the same in a notebook; needs no Streamlit."""
