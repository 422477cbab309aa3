"""A RunConfig as a short text, for an address: the preset that it is nearest to, and the fields in which it differs from it.

    {"from":"digits-quick","training.epochs":7}

Fields have their dotted names, as in RunConfig.with_values(); without "from" the others are as a RunConfig has them at first.
What is long is packed: zlib's bytes in the letters that an address takes as they are. Both are read.
"""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote

from core.config import KIND_PATHS, RunConfig
from core.fields import Config, ConfigError
from core.presets import PRESETS, UnknownPreset, preset

FROM = "from"
READABLE = 200  # signs in an address up to which it can be read, and changed, by people
LONGEST = 2000  # signs in an address; longer ones are cut off by some programs that they are sent with
MOST_UNPACKED = 100_000  # bytes; of what is read


def to_text(config: RunConfig) -> str:
    """The text that from_text() reads as this config; "" where it would have more than LONGEST signs in an address."""
    values = _flat(config)
    beside = [{FROM: name} | _difference(values, entry.config) for name, entry in PRESETS.items()]
    plain = min(map(_as_json, [_difference(values, RunConfig()), *beside]), key=len)
    if signs(plain) <= READABLE:
        return plain
    packed = urlsafe_b64encode(zlib.compress(plain.encode(), 9)).decode().rstrip("=")
    return packed if len(packed) <= LONGEST else ""


def from_text(text: str) -> RunConfig:
    """The config that to_text() made a text of. Raises ConfigError with one line for anything else."""
    values = _read(text)
    name = values.pop(FROM, None)
    try:
        base = RunConfig() if name is None else preset(str(name)).config
    except UnknownPreset as error:
        raise ConfigError(str(error)) from None
    return base.with_values(values)


def _difference(values: dict[str, Any], base: RunConfig) -> dict[str, Any]:
    """What base.with_values() takes to become the config of these values."""
    first = _flat(base)
    kinds = {path: values[path] for path in KIND_PATHS if values[path] != first[path]}
    first = _flat(base.with_values(kinds)) if kinds else first
    return kinds | {path: value for path, value in values.items() if first.get(path, ...) != value}


def _read(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ConfigError(f"it has more than {LONGEST:,} signs")
    try:
        plain = text if text.startswith("{") else _unpack(text)
        values = json.loads(plain)
        json.dumps(values, ensure_ascii=False).encode()  # half a pair of surrogates can be shown nowhere
    except (ValueError, RecursionError, zlib.error) as error:
        raise ConfigError("it is damaged or cut off") from error
    if not isinstance(values, dict):
        raise ConfigError("it names no settings")
    return values


def _unpack(text: str) -> str:
    packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    reader = zlib.decompressobj()
    plain = reader.decompress(packed, MOST_UNPACKED)
    if not reader.eof:
        raise ValueError("there is more, or something is missing")
    return plain.decode()


def _as_json(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def signs(text: str) -> int:
    """How long a text is in an address."""
    return len(quote(text, safe=""))


def _flat(config: Config, before: str = "") -> dict[str, Any]:
    """Every field by its dotted path; lists as they are, without what their entries have by default."""
    found: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        found |= _flat(value, f"{before}{name}.") if isinstance(value, Config) else {before + name: _lean(value)}
    return found


def _lean(value: Any) -> Any:
    """A value for JSON; of a config only what says its kind, and what is not as its fields are at first."""
    if isinstance(value, Config):
        return {name: _lean(getattr(value, name)) for name, field in type(value).model_fields.items()
                if _is_kind(field.annotation) or getattr(value, name) != field.default}
    return [_lean(entry) for entry in value] if isinstance(value, tuple) else value


def _is_kind(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1
