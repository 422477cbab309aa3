"""PyTorch's errors about tensors as one line that says what to do."""

import re
from collections.abc import Callable
from math import prod

from core.errors import reason

LONGEST = 220  # characters of a line


class ExpressionError(ValueError):
    """A tensor expression that can't be evaluated; str() is one line for a beginner."""


DTYPES = {"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
          "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "long": "int64",
          "long int": "int64", "int": "int32", "float": "float32", "double": "float64", "bool": "bool",
          "c10::Half": "float16", "c10::BFloat16": "bfloat16", "short": "int16", "signed char": "int8",
          "unsigned char": "uint8"}


def _dtype(name: str) -> str:
    return DTYPES.get(name.strip(), name.strip())


def _sizes(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"-?\d+", text)]


def _out_of_bounds(m: re.Match[str]) -> str:
    index, dim, size = int(m[1]), int(m[2]), int(m[3])
    if size == 0:
        return f"Index {index} does not exist: dimension {dim} is empty."
    return f"Index {index} does not exist: dimension {dim} has size {size}, so use 0 to {size - 1}, or -{size} to -1."


def _rearranged(m: re.Match[str]) -> str:
    wanted = _sizes(m[1])
    shape = ", ".join(map(str, wanted))
    if -1 in wanted:
        return f"{int(m[2])} elements can't be arranged as ({shape}): the sizes beside -1 must divide {int(m[2])}."
    return f"{int(m[2])} elements can't be arranged as ({shape}), which needs {prod(wanted)}."


RULES: list[tuple[str, Callable[[re.Match[str]], str]]] = [
    (r"index (-?\d+) is out of bounds for dimension (\d+) with size (\d+)", _out_of_bounds),
    (r"shape '\[(.*?)\]' is invalid for input of size (\d+)", _rearranged),
    (r"too many indices for tensor of dimension (\d+)",
     lambda m: f"Too many indices: this tensor has {m[1]} dimension{'s' * (m[1] != '1')}, so it takes {m[1]} at most."),
    (r"invalid index of a 0-dim tensor", lambda m: "This tensor is a single number (0 dimensions): there is nothing to index."),
    (r"slice step must be positive|step must be greater than zero",
     lambda m: "A slice's step must be 1 or more in PyTorch. To reverse, use x.flip(0)."),
    (r"[Dd]imension out of range \(expected to be in range of \[(-?\d+), (-?\d+)\], but got (-?\d+)\)",
     lambda m: f"Dimension {m[3]} does not exist here: use {m[1]} to {m[2]}."),
    (r"(\w+)\(\): (?:could not infer output dtype\. )?[Ii]nput dtype must be either a floating point or complex dtype\."
     r" Got:? (\w+)",
     lambda m: f"{m[1]}() needs floating-point numbers and this tensor holds {_dtype(m[2])}. Convert it first: .float()."),
    (r"(\w+).{0,40}only support(?:s|ed)?.{0,30}floating point",
     lambda m: f"{m[1]} needs floating-point numbers. Convert the tensor first: .float()."),
    (r"a Tensor with (\d+) elements cannot be converted to Scalar",
     lambda m: f".item() needs exactly one element and this tensor has {m[1]}. Reduce it first, for example with .sum()."),
    (r"expected m1 and m2 to have the same dtype, but got: (.+) != (.+)|expected scalar type (\w+) but found (\w+)"
     r"|expected both vectors to have same dtype, but found (\w+) and (\w+)"
     r"|self and mat2 must have the same dtype, but got (\w+) and (\w+)",
     lambda m: "The two sides of a matrix product must have one dtype, and these have {} and {}. Convert one, for example with "
               ".float().".format(*[_dtype(group) for group in m.groups() if group])),
    (r"Sizes of tensors must match except in dimension (\d+)\. Expected size (\d+) but got size (\d+) for tensor number (\d+)",
     lambda m: f"Joined along dimension {m[1]}, all other sizes must be equal, but tensor {m[4]} has {m[3]} where {m[2]} is "
               "needed."),
    (r"stack expects each tensor to be equal size, but got \[(.*?)\] at entry 0 and \[(.*?)\] at entry (\d+)",
     lambda m: f"stack needs equal shapes, but tensor 0 is ({m[1]}) and tensor {m[3]} is ({m[2]})."),
    (r"Tensors must have same number of dimensions: got (\d+) and (\d+)",
     lambda m: f"Joined tensors must have equally many dimensions, and these have {m[1]} and {m[2]}."),
    (r"zero-dimensional tensor.*cannot be concatenated", lambda m: "A single number can't be concatenated. Use torch.stack."),
    (r"Integers to negative integer powers", lambda m: "Integers can't be raised to negative powers. Convert first: .float()."),
    (r"ZeroDivisionError|division by zero|modulo by zero|float modulo|raised to a negative power",
     lambda m: "Division by zero: integers have no infinity. With floating-point numbers the result would be inf."),
    (r"Subtraction, the `-` operator, with (?:two bool tensors|a bool tensor)",
     lambda m: "True and False can't be subtracted. Convert first: .int(), or use ~ for “not”."),
    (r"[Nn]egation, the `-` operator, on a bool tensor", lambda m: "True and False have no negative. Use ~ for “not”."),
    (r"expected sequence of length (\d+) at dim (\d+) \(got (\d+)\)",
     lambda m: f"The lists have different lengths in dimension {m[2]}: {m[1]} and {m[3]}. Every row needs equally many numbers."),
    (r"shape of the mask \[(.*?)\] at index \d+ does not match the shape of the indexed tensor \[(.*?)\]",
     lambda m: f"The mask's shape ({m[1]}) does not match the tensor's shape ({m[2]})."),
    (r"result type (\w+) can't be cast to the desired output type (\w+)",
     lambda m: f"In place the dtype must stay: the result would be {_dtype(m[1])} and the tensor holds {_dtype(m[2])}."),
    (r"not implemented for '(\w+)'", lambda m: f"This operation does not exist for {_dtype(m[1])}. Convert first, for example "
                                               "with .float()."),
    (r"(?:expanded size|The size) of the tensor \((\d+)\) must match the existing size \((\d+)\)",
     lambda m: f"Only a size of 1 can be stretched: the tensor has {m[2]} where {m[1]} is wanted."),
    (r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+)",
     lambda m: f"Sizes {m[1]} and {m[2]} in dimension {m[3]} don't fit: they must be equal, or one of them 1."),
    (r"output with shape \[(.*?)\] doesn't match the broadcast shape \[(.*?)\]",
     lambda m: f"In place the shape must stay ({m[1]}), and the result would have ({m[2]})."),
    (r"cannot be converted to type \S+ without overflow|out of range|too large to convert|[Oo]verflow",
     lambda m: "A number here is too large for its dtype."),
    (r"Number of dimensions of repeat dims", lambda m: "repeat needs one number for each dimension at least."),
    (r"only one dimension can be inferred", lambda m: "-1 may stand once: only one size can be worked out from the others."),
    (r"number of dimensions in the tensor input does not match", lambda m: "permute needs each dimension exactly once."),
    (r"duplicate dims|appears multiple times", lambda m: "A dimension is named twice."),
    (r"boolean masks|BoolTensor for mask", lambda m: "A mask holds True and False: make one by comparing, for example x > 3."),
    (r"inconsistent with step sign", lambda m: "From start to end the step goes the wrong way."),
    (r"view size is not compatible", lambda m: "view() needs the elements in order in memory, and here they are not (after a "
                                               "transpose, for example). Use reshape()."),
    (r"non-empty (?:TensorList|list)|expects a non-empty", lambda m: "There must be at least one tensor in the list."),
    (r"(\w+)\(\).*(?:zero|no) (?:size|elements|identity)|numel\(\) == 0|have no identity|non-zero size",
     lambda m: "An empty tensor has no largest or smallest element."),
]


def explain(error: Exception) -> str:
    """One line about PyTorch's or Python's own error: translated where it is a common one, else the first line of its text."""
    text = str(error)
    for pattern, line in RULES:
        if found := re.search(pattern, text):
            return line(found)
    first = reason(error)
    return f"PyTorch says: {first[:LONGEST - 20]}{'…' if len(first) > LONGEST - 20 else ''}"
