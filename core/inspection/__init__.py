"""Looking into networks: what each layer takes, makes and costs, and what is wrong with a run before it starts."""

from core.inspection.doctor import Finding, Surroundings, diagnose
from core.inspection.layers import InspectionError, LayerRow, Totals, describe_layers, totals

__all__ = ["Finding", "InspectionError", "LayerRow", "Surroundings", "Totals", "describe_layers", "diagnose", "totals"]
