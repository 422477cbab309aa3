"""Looking into networks: layers and their cost, a sample's way through, the weights, and what is wrong with a run."""

from core.inspection.activations.last_steps import (
    SigmoidSteps,
    SoftmaxSteps,
    batch_norm_steps,
    linear_sum,
    place_of,
    probability_steps,
    sigmoid_steps,
    softmax_steps,
    strongest_weights,
)
from core.inspection.activations.walk import Stage, layer_of, picture_before, walk
from core.inspection.activations.weights import (
    dead_units,
    filters,
    histogram,
    parameter_table,
    spectral_norm,
    spectral_norms,
    templates,
)
from core.inspection.activations.windows import WindowError, boxes_along, convolution_at, output_at, pooling_at
from core.inspection.doctor import Finding, Surroundings, advise_on_transforms, diagnose
from core.layers.table import InspectionError, LayerRow, Totals, describe_layers, totals

__all__ = ["Finding", "InspectionError", "LayerRow", "SigmoidSteps", "SoftmaxSteps", "Stage", "Surroundings", "Totals",
           "WindowError", "advise_on_transforms", "diagnose",
           "batch_norm_steps", "boxes_along", "convolution_at", "dead_units", "describe_layers", "filters", "histogram",
           "layer_of", "linear_sum", "output_at", "parameter_table", "picture_before", "place_of", "pooling_at",
           "probability_steps", "sigmoid_steps", "softmax_steps", "spectral_norm", "spectral_norms", "strongest_weights",
           "templates", "totals", "walk"]
