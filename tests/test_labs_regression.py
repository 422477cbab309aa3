"""The labs on linear regression and on first networks: plain PyTorch, NumPy and the run itself as references."""

import contextlib
import io
from pathlib import Path as File

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.config import RunConfig
from core.data import load
from core.fields import ConfigError
from core.figures.first_networks import losses_figure
from core.figures.linear_regression import bowl_figure, predictions_figure, rates_figure, residuals_figure, weights_figure
from core.labs.first_networks import NOTES, FirstNetworkConfig, draw, network, network_code, run_config, walk
from core.labs.linear_regression import (
    TRUE,
    Path,
    bowl,
    configured,
    descend,
    ground,
    halving,
    regression_code,
    samples,
    start_of,
    steps_until_close,
)
from core.presets import PRESETS
from core.training import Step, fit, prepare

NOWHERE = File("no files needed")
PRESET = PRESETS["linear-regression"].config


@pytest.fixture(scope="module")
def lab():
    data = load(PRESET.data, NOWHERE)
    x, y = samples(data)
    return data, x, y, bowl(x, y), start_of(PRESET, data)


def run_code(text: str) -> dict:
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(text, names)
    return names


# --- linear regression

def test_the_bowl_is_the_loss(lab):
    _, x, y, surface, _ = lab
    for theta in (np.array([1.0, -2.0, 0.5]), np.array(TRUE)):
        expected = ((x @ theta[:2] + theta[2] - y) ** 2).mean()
        assert float(surface.loss(theta)) == pytest.approx(expected)
        given = torch.tensor(theta, requires_grad=True)
        F.mse_loss(torch.from_numpy(x) @ given[:2] + given[2], torch.from_numpy(y)).backward()
        assert surface.hessian @ theta - surface.linear == pytest.approx(given.grad.numpy())
    hessian = torch.autograd.functional.hessian(
        lambda given: F.mse_loss(torch.from_numpy(x) @ given[:2] + given[2], torch.from_numpy(y)), torch.zeros(3).double())
    assert surface.hessian == pytest.approx(hessian.numpy())
    rows = np.column_stack([x, np.ones(len(x))])
    assert surface.best == pytest.approx(np.linalg.solve(rows.T @ rows, rows.T @ y)), "the normal equations"
    assert surface.hessian @ surface.best == pytest.approx(surface.linear)


def test_the_notes_settings_end_near_the_truth(lab):
    *_, surface, start = lab
    path = descend(surface, start, 0.01, 1000)
    assert np.abs(path.points[-1] - TRUE).max() < 0.05 and not path.diverged
    until = steps_until_close(path)
    assert until and np.abs(path.points[until] - TRUE).max() <= 0.05 < np.abs(path.points[until - 1] - TRUE).max()
    assert 200 < until < 260, "the lab's question says about 230"


def test_the_path_is_the_runs(lab):
    data, _, _, surface, start = lab
    config = configured(PRESET, 0.1, 40, 100, 0.1, 0)
    _, model = prepare(config, NOWHERE)
    losses = [event.loss for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Step)]
    path = descend(surface, start, 0.1, 40)
    assert path.losses[:-1] == pytest.approx(losses, rel=1e-4)
    assert [*model[-1].weight[0].tolist(), model[-1].bias.item()] == pytest.approx(path.points[-1], abs=1e-5)


def test_the_presets_settings_are_the_preset():
    assert configured(PRESET, 0.01, 1000, 100, 0.1, 0) == PRESET
    with pytest.raises(ConfigError, match=r"training\.epochs is 0"):
        configured(PRESET, 0.01, 0, 100, 0.1, 0)
    with pytest.raises(ConfigError, match="plain SGD"):
        configured(RunConfig(), 0.01, 10, 100, 0.1, 0)


def test_the_limit_divides_what_converges_from_what_does_not(lab):
    *_, surface, start = lab
    assert surface.limit == pytest.approx(2 / np.linalg.eigvalsh(surface.hessian)[-1])

    def distance(share: float) -> float:
        return float(np.linalg.norm(descend(surface, start, share * surface.limit, 400).points[-1] - surface.best))

    begun = float(np.linalg.norm(start - surface.best))
    assert distance(0.98) < begun < distance(1.02)
    assert surface.shrink(surface.limit) == pytest.approx(1.0) and halving(surface, surface.limit * 1.01) is None
    assert surface.shrink(surface.fastest) < min(surface.shrink(surface.fastest * factor) for factor in (0.9, 1.1))
    steps = halving(surface, 0.01)
    assert steps and surface.shrink(0.01) ** steps == pytest.approx(0.5)


def test_a_diverging_path_ends_early(lab):
    *_, surface, start = lab
    path = descend(surface, start, 2.0, 1000)
    assert path.diverged and len(path.points) < 100 and np.isfinite(path.losses).all() and steps_until_close(path) is None


def test_steps_until_close_by_hand():
    points = np.array([[0.0, 0, 0], [1.0, 0, 0], [0.5, 0, 0], [1.0, 0, 0], [1.04, 0, 0]])
    assert steps_until_close(Path(points, np.zeros(5), False), 0.05, (1.0, 0.0, 0.0)) == 3
    assert steps_until_close(Path(points[:3], np.zeros(3), False), 0.05, (1.0, 0.0, 0.0)) is None
    assert steps_until_close(Path(points[3:], np.zeros(2), False), 0.05, (1.0, 0.0, 0.0)) == 0


@pytest.mark.parametrize("rate", [0.01, 2.0])
def test_pictures(lab, rate):
    _, x, y, surface, start = lab
    path = descend(surface, start, rate, 200)
    floor = ground(surface, path, 1.5, size=9)
    assert floor.loss[2, 5] == pytest.approx(float(surface.loss(np.array([floor.w1[5], floor.w2[2], 1.5]))))
    assert floor.w1[0] < surface.best[0] < floor.w1[-1] and floor.w2[0] < surface.best[1] < floor.w2[-1]
    last = len(path.points) - 1
    now = bowl_figure(floor, path, surface, last).data[3]
    assert abs(now.x[0]) <= 1e3 and (rate == 2.0 or now.x[0] == pytest.approx(path.points[-1, 0]))
    assert [trace.name for trace in weights_figure(path, last).data] == ["w₁", "w₂", "b"]
    assert len(predictions_figure(y, y).data[1].x) == len(residuals_figure(y, y).data[0].x) == 100
    assert min(rates_figure({"a": path}, float(surface.loss(surface.best))).data[0].y) > 0


@pytest.mark.parametrize(("rate", "steps", "points", "noise", "seed"), [(0.01, 1000, 100, 0.1, 0), (0.3, 15, 20, 0.5, 7)])
def test_regression_code_runs_alone_and_agrees(rate, steps, points, noise, seed):
    config = configured(PRESET, rate, steps, points, noise, seed)
    data = load(config.data, NOWHERE)
    surface = bowl(*samples(data))
    path = descend(surface, start_of(config, data), rate, steps)
    names = run_code(regression_code(config))
    assert [*names["model"].weight[0].tolist(), names["model"].bias.item()] == pytest.approx(path.points[-1], abs=1e-4)
    assert names["best"].tolist() == pytest.approx(surface.best, abs=1e-4)
    assert 2 / torch.linalg.eigvalsh(names["hessian"]).max().item() == pytest.approx(surface.limit, rel=1e-4)


# --- first networks

OTHERS = [FirstNetworkConfig(hidden=3, learning_rate=1.0, epochs=23, seed=4),
          FirstNetworkConfig(system="circle-2d", hidden=7, learning_rate=0.3, epochs=31, seed=2),
          FirstNetworkConfig(system="toy-2-2-1", hidden=5, learning_rate=0.02, epochs=30, seed=3)]


@pytest.mark.parametrize("config", [*NOTES.values(), *OTHERS], ids=lambda config: f"{config.system}-{config.seed}")
def test_the_walk_is_the_script_and_the_run(config):
    found, names = walk(config), run_code(network_code(config))
    assert list(found.losses) == pytest.approx(names["losses"], abs=1e-7)
    assert found.new_losses[-1] == pytest.approx(names["loss_new"].item(), abs=1e-7)
    if config.system == "toy-2-2-1":
        assert found.right is found.new_right is None and "right" not in names
    else:
        assert (found.right, found.new_right) == pytest.approx((names["right"].item(), names["right_new"].item()))
    run = run_config(PRESETS[config.system].config, config)
    data, model = prepare(run, NOWHERE)
    losses = [event.loss for event in fit(run, data, model, torch.device("cpu")) if isinstance(event, Step)]
    assert list(found.losses) == pytest.approx(losses, abs=1e-5)
    assert found.looks[0] == 0 and found.looks[-1] == config.epochs and len(found.looks) == len(found.new_losses) <= 32
    assert len(losses_figure(found).data[0].y) == config.epochs


@pytest.mark.parametrize("config", [*NOTES.values(), *OTHERS], ids=lambda config: f"{config.system}-{config.seed}")
def test_each_lines_values_are_those_of_the_line(config):
    """The lines, run one after the other as they are shown, make what is shown."""
    names: dict = {}
    exec("import torch\nfrom torch import nn", names)
    for line in walk(config).lines[:-1]:
        before = names["model"][2].weight.detach().clone() if "model" in names else None
        if line.code.startswith("model ="):
            exec(f"torch.manual_seed({config.seed})", names)  # the script seeds again before the weights
        exec(line.code, names)
        for name, value in line.shown.items():
            if name.startswith("after model["):
                made = names["x"]
                for layer in names["model"][:int(name[12]) + 1]:
                    made = layer(made)
            elif name.endswith(" before"):
                made = before
            else:
                made = eval(name.removesuffix(" after"), names)
            assert made.shape == value.shape and torch.allclose(made, value, atol=1e-7), (line.code, name)
    assert [line.code.split("(")[0].split(" =")[0] for line in walk(config).lines] == [
        "torch.manual_seed", "x", "y", "model", "criterion", "optimizer", "prediction", "loss", "optimizer.zero_grad",
        "loss.backward", "optimizer.step", "loss_new"]


def test_the_presets_are_the_notes():
    for name, config in NOTES.items():
        assert run_config(PRESETS[name].config, config) == PRESETS[name].config


def test_random_answers_are_memorised_and_no_more():
    found = walk(FirstNetworkConfig(learning_rate=3.0, epochs=400))
    assert found.right == 1.0 and found.losses[-1] < 0.01
    assert 0.4 < found.new_right < 0.6 and found.new_losses[-1] > 0.25, "always saying 0.5 would be better"
    ruled = walk(FirstNetworkConfig(system="circle-2d", hidden=8, learning_rate=1.0, epochs=400))
    assert ruled.new_right > 0.85 and ruled.new_losses[-1] < ruled.new_losses[0] / 2


def test_new_samples_are_new_and_no_random_state_is_used():
    for config in NOTES.values():
        state = torch.get_rng_state()
        (x, y), (new_x, new_y) = draw(config), draw(config, 500)
        network(config)
        walk(config.model_copy(update={"epochs": 2}))
        assert torch.equal(state, torch.get_rng_state())
        assert len(new_x) == len(new_y) == 500 and y.shape == (len(x), 1)
        assert not (new_x[:, None] == x[None]).all(2).any()
    assert isinstance(network(NOTES["circle-2d"])[3], nn.Sigmoid)
