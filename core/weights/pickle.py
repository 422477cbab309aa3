"""Reading the pickle inside a .pth file as plain data: nothing in it is called, and nothing is allocated by its word alone.

A pickle is a program for a small stack machine. torch.save of a state_dict needs only the few instructions and names below;
this machine knows no others, and builds descriptions of tensors instead of tensors. torch.load(weights_only=True) also refuses
to run code, but makes what a file asks for, whatever its size: a bytearray of ten gigabytes, a sparse tensor that points
outside itself, a tuple nested until the process dies. Checked against torch.load(weights_only=True) in the tests.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

MAX_INSTRUCTIONS = 400_000  # ResNet-152's state_dict takes about 40,000

DTYPES = {  # what a storage's class says its numbers are
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16,
    "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
}
TENSOR, PARAMETER, ORDERED = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "collections.OrderedDict"
KNOWN = {TENSOR, PARAMETER, ORDERED, *(f"torch.{name}" for name in DTYPES)}


class PickleRefused(ValueError):
    """A pickle that is not a plain state_dict. asks: the name it wants Python to look up, "" where it is something else."""

    def __init__(self, line: str, asks: str = "") -> None:
        super().__init__(line)
        self.asks = asks


@dataclass(frozen=True)
class Name:
    """A Python name that the pickle looks up; never looked up here."""

    full: str


@dataclass(frozen=True)
class StorageRef:
    """Numbers in another entry of the archive."""

    dtype: torch.dtype
    key: str
    numbers: int


@dataclass(frozen=True)
class TensorRef:
    """A tensor that is described, not made. offset and stride count numbers."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_MARK = object()


class _Machine:
    """The stack, the memo, and a method for each kind of instruction."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def make_tuple(self, count: int) -> None:
        items = tuple(self.stack[len(self.stack) - count:])
        if len(items) < count:
            raise IndexError
        del self.stack[len(self.stack) - count:]
        self.stack.append(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):
                raise TypeError
            target[key] = value

    def append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError
        self.stack[-1].extend(items)

    def call(self) -> None:
        """What a REDUCE instruction asks for, where it is one of three known things."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Name or type(arguments) is not tuple:
            raise TypeError
        if function.full == ORDERED and not arguments:
            self.stack.append({})
        elif function.full == PARAMETER and type(arguments[0]) is TensorRef:
            self.stack.append(arguments[0])
        elif function.full == TENSOR:
            storage, offset, shape, stride = arguments[:4]
            numbers = (offset, *shape, *stride)
            if type(storage) is not StorageRef or any(type(number) is not int for number in numbers):
                raise TypeError
            self.stack.append(TensorRef(storage, offset, tuple(shape), tuple(stride)))
        else:
            raise TypeError

    def storage(self) -> None:
        """The reference that BINPERSID makes of ("storage", class, key, place, count)."""
        kind, name, key, _, numbers = self.stack.pop()
        if kind != "storage" or type(name) is not Name or type(key) is not str or type(numbers) is not int:
            raise TypeError
        self.stack.append(StorageRef(DTYPES[name.full.removeprefix("torch.")], key, numbers))


def _push(machine: _Machine, value: Any) -> None:
    machine.stack.append(value)


def _full(value: str) -> str:
    """A name as Python 3 has it. pickletools puts a blank after the module, and protocol 2 has Python 2's name for builtins."""
    full = value.replace(" ", ".", 1)
    return f"builtins.{full.removeprefix('__builtin__.')}" if full.startswith("__builtin__.") else full


def _name(machine: _Machine, value: str) -> None:
    full = _full(value)
    if full not in KNOWN:
        raise PickleRefused(f"it asks Python for {full}", full)
    machine.stack.append(Name(full))


def _store(machine: _Machine, place: int) -> None:
    machine.memo[place] = machine.stack[-1]


def _set_one(machine: _Machine, _: None) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _forget(machine: _Machine, _: None) -> None:
    """The state of an OrderedDict: version numbers of load_state_dict, no weights."""
    machine.stack.pop()


# instruction → what it does with the machine and its argument
INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "GLOBAL": _name,
    "MARK": lambda machine, _: _push(machine, _MARK),
    "EMPTY_DICT": lambda machine, _: _push(machine, {}),
    "EMPTY_LIST": lambda machine, _: _push(machine, []),
    "EMPTY_TUPLE": lambda machine, _: _push(machine, ()),
    "NONE": lambda machine, _: _push(machine, None),
    "NEWTRUE": lambda machine, _: _push(machine, True),
    "NEWFALSE": lambda machine, _: _push(machine, False),
    **dict.fromkeys(("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _store),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, place: _push(machine, machine.memo[place])),
    "TUPLE": lambda machine, _: _push(machine, tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "SETITEM": _set_one,
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "BINPERSID": lambda machine, _: machine.storage(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": _forget,
}


def describe_pickle(data: bytes) -> Any:
    """What a state_dict's pickle holds: dicts, lists, tuples, numbers, texts, and TensorRef for each tensor.

    Raises:
        PickleRefused: it uses a name or an instruction that a state_dict does not need, or is damaged.
    """
    machine = _Machine()
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(data)):
            if count > MAX_INSTRUCTIONS:
                raise PickleRefused("it is longer than any state_dict's")
            if instruction.name == "STOP":
                return machine.stack.pop()
            action = INSTRUCTIONS.get(instruction.name)
            if action is None:
                raise PickleRefused(f"it uses the pickle instruction {instruction.name}, which a state_dict does not need",
                                    instruction.name)
            action(machine, argument)
    except PickleRefused:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError):  # what a broken program runs into
        pass
    raise PickleRefused("its list of tensors is damaged")


def names_in(data: bytes) -> list[str]:
    """Every name that a pickle of torch.save asks Python for, in order and once; none is looked up.

    Raises ValueError where it is no pickle.
    """
    found = [_full(str(argument)) for instruction, argument, _ in pickletools.genops(data)
             if instruction.name == "GLOBAL"]
    return list(dict.fromkeys(found))
