"""The optimizer race against torch.optim, its landscapes against finite differences and the real network."""

import struct
import subprocess
import sys
from base64 import b64decode

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.figures.building_blocks import ground, race_losses, race_map
from core.figures.race import landscape, name_of, racers
from core.labs.optimizer_race import FAR, RACERS, RaceConfig, race, race_code
from core.labs.surfaces import GRID, SURFACES, Surface, trained_digits

FORMULAS = {
    "bowl": lambda p: 0.5 * p[0] ** 2 + 0.5 * p[1] ** 2,
    "ravine": lambda p: 0.5 * p[0] ** 2 + 12.5 * p[1] ** 2,
    "saddle": lambda p: 0.5 * p[0] ** 2 - 0.5 * p[1] ** 2 + 0.25 * p[1] ** 4,
    "rosenbrock": lambda p: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2,
}
MAKE = {
    "sgd": lambda p, c: torch.optim.SGD([p], lr=c.learning_rate),
    "momentum": lambda p, c: torch.optim.SGD([p], lr=c.learning_rate, momentum=c.momentum),
    "nesterov": lambda p, c: torch.optim.SGD([p], lr=c.learning_rate, momentum=c.momentum, nesterov=True),
    "adagrad": lambda p, c: torch.optim.Adagrad([p], lr=c.adaptive_rate),
    "rmsprop": lambda p, c: torch.optim.RMSprop([p], lr=c.adaptive_rate),
    "adam": lambda p, c: torch.optim.Adam([p], lr=c.adaptive_rate),
    "adamw": lambda p, c: torch.optim.AdamW([p], lr=c.adaptive_rate),
}


@pytest.fixture(scope="module")
def surfaces() -> dict[str, Surface]:
    return {name: make() for name, make in SURFACES.items()}


def from_start(surface: Surface, **changes) -> RaceConfig:
    values = {"learning_rate": surface.rates[0], "adaptive_rate": surface.rates[1], "x": surface.start[0], "y": surface.start[1]}
    return RaceConfig(**(values | changes))


def torch_path(name: str, surface_name: str, surface: Surface, config: RaceConfig) -> np.ndarray:
    """The plain loop, with autograd where there is a formula."""
    point = torch.tensor([config.x, config.y], dtype=torch.float64, requires_grad=True)
    optimizer = MAKE[name](point, config)
    noise = np.random.default_rng(config.seed).normal(size=(config.steps, 2)) * config.noise
    path = [point.detach().numpy().copy()]
    for step in range(config.steps):
        optimizer.zero_grad()
        if surface_name in FORMULAS:
            FORMULAS[surface_name](point).backward()
        else:
            point.grad = torch.from_numpy(surface.gradient(point.detach().numpy()[None])[0])
        point.grad += torch.from_numpy(noise[step])
        optimizer.step()
        path.append(point.detach().numpy().copy())
    return np.array(path)


def test_every_racer_has_an_outside_reference():
    assert set(MAKE) == set(RACERS)
    assert set(FORMULAS) | {"network"} == set(SURFACES)


@pytest.mark.parametrize("surface_name", SURFACES)
@pytest.mark.parametrize("name", RACERS)
def test_paths_are_torch_optims(surfaces, name, surface_name):
    surface = surfaces[surface_name]
    config = from_start(surface, steps=120, noise=0.05, seed=3)
    (path,) = race(surface, (name,), config)
    expected = torch_path(name, surface_name, surface, config)[:len(path.points)]
    assert len(path.points) > 20
    np.testing.assert_allclose(path.points, expected, atol=1e-6, rtol=1e-6)


def test_racers_together_go_where_they_go_alone(surfaces):
    config = from_start(surfaces["ravine"], steps=50, noise=1.0)
    together = race(surfaces["ravine"], tuple(RACERS), config)
    for path in together:
        np.testing.assert_array_equal(path.points, race(surfaces["ravine"], (path.racer,), config)[0].points)


def test_sgd_on_the_bowl_by_hand(surfaces):
    (path,) = race(surfaces["bowl"], ("sgd",), RaceConfig(learning_rate=0.5, x=2, y=-1, steps=3))
    np.testing.assert_allclose(path.points, [[2, -1], [1, -0.5], [0.5, -0.25], [0.25, -0.125]])
    np.testing.assert_allclose(path.losses, [2.5, 0.625, 0.15625, 0.0390625])


@pytest.mark.parametrize("name", SURFACES)
def test_gradients_against_finite_differences(surfaces, name):
    surface = surfaces[name]
    random = np.random.default_rng(0)
    points = np.stack([random.uniform(*surface.x, 40), random.uniform(*surface.y, 40)], axis=1) * 0.95
    step = 1e-5
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        slope = (surface.value(points + shift) - surface.value(points - shift)) / (2 * step)
        np.testing.assert_allclose(surface.gradient(points)[:, axis], slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SURFACES)
def test_minima_are_minima(surfaces, name):
    surface = surfaces[name]
    minima = np.array(surface.minima)
    np.testing.assert_allclose(surface.value(minima), surface.lowest, atol=1e-9)
    np.testing.assert_allclose(surface.gradient(minima), 0, atol=1e-4)
    assert surface.grid().loss.min() >= surface.lowest - 1e-9


def test_the_network_slice_is_the_networks_loss(surfaces):
    """Against a plain nn.Sequential with the moved weights, and the spline against the loss between its points."""
    plane = trained_digits()
    model = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10)).double()
    random = np.random.default_rng(0)
    points = random.uniform(-1.9, 1.9, size=(30, 2))
    for (x, y), loss in zip(points, plane.loss(points), strict=True):
        with torch.no_grad():
            for weight, center, across, up in zip(model.parameters(), plane.center, plane.across, plane.up, strict=True):
                weight.copy_(center + x * across + y * up)
            assert torch.nn.functional.cross_entropy(model(plane.images), plane.labels).item() == pytest.approx(loss, abs=1e-10)
    measured = plane.loss(points)
    assert np.abs(surfaces["network"].value(points) - measured).max() < 2e-3 * measured.max()
    assert GRID**2 == 1681


def test_directions_are_as_long_as_the_weights():
    plane = trained_digits()
    for center, across in zip(plane.center, plane.across, strict=True):
        if center.dim() == 2:
            torch.testing.assert_close(across.norm(dim=1), center.norm(dim=1))
        else:
            assert not across.any()


def test_a_diverged_path_ends_and_says_so(surfaces):
    (path,) = race(surfaces["bowl"], ("sgd",), RaceConfig(learning_rate=3.0, steps=500))  # doubles and turns each step
    assert np.abs(path.points).max() < FAR and np.isfinite(path.losses).all()
    assert 10 < len(path.points) < 30
    assert path.words.startswith(f"Diverged: more than a million away at step {len(path.points)}.")
    assert np.abs(path.points[-1] * -2).max() >= FAR  # the step that was not taken


def test_a_path_that_leaves_the_measured_area_says_so(surfaces):
    (path,) = race(surfaces["network"], ("sgd",), from_start(surfaces["network"], learning_rate=5.0))
    assert path.ended == "left the measured area at step 1" and len(path.points) == 1


@pytest.mark.parametrize(("config", "words"), [
    ({"learning_rate": 0.5}, "Arrived: 99.9 % of the way down for good from step 5."),  # 0.25^5 = 0.00098
    ({"learning_rate": 0.01, "steps": 10}, "On its way: 18.2 % of the way down."),  # 1 − 0.99^20 = 0.1821
    ({"learning_rate": 2.0, "steps": 10}, "Ended no lower than it started."),
])
def test_words_by_hand(surfaces, config, words):
    assert race(surfaces["bowl"], ("sgd",), RaceConfig(**config))[0].words == words


def test_the_prediction_on_the_page_is_right(surfaces):
    plain, momentum = race(surfaces["ravine"], ("sgd", "momentum"), from_start(surfaces["ravine"], steps=200))
    assert momentum.losses[-1] < plain.losses[-1]


def test_ravine_at_a_tenth_only_plain_sgd_diverges(surfaces):
    """What “try next” asks: 0.1 · 25 is above SGD's limit of 2, below momentum's 2 · 1.9."""
    ended = {path.racer: bool(path.ended) for path in race(surfaces["ravine"], ("sgd", "momentum", "adam"),
                                                           from_start(surfaces["ravine"], learning_rate=0.1, steps=500))}
    assert ended == {"sgd": True, "momentum": False, "adam": False}


def test_the_ridge_holds_until_there_is_noise(surfaces):
    quiet, = race(surfaces["saddle"], ("sgd",), from_start(surfaces["saddle"], y=0.0, steps=500))
    noisy, = race(surfaces["saddle"], ("sgd",), from_start(surfaces["saddle"], y=0.0, steps=500, noise=0.1))
    assert quiet.points[-1, 1] == 0 and quiet.losses[-1] > -0.01
    assert abs(abs(noisy.points[-1, 1]) - 1) < 0.2 and noisy.losses[-1] < -0.2


@pytest.mark.parametrize("bad", [{"learning_rate": 0}, {"learning_rate": float("nan")}, {"momentum": 1.0}, {"steps": 0},
                                 {"steps": 10**9}, {"noise": -1}, {"x": float("inf")}, {"speed": 1}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValidationError):
        RaceConfig(**bad)


def test_unknown_racers_and_impossible_starts(surfaces):
    with pytest.raises(KeyError):
        race(surfaces["bowl"], ("lion",), RaceConfig())
    with pytest.raises(ValueError, match="outside the measured area"):
        race(surfaces["network"], ("sgd",), RaceConfig(x=50))


@settings(max_examples=25)
@given(st.sampled_from(["bowl", "ravine", "saddle", "rosenbrock"]), st.floats(1e-4, 10), st.floats(0, 0.99), st.floats(0, 100),
       st.floats(-100, 100), st.floats(-100, 100))
def test_paths_are_always_numbers(name, rate, momentum, noise, x, y):
    surface = SURFACES[name]()
    config = RaceConfig(learning_rate=rate, adaptive_rate=rate, momentum=momentum, noise=noise, x=x, y=y, steps=40)
    for path in race(surface, tuple(RACERS), config):
        assert 1 <= len(path.points) <= 41 and len(path.points) == len(path.losses)
        assert np.isfinite(path.points).all() and np.isfinite(path.losses).all()
        assert (len(path.points) == 41) == (not path.ended) and path.words.endswith(".")


# --- figures and code


def test_the_map_shows_paths_up_to_a_step(surfaces):
    surface = surfaces["ravine"]
    paths = {path.racer: path.points for path in race(surface, ("sgd", "adam"), from_start(surface, steps=90))}
    titles = {name: RACERS[name].title for name in paths}
    grid = surface.grid(21)
    land = ground(grid.x, grid.y, grid.loss, surface.lowest)
    figure = race_map(land, surface.minima, paths, titles, surface.x, surface.y, upto=7)
    assert [trace.name for trace in figure.data[2:4]] == ["SGD", "Adam"]
    np.testing.assert_allclose(np.array(figure.data[2].x, float), paths["sgd"][:8, 0], atol=1e-5)
    np.testing.assert_allclose([figure.data[4].x[1], figure.data[4].y[1]], paths["adam"][7], atol=1e-5)


def test_a_race_is_sent_as_few_bytes():
    """By hand: heights are logarithms above the lowest, here of 1, 10, 100 and 1,000 thousandths of the difference, and more."""
    sent = landscape(np.array([[0.0, 9e-3], [99e-3, 1.0]]), 0.0)
    assert sent["side"] == 2 and list(b64decode(sent["bytes"])) == [0, 85, 170, 255]
    one, = racers({"adam": np.array([[1.0, -2.0], [0.5, 0.25]])}, {"adam": np.array([3.0, 1.5])}, {"adam": "Adam"})
    assert b64decode(one["points"]) == struct.pack("<4f", 1, -2, 0.5, 0.25)
    assert b64decode(one["losses"]) == struct.pack("<2f", 3, 1.5)
    assert name_of(sent, [one]) == name_of(dict(sent), [dict(one)]) != name_of(sent, [one | {"losses": one["points"]}])


def test_losses_on_a_logarithmic_axis_have_gaps_at_zero():
    figure = race_losses({"sgd": np.array([1.0, 0.5, 0.0])}, {"sgd": "SGD"}, 0.0)
    assert figure.data[0].y == (1.0, 0.5, None)


@pytest.mark.parametrize("name", ["ravine", "rosenbrock", "network"])
def test_the_code_runs_alone_and_ends_where_the_page_does(surfaces, name, tmp_path):
    surface = surfaces[name]
    config = from_start(surface, steps=60)
    racers = ("momentum", "adagrad", "adam") if name == "rosenbrock" else tuple(RACERS)
    script = tmp_path / "race.py"
    script.write_text(race_code(surface, racers, config), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    tolerance = 2e-2 if name == "network" else 2e-6  # the page goes over the spline, the code over the real loss
    for line, path in zip(printed, race(surface, racers, config), strict=True):
        title, _, rest = line.partition(": (")
        x, y = (float(number) for number in rest.split(")")[0].split(", "))
        assert title == RACERS[path.racer].title
        np.testing.assert_allclose([x, y], path.points[-1], atol=tolerance)
