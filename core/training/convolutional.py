"""Forward and backward pass of plain convolutional networks, without autograd and in oneDNN's own layout.

PyTorch's max-pooling writes eight bytes for each number that it keeps and fills its gradient with zeros first; with both of its
passes that is a third of the step of a small network in bfloat16. oneDNN's writes one byte, and hands numbers on in the layout
that its convolutions like best. A network of convolutions, max-pooling and ReLU, and of linear layers after them, is taken
through both passes so; weights and their gradients stay where PyTorch has them. A step of conv 32, conv 64, fc 128 on 64 images
takes 6.8 instead of 8.4 ms in bfloat16 and 10.7 instead of 13.0 ms in float32 (processor time, one thread, AMD EPYC).
"""

from functools import cache

import torch
from torch import Tensor, nn

from core.training.dense import LAYERS, Chain, Layer, Saved, linear_layer, suits
from core.training.products import Products
from core.training.shortcuts import Shortcuts

aten = torch.ops.aten
# Channels that oneDNN keeps side by side where vectors have 512 bits: of fewer, places stay empty. Beside autograd's, a step with
# 8 and 16 filters took 40 % longer in bfloat16, one with 32 and 64 a fifth less, and with vectors of 256 bits 4 % longer.
BLOCK = 16
DENSE_IN_BFLOAT16 = (nn.Linear, nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout)  # autocast leaves these in bfloat16


def chain_of_convolutions(model: nn.Module, shortcuts: Shortcuts, autocast: torch.dtype | None) -> Chain | None:
    """The network as a chain that computes in the autocast type, or in float32 for None; None where it is another network, or
    this machine's PyTorch has no such layout.

    It takes blocks of Conv2d, MaxPool2d and ReLU, each convolution with whole BLOCKs of filters, then Flatten, then what a dense
    chain takes, or in bfloat16 what is in DENSE_IN_BFLOAT16.
    """
    dtype = autocast or torch.float32
    modules = list(model.children())
    places = [place for place, module in enumerate(modules) if type(module) is nn.Flatten]
    if not suits(model, modules) or len(places) != 1 or not pays():
        return None
    blocks, dense = modules[:places[0]], modules[places[0] + 1:]
    in_bfloat16 = dtype is torch.float32 or all(type(module) in DENSE_IN_BFLOAT16 for module in dense)
    known = all(type(module) is nn.Linear or type(module) in LAYERS for module in dense)
    if (not blocks or type(blocks[0]) is not nn.Conv2d or not all(map(_fits, blocks)) or not known or not in_bfloat16
            or (modules[places[0]].start_dim, modules[places[0]].end_dim) != (1, -1)
            or not shortcuts.usable("blocked_layout") or not has_blocked_layout(dtype)):
        return None
    products = Products(shortcuts)
    layers = [_entrance(dtype), *(_of_block(module, dtype, module is blocks[0]) for module in blocks), _exit(),
              *(linear_layer(module, products, dtype) if type(module) is nn.Linear else LAYERS[type(module)](module)
                for module in dense)]
    return Chain(layers, modules, dtype, "blocked_layout")


def pays() -> bool:
    """Whether this processor has the vectors that make it faster."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def _fits(module: nn.Module) -> bool:
    match module:
        case nn.Conv2d():
            return (type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
                    and module.out_channels % BLOCK == 0 and module.groups == 1)
        case nn.MaxPool2d():
            return type(module) is nn.MaxPool2d and _two(module.dilation) == [1, 1] and not module.return_indices
        case _:
            return type(module) is nn.ReLU


def _two(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _entrance(dtype: torch.dtype) -> Layer:
    """Images (N, C, H, W) into oneDNN's layout; nobody asks for their gradient."""
    return Layer(lambda images: (images.to(dtype).contiguous().to_mkldnn(), ()), lambda gradient, saved: gradient)


def _exit() -> Layer:
    """Out of that layout into rows of numbers, as nn.Flatten has them."""
    def forward(x: Tensor) -> tuple[Tensor, Saved]:
        return x.to_dense().flatten(1), (x,)
    return Layer(forward, lambda gradient, saved: gradient.contiguous().view(saved[0].shape).to_mkldnn())


def _of_block(module: nn.Module, dtype: torch.dtype, first: bool) -> Layer:
    match module:
        case nn.Conv2d():
            return _convolution(module, dtype, first)
        case nn.MaxPool2d():
            return _pooling(module)
        case _:
            return Layer(_relu, lambda gradient, saved: aten.threshold_backward(gradient, saved[0], 0))


def _relu(x: Tensor) -> tuple[Tensor, Saved]:
    y = torch.relu(x)
    return y, (y,)


def _convolution(module: nn.Conv2d, dtype: torch.dtype, first: bool) -> Layer:
    assert not isinstance(module.padding, str)  # _fits() has looked
    weight, bias = module.weight, module.bias
    stride, padding, dilation = _two(module.stride), _two(module.padding), _two(module.dilation)
    # memory that stays, laid out as the weight is: Adam's kernel goes through both as they lie
    weight_gradient = torch.empty_like(weight, requires_grad=False)
    bias_gradient = None if bias is None else torch.empty_like(bias, requires_grad=False)

    def forward(x: Tensor) -> tuple[Tensor, Saved]:
        kernel = weight.to(dtype)
        y = aten.mkldnn_convolution(x, kernel, None if bias is None else bias.to(dtype), padding, stride, dilation, 1)
        return y, (x, kernel)

    def backward(gradient: Tensor, saved: Saved) -> Tensor:
        x, kernel = saved
        of_input, of_weight, of_bias = aten.convolution_backward(
            gradient, x, kernel, [module.out_channels], stride, padding, dilation, False, [0, 0], 1,
            [not first, True, bias is not None])
        weight.grad = weight_gradient.copy_(of_weight)
        if bias is not None and bias_gradient is not None:
            bias.grad = bias_gradient.copy_(of_bias)
        return gradient if first else of_input

    return Layer(forward, backward)


def _pooling(module: nn.MaxPool2d) -> Layer:
    window, padding, ceil = _two(module.kernel_size), _two(module.padding), module.ceil_mode
    stride = _two(module.kernel_size if module.stride is None else module.stride)

    def forward(x: Tensor) -> tuple[Tensor, Saved]:
        with torch.enable_grad():  # only then does it note where each largest number was
            y = aten.mkldnn_max_pool2d(x.requires_grad_(), window, stride, padding, [1, 1], ceil).detach()
        return y, (x.detach(), y)

    def backward(gradient: Tensor, saved: Saved) -> Tensor:
        x, y = saved
        return aten.mkldnn_max_pool2d_backward(gradient, y, x, window, stride, padding, [1, 1], ceil)

    return Layer(forward, backward)


@cache
def has_blocked_layout(dtype: torch.dtype) -> bool:
    """Whether convolution, max-pooling and ReLU in oneDNN's layout give what PyTorch's do, with their gradients: tried once, on
    a few small whole numbers, whose sums are exact in bfloat16 too."""
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn
        network = nn.Sequential(
            nn.Conv2d(1, BLOCK, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(BLOCK, BLOCK, 1), nn.ReLU()).to(dtype)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randint(-1, 2, weight.shape, generator=generator))
    images = torch.randint(-1, 2, (2, 1, 6, 6), generator=generator).to(dtype)
    answers = network(images)
    answers.sum().backward()
    expected = [answers.detach(), *(weight.grad for weight in network.parameters())]
    layers = [_entrance(dtype), *(_of_block(module, dtype, place == 0) for place, module in enumerate(network)), _exit()]
    chain = Chain(layers, list(network), dtype)
    try:
        with torch.no_grad():
            ours = chain.forward(images)
            chain.backward(torch.ones_like(ours))
    except Exception:  # gone, called in another way, or not for this processor and number format
        return False
    found = [ours, *(weight.grad for weight in network.parameters())]
    return all(torch.equal(a.flatten(), b.flatten()) for a, b in zip(found, expected, strict=True))
