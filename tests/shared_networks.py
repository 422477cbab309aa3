"""Random networks whose modules share others: `random_shared(seed) -> (Plan, input_shape)`.

A plan says which parts a module holds and calls. `plan.build()` makes the network with every part shared wherever the plan
shares it, `plan.build_apart()` its twin in which each place has a module of its own. Both make the same calls, and in the twin
nobody can doubt what one is called: its module stands in one place.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

Step = tuple[str, ...]  # what is called: an attribute, or one inside it; "given" for the module that the caller hands in


@dataclass(eq=False)
class Plan:
    """A module: a layer, or the parts it holds, by name, and the calls it makes."""

    make: Callable[[], nn.Module] | None = None
    parts: "dict[str, Plan]" = field(default_factory=dict)
    kind: str = "block"  # or "list", "dict", "sequential"
    steps: list[Step] = field(default_factory=list)
    gives: dict[Step, str] = field(default_factory=dict)  # step → the attribute that is handed in with it

    def build(self) -> nn.Module:
        return self._build({})

    def build_apart(self, plans: "dict[nn.Module, Plan]") -> nn.Module:
        """`plans` gets the plan of each module."""
        return self._build(None, plans)

    def _build(self, made: "dict[Plan, nn.Module] | None", plans: "dict[nn.Module, Plan] | None" = None) -> nn.Module:
        if made is not None and self in made:
            return made[self]
        parts = {name: part._build(made, plans) for name, part in self.parts.items()}
        match self.kind:
            case _ if self.make is not None:
                module = self.make()
            case "sequential":
                module = nn.Sequential(*parts.values())
            case "list":
                module = nn.ModuleList(parts.values())
            case "dict":
                module = nn.ModuleDict(parts)
            case _:
                module = Block(parts, self.steps, self.gives)
        if made is not None:
            made[self] = module
        if plans is not None:
            plans[module] = self
        return module

    def count(self, part: "Plan") -> int:
        """In how many places below this one `part` stands."""
        return sum((held is part) + held.count(part) for held in self.parts.values())


class Block(nn.Module):
    """Calls its parts in the order of the steps; every third call has a shortcut around it."""

    def __init__(self, parts: dict[str, nn.Module], steps: list[Step], gives: dict[Step, str]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.steps, self.gives = steps, gives

    def forward(self, x: Tensor, given: nn.Module | None = None) -> Tensor:
        for number, step in enumerate(self.steps):
            if step == ("given",):
                x = x if given is None else given(x)
                continue
            module = self
            for name in step:
                module = module[int(name) if name.isdigit() else name] if isinstance(module, nn.ModuleList | nn.ModuleDict) \
                    else getattr(module, name)
            y = module(x, getattr(self, self.gives[step])) if step in self.gives else module(x)
            x = x + y if number % 3 == 2 else y
        return x


def random_shared(seed: int) -> tuple[Plan, tuple[int, ...]]:
    """A network that shares layers and blocks with parts in several depths, calls some twice and some past their holder."""
    choose = random.Random(seed)
    pictures = choose.random() < 0.5
    pool = [Plan(make) for make in (_picture_layers() if pictures else _row_layers())]
    for _ in range(choose.randint(2, 4)):
        pool.append(_block(choose, pool))
    root = _block(choose, pool[-2:] + choose.sample(pool, 3))
    return root, (2, 6, 5) if pictures else (4,)


def _picture_layers() -> list[Callable[[], nn.Module]]:
    return [lambda: nn.Conv2d(2, 2, 3, padding=1), lambda: nn.Conv2d(2, 2, 1, bias=False), lambda: nn.BatchNorm2d(2), nn.ReLU]


def _row_layers() -> list[Callable[[], nn.Module]]:
    return [lambda: nn.Linear(4, 4), lambda: nn.Linear(4, 4, bias=False), lambda: nn.LayerNorm(4), nn.Tanh]


def _block(choose: random.Random, pool: list[Plan]) -> Plan:
    """A block of parts from the pool; a module that it calls itself has one name in it."""
    plan, own = Plan(), []
    for number, part in enumerate(choose.sample(pool, min(len(pool), choose.randint(2, 4)))):
        if part in own:
            continue
        own.append(part)
        plan.parts[f"p{number}"] = part
        plan.steps.append((f"p{number}",))
    left = [part for part in pool if part not in own]
    if left and choose.random() < 0.6:  # uncalled holders: what they hold is called by the block itself
        kind, held = choose.choice(["list", "dict"]), list(dict.fromkeys(choose.choices(left, k=2)))
        own += held
        names = [str(number) if kind == "list" else f"k{number}" for number in range(len(held))]
        plan.parts["several"] = Plan(parts=dict(zip(names, held, strict=True)), kind=kind)
        plan.steps += [("several", name) for name in names]
    if choose.random() < 0.5:  # a Sequential may hold one module twice
        held = choose.choices(pool, k=3)
        plan.parts["row"] = Plan(parts={str(number): part for number, part in enumerate(held)}, kind="sequential")
        plan.steps.append(("row",))
    choose.shuffle(plan.steps)
    plan.steps += choose.choices(plan.steps, k=choose.randint(0, 2))
    _call_past_holders(choose, plan)
    _hand_in(choose, plan)
    if choose.random() < 0.7:
        plan.steps.insert(choose.randint(0, len(plan.steps)), ("given",))
    return plan


def _call_past_holders(choose: random.Random, plan: Plan) -> None:
    """Sometimes self.block.layer(x): the block that holds the layer is not running."""
    inside = [(name, inner) for name, part in plan.parts.items() if part.kind == "block" for inner in part.parts
              if part.parts[inner].kind in ("block", "sequential") and plan.count(part.parts[inner]) == 1]
    if inside and choose.random() < 0.7:
        plan.steps.append(choose.choice(inside))


def _hand_in(choose: random.Random, plan: Plan) -> None:
    """Where it can be, self.block(x, self.layer): the block calls what it does not hold."""
    pairs = [(step, name) for step in dict.fromkeys(plan.steps) for name, part in plan.parts.items()
             if len(step) == 1 and ("given",) in plan.parts[step[0]].steps and part.make is not None
             and not plan.parts[step[0]].count(part)]
    if pairs:
        step, name = choose.choice(pairs)
        plan.gives[step] = name
