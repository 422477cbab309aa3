"""The training part of a script: loss, optimizer, schedule and loop, as one would write them by hand for just these settings."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from core.config import (
    AdagradConfig,
    AdamConfig,
    AdamWConfig,
    CosineConfig,
    OneCycleConfig,
    OptimizerConfig,
    PlateauConfig,
    RMSpropConfig,
    RunConfig,
    ScheduleConfig,
    SGDConfig,
    StepConfig,
    WarmUpConfig,
)
from core.data import Outline
from core.export.by_hand_code import AFTER_STEP, BEFORE_STEP, BEGIN, by_hand_code
from core.export.start_code import ALL, frozen_code, given_to_optimizer, has_frozen_norms, is_grouped, start_code
from core.training import Intervention
from core.training.step import SEED_FACTOR


def training_code(config: RunConfig, data: Outline, model: nn.Module, name: str, outputs: int, draws: bool = False,
                  interventions: Sequence[Intervention] = (), layer: Callable[[str], str] = str) -> str:
    """Network, criterion, optimizer, schedule and the loop over the epochs.

    Args:
        model: the run's network, with what is frozen; meta tensors will do. name: of its class.
        outputs: width of its last layer.
        draws: whether a step draws random numbers from PyTorch's own generator: dropout, or transforms.
        interventions: what was changed by hand while it trained. layer: from the name of a layer in the run's network to the
            expression for it in that class.
    """
    number = data.target == "number"
    before, weights = given_to_optimizer(config, model, layer)
    grouped = is_grouped(config, model)
    setup = [f"model = {name}().to(device)", *_initialization(config.training.initialization), *start_code(config, model),
             *frozen_code(model, layer), *before,
             f"optimizer = {optimizer_code(config.training.optimizer, fused=True, weights=weights)}",
             *_schedule(config.training.schedule, grouped)]
    targets = _labels(config, len(data.source_classes), number)
    parts = ["\n".join(setup), _criterion(config, outputs, number)]
    parts.append(f'''def targets_of(labels):
    """What the loss compares the network's answer with."""
    return {targets or "labels"}''')
    parts.append(EVALUATE_NUMBERS if number else EVALUATE.replace("RIGHT", _right(config, outputs)))
    parts += [text] if (text := by_hand_code(interventions, config.training.schedule, layer, grouped)) else []
    parts.append(_loop(config, number, draws, bool(interventions), has_frozen_norms(model)))
    text = "\n\n\n".join(parts)
    return text if data.kind == "images" else re.sub(r"\bimages\b", "inputs", text)


def _initialization(how: str) -> list[str]:
    draw = {"xavier_uniform": "nn.init.xavier_uniform_(layer.weight)",
            "kaiming_normal": 'nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")',
            "normal": "nn.init.normal_(layer.weight, std=0.01)", "zeros": "nn.init.zeros_(layer.weight)"}.get(how)
    if draw is None:
        return []
    return ["torch.manual_seed(SEED)", "for layer in model.modules():", "    if isinstance(layer, (nn.Linear, nn.Conv2d)):",
            f"        {draw}", "        if layer.bias is not None:", "            nn.init.zeros_(layer.bias)"]


def _criterion(config: RunConfig, outputs: int, number: bool) -> str:
    """The loss, of what the network returns."""
    smoothing = config.training.label_smoothing
    match config.training.loss:
        case "cross_entropy":
            what = f"label_smoothing={smoothing!r}" if smoothing else ""
            return f"criterion = nn.CrossEntropyLoss({what})  # takes logits, and applies the softmax itself"
        case "bce_with_logits":
            return "criterion = nn.BCEWithLogitsLoss()  # takes logits, and applies the sigmoid itself"
        case "mse" if number:
            return "criterion = nn.MSELoss()"
        case "nll":
            text, body = "the right class's logarithm of a probability", "F.nll_loss(F.log_softmax(logits, dim=1), targets)"
        case "bce":
            text = "binary cross-entropy of probabilities"
            body = "F.binary_cross_entropy(torch.sigmoid(logits), targets)"
        case _:
            text, answer = "mean squared error of probabilities", "torch.sigmoid(logits)" if outputs == 1 else "logits.softmax(1)"
            body = f"F.mse_loss({answer}, targets)"
    return f'def criterion(logits, targets):\n    """{text[:1].upper()}{text[1:]}."""\n    return {body}'


def optimizer_code(optimizer: OptimizerConfig, fused: bool = False, weights: str = ALL) -> str:
    """The call that makes it; settings at PyTorch's own default are left out. fused: one kernel for all weights, where there is
    one. weights: the expression for what it is given."""
    extra: dict[str, tuple[Any, Any]]  # name → (value, PyTorch's own default)
    match optimizer:
        case SGDConfig():
            kind, extra = "SGD", {"momentum": (optimizer.momentum, 0.0), "nesterov": (optimizer.nesterov, False)}
        case AdamConfig() | AdamWConfig():
            kind = "Adam" if isinstance(optimizer, AdamConfig) else "AdamW"
            extra = {"betas": ((optimizer.beta1, optimizer.beta2), (0.9, 0.999))}
        case RMSpropConfig():
            kind, extra = "RMSprop", {"alpha": (optimizer.alpha, 0.99), "momentum": (optimizer.momentum, 0.0)}
        case AdagradConfig():
            kind, extra = "Adagrad", {}
    extra["weight_decay"] = (optimizer.weight_decay, 0.01 if isinstance(optimizer, AdamWConfig) else 0.0)
    if fused and kind in {"SGD", "Adam", "AdamW"}:
        extra["fused"] = (True, False)
    said = "".join(f", {name}={value!r}" for name, (value, usual) in extra.items() if value != usual)
    return f"torch.optim.{kind}({weights}, lr=LEARNING_RATE{said})"


def _schedule(schedule: ScheduleConfig, grouped: bool = False) -> list[str]:
    """Lines that make `scheduler`. grouped: layers below the last one have a learning rate of their own, which it scales too."""
    steps = ["steps = EPOCHS * len(train_loader)"]
    module = "torch.optim.lr_scheduler"
    match schedule:
        case StepConfig():
            return [f"scheduler = {module}.StepLR(optimizer, step_size={schedule.every}, gamma={schedule.factor!r})"]
        case CosineConfig() if grouped and schedule.final:  # CosineAnnealingLR ends all groups at the same rate
            return [*steps, f"scheduler = {module}.LambdaLR(optimizer, lambda step: {schedule.final!r} + "
                    f"{1 - schedule.final!r} * (1 + math.cos(math.pi * step / steps)) / 2)"]
        case CosineConfig():
            return [*steps, f"scheduler = {module}.CosineAnnealingLR(optimizer, T_max=steps, "
                    f"eta_min=LEARNING_RATE * {schedule.final!r})"]
        case OneCycleConfig():
            most = '[group["lr"] for group in optimizer.param_groups]' if grouped else "LEARNING_RATE"
            return [*steps, f"scheduler = {module}.OneCycleLR(optimizer, max_lr={most}, total_steps=steps, "
                    f"pct_start={schedule.rise!r}, cycle_momentum=False)"]
        case WarmUpConfig():
            return [*steps, f"rising = max(1, round({schedule.share!r} * steps))",
                    f"scheduler = {module}.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / rising))"]
        case PlateauConfig():
            return [f"scheduler = {module}.ReduceLROnPlateau(optimizer, factor={schedule.factor!r}, "
                    f"patience={schedule.patience})"]
    return []


def _labels(config: RunConfig, classes: int, number: bool) -> str:
    """Lines that turn a batch's labels into what the loss takes; "" where they are."""
    if number:
        return "labels.view(-1, 1)"
    yes_no, loss = config.data.task == "is_target", config.training.loss
    if loss in {"bce_with_logits", "bce", "mse"}:
        several = "labels.float().view(-1, 1)" if classes == 2 else f"F.one_hot(labels, {classes}).float()"
        return "(labels == TARGET).float().view(-1, 1)" if yes_no else several
    return "(labels == TARGET).long()" if yes_no else ""


def _right(config: RunConfig, outputs: int) -> str:
    """The number of right answers of a batch."""
    if config.training.loss in {"cross_entropy", "nll"}:
        return "(logits.argmax(1) == targets).sum().item()"
    if outputs == 1:
        return "((logits > 0) == (targets > 0.5)).sum().item()  # logit above 0: probability above 0.5"
    return "(logits.argmax(1) == targets.argmax(1)).sum().item()"


EVALUATE = '''def evaluate(loader):
    """Mean loss and accuracy over all examples of a loader."""
    model.eval()  # dropout off, batch norm as learned
    loss, right, count = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            images, targets = images.to(device), targets_of(labels.to(device))
            logits = model(images)
            loss += criterion(logits, targets).item() * len(images)
            right += RIGHT
            count += len(images)
    return loss / count, right / count'''

EVALUATE_NUMBERS = '''def evaluate(loader):
    """Mean loss over all examples of a loader."""
    model.eval()
    loss, count = 0.0, 0
    with torch.no_grad():
        for inputs, numbers in loader:
            inputs, targets = inputs.to(device), targets_of(numbers.to(device))
            loss += criterion(model(inputs), targets).item() * len(inputs)
            count += len(inputs)
    return loss / count'''


def _loop(config: RunConfig, number: bool, draws: bool, by_hand: bool, norms: bool = False) -> str:
    """The epochs, with only what the settings ask for. by_hand: something was changed while it trained. norms: some batch norm is
    frozen."""
    training, schedule = config.training, config.training.schedule
    patience, best = training.early_stopping, training.keep == "best"
    each_step = isinstance(schedule, CosineConfig | OneCycleConfig | WarmUpConfig)
    lines = ["torch.manual_seed(SEED)  # what is drawn at random from here on is drawn as in the app"] if draws else []
    lines += [BEGIN] * by_hand
    if patience or best:
        lines.append('best_loss = float("inf")')
    if best:
        lines.append("best_weights = model.state_dict()  # as they are, until an epoch has a smaller loss")
    if patience:
        lines.append("waited = 0  # epochs since the validation loss was smallest")
    lines += ["for epoch in range(1, EPOCHS + 1):", f"    order.manual_seed(SEED * {SEED_FACTOR:_} + epoch)", "    model.train()",
              *["    for layer in frozen_norms:", "        layer.eval()  # its mean and variance stay as they are"] * norms,
              "    total, count = 0.0, 0",
              "    for images, labels in train_loader:", *[f"        {BEFORE_STEP}"] * by_hand,
              "        images, targets = images.to(device), targets_of(labels.to(device))",
              "        loss = criterion(model(images), targets)", "        optimizer.zero_grad()"]
    if training.l1:
        lines += [f"        penalty = {training.l1!r} * sum(weight.abs().sum() for weight in model.parameters())  # L1",
                  "        (loss + penalty).backward()"]
    else:
        lines.append("        loss.backward()")
    if training.gradient_clipping:
        lines.append(f"        nn.utils.clip_grad_norm_(model.parameters(), {training.gradient_clipping!r})")
    lines.append("        optimizer.step()")
    if each_step:
        lines.append("        scheduler.step()")
    lines += ["        total += loss.item() * len(images)", "        count += len(images)"]
    lines += [f"        {AFTER_STEP}"] * by_hand
    lines += _after_epoch(number)
    if isinstance(schedule, StepConfig):
        lines.append("    scheduler.step()")
    if isinstance(schedule, PlateauConfig):
        lines.append("    scheduler.step(validation_loss)")
    lines += _best(patience, best)
    return "\n".join(lines)


def _after_epoch(number: bool) -> list[str]:
    report = '    print(f"epoch {epoch}: loss {total / count:.4f}, validation loss {validation_loss:.4f}'
    if number:
        return ["    validation_loss = evaluate(validation_loader)", f'{report}")']
    return ["    validation_loss, validation_accuracy = evaluate(validation_loader)", f'{report}, "',
            '          f"validation accuracy {validation_accuracy:.2%}")']


def _best(patience: int, best: bool) -> list[str]:
    """Keeping the best weights, and stopping early."""
    if not patience and not best:
        return []
    lines = ["    if validation_loss < best_loss:", "        best_loss = validation_loss"]
    if best:
        lines.append("        best_weights = {name: value.clone() for name, value in model.state_dict().items()}")
    if patience:
        lines += ["        waited = 0", "    else:", "        waited += 1", f"        if waited == {patience}:",
                  "            break"]
    if best:
        lines.append("model.load_state_dict(best_weights)")
    return lines
