"""The code beside each picture of the lab Tensors. Every piece runs alone and leaves what the picture shows in `result`."""

from core.labs.in_place import CASES
from core.labs.limits import MAX_ELEMENTS


def creation_code(how: str, rows: int, columns: int, dtype: str, seed: int, transposed: bool = False) -> str:
    """The tensor of core.labs.tensors.create."""
    data = [[row * columns + column for column in range(columns)] for row in range(rows)]
    low_high = "0, 2" if dtype == "bool" else "0, 10"
    makes = {
        "data": f"result = torch.tensor({data}, dtype=torch.{dtype})",
        "numpy": f"array = np.arange({rows * columns}).reshape({rows}, {columns}).astype(\"{dtype}\")\n"
                 "result = torch.from_numpy(array)  # shares the array's memory",
        "like": f"other = torch.zeros({rows}, {columns})\nresult = torch.ones_like(other, dtype=torch.{dtype})",
        "random": f"torch.manual_seed({seed})\n" + (
            f"result = torch.rand({rows}, {columns}, dtype=torch.{dtype})" if dtype.startswith("float")
            else f"result = torch.randint({low_high}, ({rows}, {columns}), dtype=torch.{dtype})"),
        "constant": f"result = torch.full(({rows}, {columns}), 7, dtype=torch.{dtype})",
    }
    imports = "import numpy as np\nimport torch\n" if how == "numpy" else "import torch\n"
    turn = "\nresult = result.T  # no element moves, only the strides are swapped" if transposed else ""
    return (f"{imports}\n{makes[how]}{turn}\n\nprint(result)\nprint(result.shape, result.dtype, result.device, result.stride(), "
            "result.is_contiguous())")


def index_code(index: str) -> str:
    """index: one that evaluate_index has accepted."""
    return f"import torch\n\nx = torch.arange(12).reshape(3, 4)\nresult = x[{index}]\n\nprint(result)\nprint(result.shape)"


def expression_code(text: str) -> str:
    """text: one that evaluate_expression has accepted."""
    return ("import torch\n\ntorch.manual_seed(0)\nx = torch.arange(12).reshape(3, 4)\n"
            "a = torch.tensor([[1.0, 2, 3], [4, 5, 6]])\nb = torch.tensor([[1.0, 0], [0, 1], [2, -1]])\n"
            "v = torch.tensor([1.0, 10, 100])\n\n"
            f"result = ({text})\n\nprint(result)")


def join_code(how: str, rows: int, columns: int, dim: int, works: bool) -> str:
    """works: False where PyTorch refuses; the code then prints why, and `result` is None."""
    return (f"import torch\n\na = torch.arange(1, 7).reshape(2, 3)\nb = torch.arange(10, {10 + rows * columns}).reshape({rows}, "
            f"{columns})\n" + _guarded(f"result = torch.{how}([a, b], dim={dim})", works))


def product_code(how: str) -> str:
    b = "[[7.0, 8], [9, 10], [11, 12]]" if how == "matrix" else "[[7.0, 8, 9], [10, 11, 12]]"
    line = "result = a @ b  # the same as a.matmul(b)" if how == "matrix" else "result = a * b  # the same as a.mul(b)"
    return f"import torch\n\na = torch.tensor([[1.0, 2, 3], [4, 5, 6]])\nb = torch.tensor({b})\n{line}\n\nprint(result)"


def broadcast_code(a: tuple[int, ...], b: tuple[int, ...], works: bool) -> str:
    """works: as for join_code."""
    one, two = (f"torch.arange({_count(shape)}).reshape({shape})" for shape in (a, b))
    return f"import torch\n\na = {one}\nb = 10 * {two}\n" + _guarded("result = a + b", works)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return min(count, MAX_ELEMENTS)


def reduction_code(how: str, dim: int | None, keepdim: bool) -> str:
    if dim is None:
        line = f"result = x.{how}()"
    elif how in {"max", "min"}:
        line = f"result = x.{how}(dim={dim}, keepdim={keepdim}).values  # .indices says where"
    else:
        line = f"result = x.{how}(dim={dim}, keepdim={keepdim})"
    return ("import torch\n\nx = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])\n" + line +
            "\n\nprint(result)\nif result.numel() == 1:\n    print(result.item())  # a Python number")


def in_place_code(name: str) -> str:
    """`result` is w's gradient, or None where PyTorch refuses."""
    body = "\n".join(f"    {line}" for line in CASES[name].lines)
    return ("import torch\n\nw = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)\ntry:\n" + body +
            "\nexcept RuntimeError as error:\n    print(error)\nresult = w.grad\nprint(result)")


def sharing_code(link: str, side: str, position: int, value: float) -> str:
    """`result` is the tensor and `n` the array, afterwards."""
    makes = {"from_numpy": "n = np.ones(5, dtype=np.float32)\nt = torch.from_numpy(n)",
             "numpy": "t = torch.ones(5)\nn = t.numpy()", 
             "tensor": "n = np.ones(5, dtype=np.float32)\nt = torch.tensor(n)  # a copy"}
    return (f"import numpy as np\nimport torch\n\n{makes[link]}\n{'t' if side == 'tensor' else 'n'}[{position}] = {value!r}\n\n"
            "print(t)\nprint(n)\nresult = t")


def _guarded(line: str, works: bool) -> str:
    """The line and its result; where it raises, the error is printed, so that the code runs to its end."""
    if works:
        return f"{line}\n\nprint(result.shape)\nprint(result)"
    return f"result = None\ntry:\n    {line}\nexcept (RuntimeError, IndexError) as error:\n    print(error)"
