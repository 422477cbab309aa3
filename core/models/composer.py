"""Composing a network: edits of a StackConfig, the way back, what is wrong with each row, and the edit that mends it.

    stack = from_model_config(CNNConfig(), (1, 28, 28), 10)
    stack = delete(stack, 6)                          # without its Flatten
    wrong = problems(check(stack, (1, 28, 28), 10))   # the linear layer after it says what it received and needs
    stack = apply(stack, wrong[0].fix)                # and puts Flatten back
"""

from core.models.stack_check import RowCheck, check, fixed, huge, problems
from core.models.stack_edits import (
    Edit,
    History,
    Place,
    add,
    apply,
    delete,
    duplicate,
    from_json,
    from_model_config,
    layer_at,
    move,
    places,
    replace,
    row_number,
    siblings,
    to_json,
    with_fields,
)

__all__ = ["Edit", "History", "Place", "RowCheck", "add", "apply", "check", "delete", "duplicate", "from_json",
           "from_model_config", "huge", "layer_at", "fixed", "move", "places", "problems", "replace", "row_number", "siblings",
           "to_json", "with_fields"]
