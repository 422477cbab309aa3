"""What a person changes by hand while a network learns: one weight gets another value, between two steps."""

from torch import Tensor, nn

from core.training.control import WeightEdit

LARGEST_WEIGHT = 10_000.0  # that can be asked for; weights of networks that learn are far smaller


class InterventionError(ValueError):
    """A change by hand that can't be made; the message is one line that says why."""


def check_edit(model: nn.Module, layer: object, row: object, column: object, value: object) -> WeightEdit:
    """What somebody asks for, whatever it is, as an edit (number 0) of a network of these shapes, which may be on the device
    "meta". Raises InterventionError.

    Args:
        layer: name of one of editable(model). row, column: a place in its weight; without a column, in its bias.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_WEIGHT:  # nor is NaN
        raise InterventionError(f"A weight must be a number from −{LARGEST_WEIGHT:,.0f} to {LARGEST_WEIGHT:,.0f}.")
    names = editable(model)
    if not isinstance(layer, str) or layer not in names:
        raise InterventionError(f"This network has no layer {_short(repr(layer))} with weights to set; it has "
                                f"{_short(', '.join(names), 200) or 'none'}.")
    what, tensor = ("biases", _bias(model, layer)) if column is None else ("weights", _table(model, layer))
    if tensor is None:
        raise InterventionError(f"Layer {layer} has no {what} that can be set one by one.")
    if not _is_place(row, tensor.shape[0]) or not (column is None or _is_place(column, tensor.shape[1])):
        where = repr(row) if column is None else f"{row!r}, {column!r}"
        raise InterventionError(f"Layer {layer} has {'×'.join(map(str, tensor.shape))} {what}, counted from 0; there is none at "
                                f"[{_short(where)}].")
    assert isinstance(row, int) and (column is None or isinstance(column, int))
    return WeightEdit(0, layer, row, column, float(value))


def set_weight(model: nn.Module, edit: WeightEdit) -> float | None:
    """Give a weight its value, in place: others may hold the same numbers. Returns the one before; None where there is no such
    weight, and nothing was done."""
    tensor = _bias(model, edit.layer) if edit.column is None else _table(model, edit.layer)
    where = (edit.row,) if edit.column is None else (edit.row, edit.column)
    if tensor is None or not all(0 <= at < size for at, size in zip(where, tensor.shape, strict=True)):
        return None
    before = float(tensor.data[where])
    tensor.data[where] = edit.value
    return before


def editable(model: nn.Module) -> list[str]:
    """Names of the layers with weights that can be set one by one: tables of them, as linear layers and embeddings have, and
    biases of any layer."""
    return [name for name, _ in model.named_modules()
            if name and (_table(model, name) is not None or _bias(model, name) is not None)]


def _table(model: nn.Module, layer: str) -> Tensor | None:
    return _parameter(model, layer, "weight", 2)


def _bias(model: nn.Module, layer: str) -> Tensor | None:
    return _parameter(model, layer, "bias", 1)


def _parameter(model: nn.Module, layer: str, name: str, dimensions: int) -> Tensor | None:
    try:
        found = getattr(model.get_submodule(layer), name, None)
    except AttributeError:
        return None
    return found if isinstance(found, nn.Parameter) and found.dim() == dimensions else None


def _is_place(at: object, size: int) -> bool:
    return isinstance(at, int) and not isinstance(at, bool) and 0 <= at < size


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
