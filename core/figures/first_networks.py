"""The first networks as a picture: training loss beside the loss on new samples."""

import plotly.graph_objects as go

from core.figures.building_blocks import LEGEND, MARGIN
from core.figures.palette import TRAIN, VALIDATION
from core.labs.first_networks import Walk


def losses_figure(walk: Walk) -> go.Figure:
    """Both losses over the epochs, from the start (0) on."""
    figure = go.Figure()
    figure.add_scatter(x=list(range(len(walk.losses))), y=walk.losses, mode="lines", name="training samples",
                       line={"color": TRAIN, "width": 2.5})
    figure.add_scatter(x=walk.looks, y=walk.new_losses, mode="lines+markers", name="new samples", marker={"size": 5},
                       line={"color": VALIDATION, "width": 2.5, "dash": "dash"})
    figure.update_layout(height=340, margin=MARGIN, legend=LEGEND, hovermode="x unified",
                         xaxis={"title": "epochs done"}, yaxis={"title": "loss", "rangemode": "tozero"})
    return figure
