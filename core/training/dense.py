"""Forward and backward pass of plain chains of layers, without autograd: of linear ones here.

Autograd's own work, building a graph and walking back through it, takes two thirds of a step of 2-8-1 on ten points and a quarter
of one of 784-50-10 on 64 images. Here the same operations are called in the same order, so that the numbers are the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.torch_private import forward_hooks
from core.training.objectives import Objective, binary_cross_entropy, cross_entropy, log_probabilities
from core.training.products import Products
from core.training.shortcuts import Shortcut, Shortcuts

aten = torch.ops.aten
Saved = tuple[Tensor, ...]
Forward = Callable[[Tensor], tuple[Tensor, Saved]]  # input → output, and what the way back needs
Backward = Callable[[Tensor, Saved], Tensor]  # the loss's gradient for the output → for the input


@dataclass
class Layer:
    """One layer of a chain."""

    forward: Forward
    backward: Backward
    saved: Saved = field(default=(), repr=False)


def _of_output(function: Callable[[Tensor], Tensor], backward: Callable[[Tensor, Tensor], Tensor]) -> Layer:
    """An activation whose derivative follows from its output."""
    def forward(x: Tensor) -> tuple[Tensor, Saved]:
        y = function(x)
        return y, (y,)
    return Layer(forward, lambda gradient, saved: backward(gradient, saved[0]))


def _of_input(module: nn.Module, backward: Callable[[Tensor, Tensor], Tensor]) -> Layer:
    return Layer(lambda x: (module(x), (x,)), lambda gradient, saved: backward(gradient, saved[0]))


def _leaky(module: nn.LeakyReLU) -> Layer:
    return _of_input(module, lambda gradient, x: aten.leaky_relu_backward(gradient, x, module.negative_slope, False))


def _gelu(module: nn.GELU) -> Layer:
    return _of_input(module, lambda gradient, x: aten.gelu_backward(gradient, x, approximate=module.approximate))


def _softmax(module: nn.Softmax) -> Layer:
    """∂/∂x = y·(g − Σ g·y), along the dimension that sums to 1."""
    return _of_output(module, lambda gradient, y: y * (gradient - (gradient * y).sum(module.dim, keepdim=True)))


def _dropout(module: nn.Dropout) -> Layer:
    """Draws as nn.Dropout does: the same random numbers in the same order."""
    def forward(x: Tensor) -> tuple[Tensor, Saved]:
        if not module.training or not module.p:
            return x, ()
        factors = F.dropout(torch.ones_like(x), module.p, True)  # 0, or 1 / (1 − p)
        return x * factors, (factors,)
    return Layer(forward, lambda gradient, saved: gradient * saved[0] if saved else gradient)


# what can stand in a chain, beside nn.Linear
LAYERS: dict[type[nn.Module], Callable[..., Layer]] = {
    nn.Flatten: lambda module: Layer(lambda x: (module(x), ()), lambda gradient, saved: gradient),
    nn.Identity: lambda module: Layer(lambda x: (x, ()), lambda gradient, saved: gradient),
    nn.ReLU: lambda module: _of_output(torch.relu, lambda gradient, y: aten.threshold_backward(gradient, y, 0)),
    nn.Sigmoid: lambda module: _of_output(torch.sigmoid, aten.sigmoid_backward),
    nn.Tanh: lambda module: _of_output(torch.tanh, aten.tanh_backward),
    nn.LeakyReLU: _leaky,
    nn.GELU: _gelu,
    nn.Softmax: _softmax,
    nn.Dropout: _dropout,
}


class Chain:
    """A network as layers in a row, each with its own way back. Made by chain_of() and core.training.convolutional.

    dtype: what the layers compute in. shortcut: by which name it is given up where it fails; None: it is plain PyTorch.
    """

    def __init__(self, layers: list[Layer], modules: list[nn.Module], dtype: torch.dtype = torch.float32,
                 shortcut: Shortcut | None = None) -> None:
        self.layers, self.dtype = layers, dtype
        self.shortcut: Shortcut | None = shortcut
        self.hooks = [hooks for module in modules for hooks in forward_hooks(module)]

    @property
    def is_watched(self) -> bool:
        """Whether somebody's hooks want to be called, which only the modules themselves do."""
        return any(self.hooks)

    def forward(self, images: Tensor, keep: bool = True) -> Tensor:
        """(N, …) float32 → logits (N, outputs) float32. To be called without gradients, as backward() is.

        keep: what the way back needs; without, there is none.
        """
        x = images
        for layer in self.layers:
            x, saved = layer.forward(x)
            layer.saved = saved if keep else ()
        return x.float()

    def backward(self, gradient: Tensor) -> None:
        """Put the gradients of all weights where autograd does, weight.grad, from the loss's gradient for the logits that
        forward() returned last."""
        gradient = gradient.to(self.dtype)
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient, layer.saved)
            layer.saved = ()


def linear_layer(module: nn.Linear, products: Products, dtype: torch.dtype = torch.float32, first: bool = False) -> Layer:
    """dtype: what its weights are brought to at each step. first: nothing before it wants a gradient."""
    weight, bias = module.weight, module.bias
    # written anew at each step: 784-50-10 takes 5 % longer where its gradients get new memory each time
    weight_gradient = torch.empty_like(weight, requires_grad=False)
    bias_gradient = None if bias is None else torch.empty_like(bias, requires_grad=False)

    def forward(x: Tensor) -> tuple[Tensor, Saved]:
        return products.linear(x, weight, bias), (x,)

    def backward(gradient: Tensor, saved: Saved) -> Tensor:
        weight.grad = products.for_weight(gradient, saved[0], weight, weight_gradient)
        if bias is not None:
            bias.grad = torch.sum(gradient, 0, out=bias_gradient)
        return gradient if first else products.for_input(gradient, weight)

    def forward_converted(x: Tensor) -> tuple[Tensor, Saved]:
        converted = weight.to(dtype)
        return F.linear(x, converted, None if bias is None else bias.to(dtype)), (x, converted)

    def backward_converted(gradient: Tensor, saved: Saved) -> Tensor:
        x, converted = saved
        weight.grad = weight_gradient.copy_(gradient.t().mm(x))
        if bias is not None and bias_gradient is not None:
            bias.grad = bias_gradient.copy_(gradient.sum(0))
        return gradient if first else gradient.mm(converted)

    return Layer(forward, backward) if dtype is torch.float32 else Layer(forward_converted, backward_converted)


def chain_of(model: nn.Module, shortcuts: Shortcuts | None = None) -> Chain | None:
    """A network of linear layers and activations as a chain; None where it is another one, or has frozen or shared weights.

    shortcuts: what the chain may take beyond plain PyTorch; None: what is usual.
    """
    modules = list(model.children())
    linear = [module for module in modules if type(module) is nn.Linear]
    if not linear or not suits(model, modules) or not all(module in linear or type(module) in LAYERS for module in modules):
        return None
    products = Products(shortcuts or Shortcuts(torch.device("cpu")))
    return Chain([linear_layer(module, products, first=module is linear[0]) if type(module) is nn.Linear
                  else LAYERS[type(module)](module) for module in modules], modules)


def suits(model: nn.Module, modules: list[nn.Module]) -> bool:
    """Whether a network does no more than its modules in a row, of which none overwrites its input, is there twice, or has a
    frozen weight."""
    return (type(model) is nn.Sequential and bool(forward_hooks(model)) and len(set(map(id, model))) == len(model)
            and not any(getattr(module, "inplace", False) for module in modules)
            and all(weight.requires_grad for weight in model.parameters()))


def loss_and_gradient(objective: Objective, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean loss of a batch, and its gradient for the logits (N, outputs)."""
    if objective.loss is cross_entropy:
        return _cross_entropy(logits, labels)
    if objective.loss is binary_cross_entropy and logits.shape[1] == 1:
        return _binary_cross_entropy(logits, labels)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        loss = objective.loss(leaf, labels)
        (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), gradient


def _cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """−log p of the right class; its gradient is (p − one-hot) / N."""
    logs = log_probabilities(logits)
    gradient = logs.exp()
    gradient.scatter_add_(1, labels.unsqueeze(1), torch.full((len(labels), 1), -1.0))
    return F.nll_loss(logs, labels), gradient.div_(len(labels))


def _binary_cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """log(1 + e^z) − y·z; its gradient is (σ(z) − y) / N."""
    targets = labels.unsqueeze(1).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, targets), torch.sigmoid(logits).sub_(targets).div_(len(labels))
