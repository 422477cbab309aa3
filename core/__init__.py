"""Torch Playground without its pages: data, models, training, runs. Works the same in a notebook; needs no Streamlit.

Importing it changes nothing in the process; programs of our own begin with core.process.configure().
"""
