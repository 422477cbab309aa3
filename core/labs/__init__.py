"""What only the learn pages compute."""

from core.labs.expressions import evaluate_expression
from core.labs.messages import ExpressionError

__all__ = ["ExpressionError", "evaluate_expression"]
