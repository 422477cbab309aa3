"""Hooks come and go, and each call of a shared module has the name that its caller has for it."""

import threading

import pytest
import torch
from torch import Tensor, nn

from core.hooks import CallStack, hooked, names_in, watched
from tests.shared_networks import random_shared


class Wraps(nn.Module):
    """Calls what it holds in the way that a test hands in."""

    def __init__(self, calls, **parts: nn.Module) -> None:
        super().__init__()
        self.calls = calls
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor, *given: nn.Module) -> Tensor:
        return self.calls(self, x, *given)


def named(model: nn.Module, *kinds: type[nn.Module]) -> list[str]:
    """The paths of a run's calls in the order in which they begin; of some kinds of modules only."""
    stack, found = CallStack(), []

    def before(module, args, kwargs):
        path = stack.enter(module).path
        assert model.get_submodule(path) is module
        if not kinds or isinstance(module, kinds):
            found.append(path)

    with hooked(model.modules(), before, lambda module, args, kwargs, output: stack.leave(module)), torch.no_grad():
        model(torch.zeros(2, 4))
    return found


def calls_lin(own: Wraps, x: Tensor) -> Tensor:
    return own.lin(x)


def test_one_layer_in_two_modules():
    lin = nn.Linear(4, 4)
    inner_last = Wraps(lambda own, x: own.a(own.b(x)), a=Wraps(calls_lin, lin=lin), b=Wraps(calls_lin, lin=lin))
    assert named(inner_last) == ["", "b", "b.lin", "a", "a.lin"]


def test_two_callers_of_a_shared_block():
    block = Wraps(lambda own, x: own.lin(own.lin(x)), lin=nn.Linear(4, 4))
    model = Wraps(lambda own, x: own.right(own.left(x)), left=Wraps(lambda own, x: own.first(x), first=block),
                  right=Wraps(lambda own, x: own.second(x), second=block))
    assert named(model, nn.Linear) == ["left.first.lin"] * 2 + ["right.second.lin"] * 2


def test_two_names_in_one_caller_take_turns():
    lin, relu = nn.Linear(4, 4), nn.ReLU()
    assert named(nn.Sequential(lin, relu, lin, relu)) == ["", "0", "1", "2", "3"]
    model = Wraps(lambda own, x: own.b(own.a(own.b(own.a(x)))), a=lin, b=lin)
    assert named(model, nn.Linear) == ["a", "b", "a", "b"]
    twice = Wraps(lambda own, x: own.row(own.row(x)), row=nn.Sequential(lin, lin, lin))
    assert named(twice, nn.Linear) == ["row.0", "row.1", "row.2"] * 2, "each call of the Sequential begins anew"


def test_holders_that_are_not_called():
    lin, other = nn.Linear(4, 4), nn.Linear(4, 4)

    def calls(own, x):
        for layer in own.many:
            x = layer(x)
        for layer in own.by_name.values():
            x = layer(x)
        for layer in own.row:
            x = layer(x)
        return own.inside.lin(x)

    model = Wraps(calls, many=nn.ModuleList([lin, nn.ModuleList([nn.ReLU()])[0]]), by_name=nn.ModuleDict({"k": other}),
                  row=nn.Sequential(nn.Tanh(), nn.Sigmoid()), inside=Wraps(calls_lin, lin=nn.Linear(4, 4)))
    assert named(model)[1:] == ["many.0", "many.1", "by_name.k", "row.0", "row.1", "inside.lin"]
    nested = Wraps(lambda own, x: own.many[0][0](x), many=nn.ModuleList([nn.ModuleList([lin])]))
    assert named(nested) == ["", "many.0.0"]


def test_the_nearest_name_counts():
    """The network calls its own `lin`; that a block holds it too, and was registered first, is another matter."""
    lin = nn.Linear(4, 4)
    assert named(Wraps(lambda own, x: own.lin(own.block(x)), block=Wraps(calls_lin, lin=lin), lin=lin))[1:] == [
        "block", "block.lin", "lin"]


def test_a_module_that_is_handed_in():
    act = nn.ReLU()
    block = Wraps(lambda own, x, given: given(own.lin(x)), lin=nn.Linear(4, 4))
    model = Wraps(lambda own, x: own.block(x, own.act), other=Wraps(lambda own, x: own.act(x), act=act), block=block, act=act)
    assert named(model) == ["", "block", "block.lin", "act"]


def test_a_module_kept_where_torch_does_not_look():
    """The caller holds it in a plain list; the network knows it by another's name."""
    lin = nn.Linear(4, 4)
    caller = Wraps(lambda own, x: own.plain[0](x))
    caller.plain = [lin]
    assert named(Wraps(lambda own, x: own.caller(x), caller=caller, holder=Wraps(None, lin=lin))) == [
        "", "caller", "holder.lin"]


class Again(nn.Module):
    """Calls itself until the time has come."""

    def __init__(self, times: int, **parts: nn.Module) -> None:
        super().__init__()
        self.times, self.left = times, times
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        x = self(self.lin(x)) if self.left else x
        self.left = self.times
        return x


def test_a_module_that_calls_itself():
    model = Again(3, lin=nn.Linear(4, 4))
    assert named(model) == ["", "lin", "", "lin", ""]
    assert named(nn.Sequential(nn.ReLU(), model)) == ["", "0", "1", "1.lin", "1", "1.lin", "1"]


def test_a_call_that_raised_and_was_caught():
    class Raises(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    def calls(own, x):
        try:
            own.bad(x)
        except ZeroDivisionError:
            x = own.good(x)
        return own.last(x)

    assert named(Wraps(calls, bad=Raises(), good=nn.ReLU(), last=nn.Tanh())) == ["", "bad", "good", "last"]


@pytest.mark.parametrize("seed", range(5))
def test_a_name_leads_to_its_module(seed):
    """`named` asks for it at each call."""
    plan, shape = random_shared(seed)
    stack = CallStack()
    model = plan.build().eval()
    found = []
    with hooked(model.modules(), lambda module, args, kwargs: found.append((stack.enter(module).path, module)),
                lambda module, args, kwargs, output: stack.leave(module)):
        model(torch.zeros(1, *shape))
    assert len(found) > 5 and all(model.get_submodule(path) is module for path, module in found)


def test_names_of_what_is_not_held():
    assert names_in(nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU())), nn.ReLU()) == []


def test_a_part_that_is_none_is_passed_over():
    model = Wraps(calls_lin, lin=nn.Linear(4, 4))
    model.register_module("none", None)
    assert named(model) == ["", "lin"]


# Hooks

def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hooks_are_gone_afterwards_whatever_happens():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    seen = []
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117 - what is inside is looked at
        with hooked(model.modules(), lambda module, args, kwargs: seen.append(module), lambda *call: seen.append(call[3])):
            assert hooks(model) == 6
            output = model(torch.zeros(1, 4))
            raise ZeroDivisionError
    assert hooks(model) == 0
    assert seen[:2] == [model, model[0]] and seen[-1] is output and len(seen) == 6
    with hooked(model[:1], after=lambda *call: None):
        assert (hooks(model), len(model[0]._forward_hooks)) == (1, 1)
    with watched(model, nn.ReLU, lambda *call: None):
        pass
    assert hooks(model) == 0


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_modules_that_refuse_hooks():
    model = nn.Sequential(nn.ReLU(), torch.jit.script(nn.Sequential(nn.ReLU())))
    with hooked(model.modules(), lambda *call: None):
        assert len(model[0]._forward_pre_hooks) == 1
        model(torch.zeros(1, 4))
    with pytest.raises((RuntimeError, TypeError)), hooked(model.modules(), after=lambda *call: None, strict=True):
        pass
    assert not model[0]._forward_hooks


def test_only_calls_of_a_kind_and_of_this_thread_are_watched():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    found = []
    with watched(model, nn.Linear, lambda path, module, output: found.append((path, module, tuple(output.shape)))):
        other = threading.Thread(target=model, args=(torch.zeros(5, 4),))
        other.start()
        other.join()
        model(torch.zeros(2, 4))
    assert found == [("0", model[0], (2, 4)), ("2", model[2], (2, 3))]
