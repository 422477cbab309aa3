"""What was changed by hand while a run trained, as a script repeats it: the same changes between the same steps."""

from collections.abc import Callable, Sequence
from itertools import groupby

from core.config import ConstantConfig, CosineConfig, OneCycleConfig, ScheduleConfig, WarmUpConfig
from core.training import Intervention

BEGIN, BEFORE_STEP, AFTER_STEP = "step = 0  # how many are done", "change_by_hand(step)", "step += 1"  # lines of the loop


def by_hand_code(interventions: Sequence[Intervention], schedule: ScheduleConfig, layer: Callable[[str], str],
                 grouped: bool = False) -> str:
    """The function that the loop calls before each step; "" where nothing was changed.

    layer: from the name of a layer in the run's network to the script's expression for it. grouped: layers below the last one
        have a learning rate of their own, which is changed as much.
    """
    if not interventions:
        return ""
    steady = isinstance(schedule, ConstantConfig) and not grouped
    weights = any(one.what == "weight" for one in interventions)
    lines = ["@torch.no_grad()"] * weights
    lines += ["def change_by_hand(step):",
              '    """What was changed by hand in the run after so many steps, before its next one."""']
    for step, group in groupby(interventions, lambda one: one.step):
        lines.append(f"    if step == {step}:")
        lines += [f"        {_change(one, steady, layer)}" for one in group]
    text = "\n".join(lines)
    return text if steady or all(one.what == "weight" for one in interventions) else \
        f"{_rate_code(schedule, grouped)}\n\n\n{text}"


def _change(one: Intervention, steady: bool, layer: Callable[[str], str]) -> str:
    if one.what == "learning_rate":
        line = f'optimizer.param_groups[0]["lr"] = {one.after!r}' if steady else \
            f"scale_learning_rate({one.after!r} / {one.before!r})"
        return f"{line}  # learning rate {one.after:g}, was {one.before:g}"
    place = f"bias[{one.row}]" if one.column is None else f"weight[{one.row}, {one.column}]"
    return f"{layer(one.layer)}.{place} = {one.after!r}  # was {one.before:.4g}"


def _rate_code(schedule: ScheduleConfig, grouped: bool) -> str:
    """Another learning rate, which the schedule scales as it did the first one."""
    lines = ["def scale_learning_rate(times):",
             '    """Another learning rate from the next step on; the schedule scales it as it did the one before."""',
             "    for group in optimizer.param_groups:", '        group["lr"] *= times']
    match schedule:
        case CosineConfig() if grouped and schedule.final:
            lines.append("    scheduler.base_lrs = [rate * times for rate in scheduler.base_lrs]")
        case CosineConfig():
            lines.append("    scheduler.eta_min *= times")
        case OneCycleConfig():
            lines += ['        for name in ("initial_lr", "max_lr", "min_lr"):', "            group[name] *= times"]
        case WarmUpConfig():
            lines.append("    scheduler.base_lrs = [rate * times for rate in scheduler.base_lrs]")
    return "\n".join(lines)
