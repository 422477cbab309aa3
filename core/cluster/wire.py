"""Values as bytes, on their way between server, child and workers.

By Python's own format, of which no more is read than plain data needs: numbers, texts, arrays, errors, and dataclasses and
configs of ours. Anything else could run a program as it is read.
"""

import builtins
import io
import pickle
from dataclasses import is_dataclass
from typing import IO, Any

ARRAYS = ("ndarray", "dtype", "scalar", "_reconstruct", "_frombuffer")  # what NumPy's arrays and numbers are made of


class Plain(pickle.Unpickler):
    """Raises pickle.UnpicklingError for what is no plain data."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "builtins" and isinstance(error := getattr(builtins, name, None), type) and issubclass(error, Exception):
            return error
        package = module.partition(".")[0]
        if package == "numpy" and name in ARRAYS:
            return super().find_class(module, name)
        if package == "core" and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module and (
                    is_dataclass(found) or issubclass(found, tuple | Exception) or hasattr(found, "model_fields")):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")


def packed(*values: Any) -> bytes:
    """Values as bytes, which Ray and the child hand on as they are."""
    return pickle.dumps(values, protocol=pickle.HIGHEST_PROTOCOL)


def unpacked(content: bytes) -> tuple[Any, ...]:
    """What packed() was given. Raises ValueError for what is no plain data."""
    try:
        return Plain(io.BytesIO(content)).load()
    except pickle.UnpicklingError as error:
        raise ValueError(f"What a worker says can't be read: {error}") from None


def write(value: Any, stream: IO[bytes]) -> None:
    """Write one value at once. Raises OSError."""
    pickle.dump(value, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def read(stream: IO[bytes]) -> Any:
    """The next value. Raises EOFError where there is none, whole."""
    try:
        return Plain(stream).load()
    except pickle.UnpicklingError as error:
        raise EOFError(str(error)) from None
