"""Optimizers: from their config to PyTorch's, stepped without the Python that small networks wait for."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from core.config import AdagradConfig, AdamConfig, AdamWConfig, OptimizerConfig, RMSpropConfig, SGDConfig
from core.torch_private import adam_step, has_adam_step


def build_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """PyTorch's optimizer, fused: one kernel for all weights, on the CPU too."""
    match config:
        case SGDConfig():
            return torch.optim.SGD(parameters, config.learning_rate, config.momentum, weight_decay=config.weight_decay,
                                   nesterov=config.nesterov, fused=True)
        case AdamConfig():
            return torch.optim.Adam(parameters, config.learning_rate, (config.beta1, config.beta2),
                                    weight_decay=config.weight_decay, fused=True)
        case AdamWConfig():
            return torch.optim.AdamW(parameters, config.learning_rate, (config.beta1, config.beta2),
                                     weight_decay=config.weight_decay, fused=True)
        case RMSpropConfig():  # has no fused kernel; foreach handles all weights together
            return torch.optim.RMSprop(parameters, config.learning_rate, config.alpha, momentum=config.momentum,
                                       weight_decay=config.weight_decay, foreach=True)
        case AdagradConfig():
            return torch.optim.Adagrad(parameters, config.learning_rate, weight_decay=config.weight_decay)


class Stepper:
    """An optimizer's zero_grad() and step(), with the same arithmetic on the same state, for one group of dense weights.

    Adam.step() sorts its tensors into groups anew each time, which takes 0.14 ms; for 784-50-10 the kernel itself takes
    0.03 ms of a 0.5 ms training step. Here the groups are remembered after the first step and the kernel is called directly.
    Optimizers other than Adam are stepped as they are, and so is Adam where PyTorch has that kernel no more.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.weights: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        self.state: dict[str, list[Tensor]] = {}  # filled by the first step, which PyTorch does itself

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.param_groups[0]["lr"] = value

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up a state that was saved by "number of the weight.name", such as "0.exp_avg"."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            number, _, kind = name.partition(".")
            state.setdefault(int(number), {})[kind] = value.clone()
        if state:
            self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
            self._remember()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for weight in self.weights:
            weight.grad = None

    def step(self) -> None:
        """Change the weights by their gradients."""
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        if not self.state or len(gradients) < len(self.weights):
            self._separate()
            self.optimizer.step()
            self._remember()
            return
        with torch.no_grad():  # the group is read anew each time: the learning rate may change
            adam_step(self.weights, gradients, self.state, self.optimizer.param_groups[0])

    def _remember(self) -> None:
        states = [self.optimizer.state.get(weight, {}) for weight in self.weights]
        same_device = len({weight.device for weight in self.weights}) == 1
        if (type(self.optimizer) is torch.optim.Adam and same_device and has_adam_step()
                and all("exp_avg" in state for state in states) and len({float(state["step"]) for state in states}) == 1):
            for state in states:
                state["step"] = states[0]["step"]  # all count the same steps
            self.state = {name: [state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq")}

    def _separate(self) -> None:
        """A count for each weight again, as PyTorch's own step has it: it counts a shared one once for each weight."""
        for state in self.optimizer.state.values() if self.state else ():
            state["step"] = state["step"].clone()
        self.state = {}
