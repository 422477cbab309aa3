"""Nothing loads PyTorch's compiler, and whoever wants it gets all of it. In processes of their own: imports can't be undone."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from core.lean_torch import KNOWN

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not version("torch").startswith(KNOWN), reason=f"the lean import knows torch {KNOWN}x only")
LOADED = """
def loaded(name):
    return name in sys.modules and type(sys.modules[name]).__name__ != "StandIn"
"""
SHAPES_AND_STEPS = LOADED + """
from core.process import configure
configure("other")
import torch
from core.config import OPTIMIZERS, RunConfig
from core.inspection import describe_layers
from core.models import ARCHITECTURES, build
from core.training.optimizers import Stepper, build_optimizer

for name in ARCHITECTURES:
    if name == "text_embedding":
        continue
    model = build(RunConfig().with_values({"model.architecture": name}).model, (1, 28, 28), 10)
    assert describe_layers(model, (1, 28, 28)), name
weight = torch.nn.Parameter(torch.ones(3))
for name in OPTIMIZERS:
    config = RunConfig().with_values({"training.optimizer.name": name})
    optimizer = Stepper(build_optimizer(config.training.optimizer, [weight]))
    for _ in range(3):
        optimizer.zero_grad()
        weight.pow(2).sum().backward()
        optimizer.step()
    optimizer.optimizer.load_state_dict(optimizer.optimizer.state_dict())
print([name for name in ("sympy", "sympy.core", "torch._dynamo", "torch._inductor", "torch.distributed.tensor",
                         "torch.fx.experimental.symbolic_shapes") if loaded(name)])
"""
THE_REAL_ONES = LOADED + """
import itertools
from core.process import configure
configure("other")
import torch

optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
torch.empty(2, 1, 28, 28, device="meta").relu() + torch.nn.functional.conv2d(
    torch.empty(2, 1, 28, 28, device="meta"), torch.empty(1, 1, 3, 3, device="meta"), padding=1)
import torch._dynamo, torch.fx.experimental.symbolic_shapes as shapes
assert not loaded("torch._dynamo") and not loaded(shapes.__name__) and not hasattr(torch._dynamo, "__file__")
add_group = torch.optim.Optimizer.add_param_group.__wrapped__
assert vars(add_group)["__dynamo_disable"] is add_group

import torch._dynamo.config as config
assert loaded("torch._dynamo") and config is torch._dynamo.config and "__dynamo_disable" not in vars(add_group)
assert config is torch._dynamo.eval_frame.config, "executed twice"
assert type(config.__spec__.loader).__name__ == "SourceFileLoader", "something is left of the detour"
real = sys.modules[shapes.__name__]
assert shapes is not real and loaded(shapes.__name__) and shapes.ShapeEnv is real.ShapeEnv

symbols = real.ShapeEnv()
size = symbols.create_unbacked_symint()
values = [True, False, 0, 3, 2.5, (1, 2), [1, 2], (1, 3), size, size > 0, None]
def said(function, *arguments):
    try:
        return str(function(*arguments))
    except Exception as error:
        return type(error).__name__
answers = {name: value for name, value in vars(shapes).items() if callable(value) and not name.startswith("_")}
assert len(answers) > 10, answers
for name, answer in answers.items():
    count = 2 if name.startswith("sym_") else 1
    for arguments in itertools.product(values, repeat=count):
        assert said(answer, *arguments) == said(getattr(real, name), *arguments), (name, arguments)

compiled = torch.compile(lambda x: x.relu() * 2, backend="eager", dynamic=True)
assert compiled(torch.tensor([-1.0, 1.0])).tolist() == [0, 2] and compiled(torch.ones(3)).tolist() == [2, 2, 2]
optimizer.param_groups[0]["params"][0].grad = torch.ones(3)
optimizer.step()
optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
print("well")
"""


def run(code: str) -> str:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", "import sys\n" + code], cwd=ROOT, capture_output=True, text=True)
    assert not ran.returncode, ran.stderr
    return ran.stdout.strip()


def test_neither_shapes_nor_steps_load_the_compiler():
    """torchvision's networks included; text has no picture to show."""
    assert run(SHAPES_AND_STEPS) == "[]"


def test_whoever_wants_the_compiler_gets_all_of_it():
    """Also what comes after a stand-in has answered; and for every kind of value, symbols too, it answered as the real one."""
    assert run(THE_REAL_ONES) == "well"
