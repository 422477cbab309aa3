"""Where the weights start."""

from torch import nn
from torch.nn import init


def initialize(model: nn.Module, how: str) -> None:
    """Draw the weights of linear and convolutional layers anew, in place, from PyTorch's global random state; biases become 0.

    "default" leaves everything as PyTorch made it. Sources: Glorot & Bengio 2010 (xavier), He et al., arXiv:1502.01852
    (kaiming).
    """
    if how == "default":
        return
    draw = {
        "xavier_uniform": init.xavier_uniform_,
        "kaiming_normal": lambda weight: init.kaiming_normal_(weight, nonlinearity="relu"),
        "normal": lambda weight: init.normal_(weight, std=0.01),
        "zeros": init.zeros_,
    }[how]
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            draw(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)


