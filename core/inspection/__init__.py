"""Looking into networks: what each layer takes, makes and costs."""

from core.inspection.layers import InspectionError, LayerRow, Totals, describe_layers, totals

__all__ = ["InspectionError", "LayerRow", "Totals", "describe_layers", "totals"]
