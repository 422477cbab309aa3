"""Optimizers: from their config to PyTorch's, stepped without the Python that small networks wait for."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from core.config import AdagradConfig, AdamConfig, AdamWConfig, OptimizerConfig, RMSpropConfig, SGDConfig
from core.torch_private import adam_step, has_adam_step
from core.training.shortcuts import FAILURES, Shortcut, Shortcuts

Weights = list[nn.Parameter] | list[dict[str, Any]]  # or groups of them, as PyTorch's optimizers take both


def build_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
                    shortcuts: Shortcuts | None = None) -> torch.optim.Optimizer:
    """PyTorch's optimizer, fused: one kernel for all weights, on the CPU too; not fused where `shortcuts` says that fails.

    parameters: weights, or groups of them (see core.training.trainable.weights_to_train).
    """
    weights: Any = list(parameters)
    if shortcuts is None:
        return _build(config, weights, True)
    return shortcuts.take("fused_optimizer", lambda: _build(config, weights, True), lambda: _build(config, weights, False))


def _build(config: OptimizerConfig, parameters: Weights, fused: bool) -> torch.optim.Optimizer:
    match config:
        case SGDConfig():
            return torch.optim.SGD(parameters, config.learning_rate, config.momentum, weight_decay=config.weight_decay,
                                   nesterov=config.nesterov, fused=fused)
        case AdamConfig():
            return torch.optim.Adam(parameters, config.learning_rate, (config.beta1, config.beta2),
                                    weight_decay=config.weight_decay, fused=fused)
        case AdamWConfig():
            return torch.optim.AdamW(parameters, config.learning_rate, (config.beta1, config.beta2),
                                     weight_decay=config.weight_decay, fused=fused)
        case RMSpropConfig():  # has no fused kernel; foreach handles all weights together
            return torch.optim.RMSprop(parameters, config.learning_rate, config.alpha, momentum=config.momentum,
                                       weight_decay=config.weight_decay, foreach=fused)
        case AdagradConfig():
            return torch.optim.Adagrad(parameters, config.learning_rate, weight_decay=config.weight_decay)


class Stepper:
    """An optimizer's zero_grad() and step(), with the same arithmetic on the same state, for groups of dense weights.

    Adam.step() sorts its tensors into groups anew each time, which takes 0.14 ms; for 784-50-10 the kernel itself takes
    0.03 ms of a 0.5 ms training step. Here the groups are remembered after the first step and the kernel is called directly.
    Optimizers other than Adam are stepped as they are, and so is Adam where PyTorch has that kernel no more, and with more than
    one group: where layers below the last one learn slower, each group's "factor" says how much. A kernel that fails
    is given up for plain PyTorch's arithmetic, one weight after the other; no step is lost by that, and none is taken twice.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, shortcuts: Shortcuts | None = None) -> None:
        """shortcuts: what is told of kernels that fail; None raises what they do."""
        self.optimizer, self.shortcuts = optimizer, shortcuts
        self.steps = 0  # that all weights have taken
        self.groups = optimizer.param_groups  # the last one's learning rate is the run's
        self.has_kernel = (type(optimizer) is torch.optim.Adam and len(self.groups) == 1
                           and (shortcuts is None or shortcuts.usable("adam_kernel")))
        self.weights: list[Tensor] = [p for group in self.groups for p in group["params"] if p.requires_grad]
        self.state: dict[str, list[Tensor]] = {}  # filled by the first step, which PyTorch does itself

    @property
    def learning_rate(self) -> float:
        """Of the next step, where nothing makes it smaller."""
        return self.optimizer.param_groups[-1]["lr"]

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value * group.get("factor", 1.0)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up a state that was saved by "number of the weight.name", such as "0.exp_avg"."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            number, _, kind = name.partition(".")
            state.setdefault(int(number), {})[kind] = value.clone()
        for place, weight in enumerate(weight for group in self.optimizer.param_groups for weight in group["params"]):
            for kind, value in state.get(place, {}).items():
                if value.shape == weight.shape:  # laid out as the weight is, channels_last perhaps: kernels take both as they lie
                    state[place][kind] = torch.empty_like(weight, requires_grad=False).copy_(value)
        if state:
            self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
            self.steps = max((int(values["step"]) for values in state.values() if "step" in values), default=0)
            self._remember()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for weight in self.weights:
            weight.grad = None

    def step(self) -> None:
        """Change the weights by their gradients."""
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        if self.state and len(gradients) == len(self.weights):
            try:
                with torch.no_grad():  # the group is read anew each time: the learning rate may change
                    adam_step(self.weights, gradients, self.state, self.optimizer.param_groups[0])
            except FAILURES as error:
                self._give_up("adam_kernel", error)
                self._whole_step()
        else:
            self._whole_step()
        self.steps += 1

    def _whole_step(self) -> None:
        """By PyTorch's own step()."""
        self._separate()
        try:
            self.optimizer.step()
        except FAILURES as error:
            self._give_up("fused_optimizer", error)
            for group in self.optimizer.param_groups:
                group.update({name: False for name in ("fused", "foreach") if name in group})
            self.optimizer.step()
        self._remember()

    def _give_up(self, name: Shortcut, error: Exception) -> None:
        """Go back to before a step that failed: kernels refuse before they touch a weight, but the step has been counted."""
        if self.shortcuts is None:
            raise error
        self.shortcuts.give_up(name, error)
        self.has_kernel = False
        self._separate()
        if not self.steps:
            self.optimizer.state.clear()
        for state in self.optimizer.state.values():
            if "step" in state:
                state["step"].fill_(self.steps)

    def _remember(self) -> None:
        states = [self.optimizer.state.get(weight, {}) for weight in self.weights]
        same_device = len({weight.device for weight in self.weights}) == 1
        if (self.has_kernel and same_device and has_adam_step()
                and all("exp_avg" in state for state in states) and len({float(state["step"]) for state in states}) == 1):
            for state in states:
                state["step"] = states[0]["step"]  # all count the same steps
            self.state = {name: [state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq")}

    def _separate(self) -> None:
        """A count for each weight again, as PyTorch's own step has it: it counts a shared one once for each weight."""
        for state in self.optimizer.state.values() if self.state else ():
            state["step"] = state["step"].clone()
        self.state = {}
