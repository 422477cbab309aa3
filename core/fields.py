"""How a setting is declared once and read by forms, the command line, error messages and documentation."""

from dataclasses import dataclass
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo


class ConfigError(ValueError):
    """A description of a run that can't be used; the message is one line that names the field, the value and the bounds."""

    def __init__(self, line: str) -> None:
        # a field's name may be anything that a file says, with line breaks and control characters or megabytes long
        shown = line if len(line) <= 500 else line[:497] + "..."
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown))


class Config(BaseModel):
    """Base of every config: frozen, no unknown fields, no infinite or NaN numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def setting(default: Any, description: str, *, unit: str = "", label: str = "", step: float | None = None, **bounds: Any) -> Any:
    """Declare one field of a config.

    Args:
        default: used when nothing is said.
        description: one line of help that a beginner understands.
        unit: "images", "epochs", "" for a plain number or a choice.
        label: what a form calls it; the field's name if empty.
        step: how far one click of a number field moves it.
        bounds: pydantic's ge, gt, le, lt, min_length, max_length.
    """
    return Field(default, description=description, json_schema_extra={"unit": unit, "label": label, "step": step}, **bounds)


@dataclass(frozen=True)
class Setting:
    """What a form needs to know about one field."""

    name: str
    label: str
    help: str
    unit: str
    default: Any
    minimum: float | None
    maximum: float | None
    step: float | None
    choices: tuple[Any, ...]


def describe(config: type[Config], name: str) -> Setting:
    """The field `name` of `config` as a form shows it. Raises KeyError for a name the config does not have."""
    info = config.model_fields[name]
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    low, high = bounds_of(info)
    return Setting(
        name=name,
        label=str(extra.get("label") or name.replace("_", " ").capitalize()),
        help=info.description or "",
        unit=_unit(info),
        default=info.get_default(call_default_factory=True),
        minimum=low,
        maximum=high,
        step=step if isinstance(step := extra.get("step"), int | float) else None,
        choices=tuple(get_args(info.annotation)),
    )


def bounds_of(info: FieldInfo) -> tuple[float | None, float | None]:
    """The smallest and the largest value a number field takes; None where there is no such bound."""
    low = high = None
    for rule in info.metadata:
        if isinstance(rule, Ge | Gt):
            low = _as_number(rule.ge if isinstance(rule, Ge) else rule.gt)
        if isinstance(rule, Le | Lt):
            high = _as_number(rule.le if isinstance(rule, Le) else rule.lt)
    return low, high


def _as_number(bound: object) -> float:
    """A bound of a field, which pydantic would let be anything that can be compared."""
    assert isinstance(bound, int | float)
    return bound


def explain(error: ValidationError, root: type[Config]) -> str:
    """A pydantic error as one line: the first problem's field, its value and what is allowed there."""
    problems = error.errors()
    first = problems[0]
    # a tuple with one wrong entry is called too short beside it, as pydantic counts the right ones alone: nobody has left one out
    problems = [first, *(one for one in problems[1:] if one["type"] != "too_short" or one["loc"] != first["loc"][:-1])]
    kind, path = first["type"], _field_path(first["loc"], root)
    where = path.text or "this"
    line = {
        "extra_forbidden": f"{where}: there is no such field",
        "missing": f"{where}: this field is missing",
        "json_invalid": f"this is not valid JSON: {first.get('ctx', {}).get('error', '')}",
        "union_tag_invalid": f"{where}: there is no {_short(first.get('ctx', {}).get('tag'))}; choose from "
                             f"{first.get('ctx', {}).get('expected_tags', '').replace(chr(39), '')}",
    }.get(kind)
    if line is None and kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        line = f"{where} is {_short(first['input'])}; it must be {path.bounds}"
    if kind == "too_long" and "actual_length" in (context := first.get("ctx", {})):
        line = f"{where} has {context['actual_length']} entries; it can have at most {context['max_length']}"
    if kind in {"int_parsing", "int_type", "int_from_float"}:
        line = f"{where} is {_short(first.get('input'))}; it must be a whole number"
    if kind in {"float_parsing", "float_type"}:
        line = f"{where} is {_short(first.get('input'))}; it must be a number"
    if kind in {"tuple_type", "list_type"}:
        line = f"{where} is {_short(first.get('input'))}; it must be a list, such as [64, 32]"
    if line is None and kind == "value_error":  # a rule of ours that looks at more than one field
        line = f"{where}: {first.get('ctx', {})['error']}"
    if line is None:
        line = f"{where} is {_short(first.get('input'))}; {_lower_first(first['msg'])}"
    return line + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


@dataclass(frozen=True)
class _FieldPath:
    text: str  # "training.optimizer.learning_rate"
    bounds: str  # "from 1 to 1000 epochs", "" where the field has none


def _field_path(location: tuple[int | str, ...], root: type[Config]) -> _FieldPath:
    """A pydantic location without the tags of unions, which are no part of what a person wrote."""
    names: list[str] = []
    kind: Any = root
    info: FieldInfo | None = None
    unit = ""
    for part in location:
        if isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
            info = kind.model_fields[str(part)]
            kind = info.annotation
            unit = _unit(info)
            names.append(str(part))
        elif member := next((m for m in _members(kind) if part in _tags(m)), None):
            kind = member
        else:
            names.append(str(part))
            item = _item(kind, part)  # Annotated[int, Field(ge=1)] of tuple[Annotated[int, Field(ge=1)], ...]
            info = next((m for m in get_args(item)[1:] if isinstance(m, FieldInfo)), None)
            kind = item if get_origin(item) is tuple else next(iter(get_args(item)), None)  # numbers, tuples, or configs
    return _FieldPath(".".join(names), _range(info, unit) if info else "in range")


def _item(kind: Any, part: int | str) -> Any:
    """What a tuple holds at a place: the same everywhere in tuple[int, ...], its own in tuple[float, float, int]."""
    held = get_args(kind)
    if get_origin(kind) is tuple and Ellipsis not in held and isinstance(part, int) and part < len(held):
        return held[part]
    return next((argument for argument in held if get_args(argument)), None)


def _range(info: FieldInfo, unit: str) -> str:
    """The allowed values of a number field in words: "from 1 to 1000 epochs"."""
    low, high = bounds_of(info)
    above = any(isinstance(rule, Gt) for rule in info.metadata)
    below = any(isinstance(rule, Lt) for rule in info.metadata)
    parts = [f"{'above' if above else 'from' if high is not None else 'at least'} {_number(low)}" if low is not None else "",
             f"{'and below' if below else 'up to' if above else 'to' if low is not None else 'at most'} {_number(high)}"
             if high is not None else "", unit]
    return " ".join(part for part in parts if part)


def _number(value: float) -> str:
    """Whole numbers with all their digits: 2147483647, not 2.14748e+09."""
    return str(int(value)) if value == int(value) else f"{value:g}"


def _unit(info: FieldInfo) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return str(extra.get("unit") or "")


def _members(kind: Any) -> list[Any]:
    """The configs that a union offers, also those of unions inside it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [member for part in get_args(kind) for member in _members(part)]


def _tags(member: Any) -> set[Any]:
    fields = getattr(member, "model_fields", {})
    return {field.default for field in fields.values() if isinstance(field.default, str)}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
