"""What a race of optimizers costs: python -m benchmarks.optimizer_race [--rounds 20].

Five optimizers take 500 steps on each landscape, as the page lets them (core.labs.optimizer_race.race); beside it the same steps
with torch.optim's own objects and the same gradients. Also what one change of a control costs until the picture is ready to be
sent: race, map and loss curves as JSON. Aims: a race ≤ 100 ms, a new picture ≤ 150 ms.
"""

import argparse
import json
import time

import numpy as np
import torch

from benchmarks.conditions import conditions, spread
from core.figures import race as race_figures
from core.figures.building_blocks import ground, race_losses, race_map
from core.labs.optimizer_race import RACERS, RaceConfig, race
from core.labs.surfaces import SURFACES, Surface

FIVE = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
THEIRS = (
    lambda p, c: torch.optim.SGD([p], lr=c.learning_rate),
    lambda p, c: torch.optim.SGD([p], lr=c.learning_rate, momentum=c.momentum),
    lambda p, c: torch.optim.SGD([p], lr=c.learning_rate, momentum=c.momentum, nesterov=True),
    lambda p, c: torch.optim.RMSprop([p], lr=c.adaptive_rate),
    lambda p, c: torch.optim.Adam([p], lr=c.adaptive_rate),
)


def with_torch(surface: Surface, config: RaceConfig) -> list[np.ndarray]:
    """Where each of the five ends, stepped by torch.optim."""
    ends = []
    for make in THEIRS:
        point = torch.tensor([config.x, config.y], dtype=torch.float64)
        optimizer = make(point, config)
        for _ in range(config.steps):
            point.grad = torch.from_numpy(surface.gradient(point.numpy()[None])[0])
            optimizer.step()
        ends.append(point.numpy())
    return ends


def picture(surface: Surface, config: RaceConfig, landscape, animated: bool) -> int:
    """Bytes of what a page sends after a control has moved."""
    paths = race(surface, FIVE, config)
    titles = {name: RACERS[name].title for name in FIVE}
    points, losses = {path.racer: path.points for path in paths}, {path.racer: path.losses for path in paths}
    curves = race_losses(losses, titles, surface.lowest)
    if animated:
        runners = race_figures.racers(points, losses, titles)
        sent = json.dumps({"id": race_figures.name_of(landscape, runners), "ground": landscape, "racers": runners})
    else:
        sent = race_map(landscape, surface.minima, points, titles, surface.x, surface.y).to_json()
    return len(sent) + len(curves.to_json())


def timed(what, rounds: int) -> list[float]:
    """Milliseconds of each round, after one that is not counted."""
    what()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        what()
        times.append((time.perf_counter() - start) * 1000)
    return times


def measure(surface: Surface, rounds: int) -> None:
    """All figures of one landscape."""
    config = RaceConfig(learning_rate=surface.rates[0], adaptive_rate=surface.rates[1], steps=500, x=surface.start[0],
                        y=surface.start[1])
    grid = surface.grid()
    landscapes = {False: ground(grid.x, grid.y, grid.loss, surface.lowest),
                  True: race_figures.landscape(grid.loss, surface.lowest)}
    print(surface.title)
    print(f"  race         {spread(timed(lambda: race(surface, FIVE, config), rounds), 'ms', 0)}")
    print(f"  torch.optim  {spread(timed(lambda: with_torch(surface, config), 3), 'ms', 0)}")
    for animated, landscape in landscapes.items():
        times = timed(lambda animated=animated, landscape=landscape: picture(surface, config, landscape, animated), rounds)
        size = picture(surface, config, landscape, animated) / 1e3
        print(f"  {'animated' if animated else 'picture':<12} {spread(times, 'ms', 0)}; {size:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    print(conditions())
    print(f"5 optimizers × 500 steps ({', '.join(RACERS[name].title for name in FIVE)}), no noise")
    for make in SURFACES.values():
        measure(make(), args.rounds)


if __name__ == "__main__":
    main()
