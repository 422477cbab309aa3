"""One training step as a few lines of plain PyTorch, with a look at one weight after each."""

from core.config import AdamConfig, AdamWConfig, OptimizerConfig, RMSpropConfig, RunConfig, SGDConfig

CLASSES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}


def step_code(config: RunConfig, name: str, index: tuple[int, ...], learning_rate: float, outputs: int,
              target: str = "classes") -> str:
    """zero_grad, forward, backward and step for a batch `images` (N, C, H, W), `labels` (N,) and a network `model`.

    Args:
        name, index: the weight that is printed on the way. learning_rate: of this step. outputs: of the network. target: of the
            data, "classes" or "number".
    """
    place = f"[{', '.join(map(str, index))}]" if index else ""
    clipping = config.training.gradient_clipping
    clip = [f"nn.utils.clip_grad_norm_(model.parameters(), {clipping!r})  # a long gradient is shortened", ""] if clipping else []
    if l1 := config.training.l1:
        backward = [f"penalty = {l1!r} * sum(weight.abs().sum() for weight in model.parameters())  # L1",
                    "(loss + penalty).backward()"]
    else:
        backward = ["loss.backward()"]
    backward[-1] += "  # how the loss changes with each weight, into weight.grad"
    return "\n".join([
        "import torch",
        "from torch import nn",
        "from torch.nn import functional as F",
        "",
        f"optimizer = {optimizer_code(config.training.optimizer, learning_rate)}",
        f'weight = model.get_parameter("{name}")',
        "",
        "model.train()",
        "optimizer.zero_grad()  # forget the gradients of the step before",
        f'print("after zero_grad:", weight{place}.item(), weight.grad)',
        "",
        "logits = model(images)  # forward: the network's answers",
        f"loss = {loss_code(config, outputs, target)}",
        *backward,
        f'print("after backward:", weight{place}.item(), weight.grad{place}.item())',
        "",
        *clip,
        "optimizer.step()  # each weight is changed by its gradient",
        f'print("after step:", weight{place}.item())',
    ]) + "\n"


def optimizer_code(config: OptimizerConfig, learning_rate: float) -> str:
    """How torch.optim makes this optimizer; what is PyTorch's default is left out."""
    values: dict[str, tuple[object, object]] = {}  # the config's, and PyTorch's default
    match config:
        case SGDConfig():
            values = {"momentum": (config.momentum, 0.0), "nesterov": (config.nesterov, False)}
        case AdamConfig() | AdamWConfig():
            values = {"betas": ((config.beta1, config.beta2), (0.9, 0.999))}
        case RMSpropConfig():
            values = {"alpha": (config.alpha, 0.99), "momentum": (config.momentum, 0.0)}
    values["weight_decay"] = config.weight_decay, 0.01 if isinstance(config, AdamWConfig) else 0.0
    given = [f"lr={learning_rate!r}", *(f"{name}={value!r}" for name, (value, usual) in values.items() if value != usual)]
    return f"torch.optim.{CLASSES[config.name]}(model.parameters(), {', '.join(given)})"


def loss_code(config: RunConfig, outputs: int, target: str = "classes") -> str:
    """The config's loss of `logits` (N, outputs) and `labels` (N,), as torch.nn.functional has it."""
    if target == "number":
        return "F.mse_loss(logits[:, 0], labels)"
    smoothing = config.training.label_smoothing
    answers = "labels.float().view(-1, 1)" if outputs == 1 else f"F.one_hot(labels, {outputs}).float()"
    chances = "torch.sigmoid(logits)" if outputs == 1 else "logits.softmax(1)"
    return {
        "cross_entropy": f"F.cross_entropy(logits, labels{f', label_smoothing={smoothing!r}' if smoothing else ''})",
        "nll": "F.nll_loss(logits.log_softmax(1), labels)",
        "bce_with_logits": f"F.binary_cross_entropy_with_logits(logits, {answers})",
        "bce": f"F.binary_cross_entropy(torch.sigmoid(logits), {answers})",
        "mse": f"F.mse_loss({chances}, {answers})",
    }[config.training.loss]
