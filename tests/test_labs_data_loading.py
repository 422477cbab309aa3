"""What the lab on data loading calculates, held to the assembled programs themselves, torch.utils.data and plain PyTorch."""

import contextlib
import io
import itertools
import json
import linecache
import os
import random
import re
import subprocess
import sys
import traceback

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader

from core.figures.data_loading import batches_figure, compared_figure, learning_figure, timeline_figure, timing_figure
from core.labs import data_folder, data_loading, data_transforms, dataset_choices, loader_timeline, loader_timing
from core.labs.data_folder import items, picture_of, write_folder
from core.labs.data_loading_code import concat_code, loader_code
from core.labs.dataset_choices import LINES, RIGHT, TUTORIAL, class_code, program, run
from core.labs.dataset_faults import FAULTS, decoders_load, faults
from core.labs.loader_timing import Timing, TimingFailed, verdict
from core.torchvision_guard import torchvision

ALL = list(itertools.product(*(line.options for line in LINES.values())))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the lab's folder in it."""
    place = tmp_path_factory.mktemp("labs")
    write_folder(place)
    return place


@pytest.fixture(scope="module")
def truth():
    return items()


def picked(combination) -> dict[str, str]:
    return dict(zip(LINES, combination, strict=True))


def executed(code: str, place) -> tuple[list[str], BaseException | None]:
    """What a script prints when it is run in this folder, and the error that ends it."""
    printed = io.StringIO()
    linecache.cache["own_dataset.py"] = (len(code), None, code.splitlines(True), "own_dataset.py")
    with contextlib.chdir(place), contextlib.redirect_stdout(printed), torch.random.fork_rng(devices=[]):
        try:
            exec(compile(code, "own_dataset.py", "exec"), {"__name__": "__main__"})
        except Exception as error:
            return printed.getvalue().splitlines(), error
    return printed.getvalue().splitlines(), None


# --- the folder


def test_the_folder_is_what_the_scripts_make(root, tmp_path):
    executed(data_folder.script_head("from torchvision.transforms import ToTensor"), tmp_path)
    ours, theirs = (sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())
                    for place in (root, tmp_path))
    assert ours == theirs and len(ours) == 51
    for path in ours:
        assert (root / path).read_bytes() == (tmp_path / path).read_bytes(), path


def test_the_folder_holds_scikit_learns_digits_sorted_by_class(truth):
    digits = load_digits()
    assert [item.label for item in truth] == [label for label in range(10) for _ in range(5)]
    for item in truth:
        same = (abs(digits.images * 255 / 16 - item.pixels[0].numpy()) <= 0.5).all((1, 2))
        assert item.label in digits.target[same]
    assert len({item.pixels.numpy().tobytes() for item in truth}) == 50  # so that a sample can be told by its pixels


def test_a_folder_that_was_changed_is_mended(tmp_path, truth):
    write_folder(tmp_path)
    (tmp_path / "digits/labels.csv").write_text("nothing", encoding="utf-8")
    (tmp_path / "digits/images/img_07.png").unlink()
    write_folder(tmp_path)
    assert run(RIGHT, tmp_path, truth).right
    assert data_folder.first_lines(truth).splitlines()[0] == "img_00.png,0" and "img_49.png" in data_folder.tree(truth)


# --- lines of a Dataset


def test_every_combination_is_right_or_says_what_is_wrong(root, truth):
    """By the run itself and by the table of faults: both say the same of all 5,184."""
    decoders, seen = decoders_load(), set()
    for combination in ALL:
        outcome = run(picked(combination), root, truth)
        assert outcome.right == (not faults(picked(combination), decoders)), combination
        assert outcome.right or (outcome.why and (outcome.stop or outcome.found)), combination
        assert not (outcome.stop and (outcome.found or str(root) in outcome.stop.text())), combination
        seen |= set(outcome.why)
    reachable = {fault.text for fault in FAULTS if any(fault.there(picked(combination), decoders) for combination in ALL)}
    assert seen == reachable and len(ALL) == 5184


def test_where_torchvisions_decoders_load_they_are_as_right_as_pillow(root, truth, monkeypatch):
    def decode(path):
        if isinstance(path, torch.Tensor):
            return path
        try:
            return torchvision.transforms.PILToTensor()(Image.open(path))
        except FileNotFoundError as error:
            raise RuntimeError(str(error)) from None

    monkeypatch.setattr(torchvision.io, "decode_image", decode)
    assert decoders_load()
    for combination in ALL:
        if combination[3] == "decode" and combination[1] in ("rows", "columns"):
            outcome = run(picked(combination), root, truth)
            assert outcome.right == (not faults(picked(combination), True)), combination
            assert outcome.right or outcome.why, combination
    assert run(RIGHT | {"image": "decode", "transform": "convert"}, root, truth).right


def near_and_far() -> list[dict[str, str]]:
    """The right lines and the tutorials', each with one line exchanged, and sixty combinations at random."""
    single = [start | {name: option} for start in (RIGHT, TUTORIAL, RIGHT | {"read": "names", "label": "named"})
              for name, line in LINES.items() for option in line.options]
    return single + [picked(combination) for combination in random.Random(0).sample(ALL, 60)]


def test_what_is_said_is_what_the_program_itself_prints_and_raises(root, truth):
    """The assembled text, run, against the functions that stand in for it: output, error, and the lines it went through."""
    for choice in near_and_far():
        outcome = run(choice, root, truth)
        printed, error = executed(program(choice), root)
        assert printed[:2] == list(outcome.printed[:2]), choice  # the third is the loss of random weights
        assert (error is None) == (outcome.stop is None), (choice, error)
        if outcome.stop:
            assert (type(error).__name__, str(error)) == (outcome.stop.kind, outcome.stop.message), choice
            frames = [(frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(error.__traceback__)
                      if frame.filename == "own_dataset.py"]
            assert frames == list(outcome.stop.frames), choice


@pytest.mark.skipif(decoders_load(), reason="torchvision reads image files here")
def test_read_image_would_be_refused_like_decode_image(root):
    """As the line about missing decoders says."""
    said = []
    for read in (torchvision.io.decode_image, torchvision.io.read_image):
        with pytest.raises(RuntimeError) as caught:
            read(str(root / "digits/images/img_00.png"))
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_the_header_trap_loses_the_first_image_without_an_error(root, truth):
    outcome = run(TUTORIAL, root, truth)
    assert outcome.stop is None and outcome.length == 49 and not outcome.right
    assert outcome.found == ("len(dataset) is 49, but the CSV has 50 lines.", "img_00.png is never asked for.")
    assert torch.equal(outcome.samples[0].pixels, truth[1].pixels)


def test_neighbours_labels_are_found_where_nothing_is_raised(root, truth):
    """Two samples only, so that neither reaches the end of the table; the fifth image's neighbour has another label."""
    shifted = RIGHT | {"label": "next", "length": "columns"}
    assert run(shifted, root, truth).why[-1].startswith("With idx + 1 every image gets")
    trail = dataset_choices._Trail(got=[(item.pixels, other.label) for item, other in itertools.pairwise(truth)], length=49)
    assert "dataset[4] pairs img_04.png with the label 1; the CSV says 0." in dataset_choices._compare(trail, truth)
    moved = dataset_choices._Trail(got=[(truth[i].pixels, truth[i].label) for i in (1, 0, *range(2, 50))], length=50)
    assert dataset_choices._compare(moved, truth) == ["dataset[0] is img_01.png; line 0 of the CSV names img_00.png."]


def test_a_line_that_was_not_chosen_is_a_placeholder_and_does_not_run(root, truth):
    assert class_code({}).count("...  # choose this line") == 6
    compile(program({}), "own_dataset.py", "exec")
    with pytest.raises(KeyError):
        run({name: option for name, option in RIGHT.items() if name != "give"}, root, truth)
    with pytest.raises(KeyError):
        run(RIGHT | {"give": "something else"}, root, truth)


def test_the_finished_program_runs_alone(root, truth, tmp_path):
    """As a person would: python own_dataset.py in an empty folder."""
    choice = RIGHT | {"read": "names", "image": "tensor", "label": "named", "transform": "convert"}
    (tmp_path / "own_dataset.py").write_text(program(choice), encoding="utf-8")
    done = subprocess.run([sys.executable, "own_dataset.py"], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8",
                          env={**os.environ, "PYTHONPATH": ""}, check=False)
    assert done.returncode == 0, done.stderr
    outcome = run(choice, root, truth)
    assert outcome.right and done.stdout.splitlines()[:2] == list(outcome.printed[:2])
    assert re.fullmatch(r"tensor\(\d\.\d+, grad_fn=<NllLossBackward0>\)", done.stdout.splitlines()[2])


# --- transforms


def test_every_order_of_steps_is_torchvisions_own_or_its_refusal(truth):
    image = picture_of(truth[15])
    steps = {"to_tensor": torchvision.transforms.ToTensor(), "pil_to_tensor": torchvision.transforms.PILToTensor(),
             "convert": torchvision.transforms.ConvertImageDtype(torch.float32),
             "normalize": torchvision.transforms.Normalize((0.25,), (2.0,)), "invert": lambda x: 1 - x}
    assert set(steps) == set(data_transforms.STEPS)
    orders = [order for count in range(6) for order in itertools.permutations(steps, count)]
    assert len(orders) == 326
    for order in orders:
        way = data_transforms.through(image, order, 0.25, 2.0)
        value, error = image, None
        try:
            for name in order:
                value = steps[name](value)
        except (TypeError, ValueError) as raised:
            error = f"{type(raised).__name__}: {raised}"
        assert way.error == (error or ""), order
        assert bool(way.about) == bool(error or not isinstance(value, torch.Tensor) or value.dtype == torch.uint8
                                       or way.about.startswith("In uint8")), order
        last = way.stages[-1]
        if isinstance(value, torch.Tensor):
            assert (last.low, last.high) == (value.float().min().item(), value.float().max().item()), order
            assert last.shape == str(tuple(value.shape)) and last.dtype == str(value.dtype).removeprefix("torch."), order


def test_inverting_in_uint8_goes_around_and_is_said_even_if_made_float_later(truth):
    for order in (("pil_to_tensor", "invert"), ("pil_to_tensor", "invert", "convert")):
        assert data_transforms.through(picture_of(truth[0]), order).about.startswith("In uint8 there is nothing below 0")
    assert (1 - torch.tensor([255], dtype=torch.uint8)).item() == 2  # as the line says
    assert not data_transforms.through(picture_of(truth[0]), ("pil_to_tensor", "convert", "invert")).about


def test_a_standard_deviation_of_zero_is_refused_and_explained(truth):
    way = data_transforms.through(picture_of(truth[0]), data_transforms.USUAL, 0.5, 0.0)
    assert way.error.startswith("ValueError: std evaluated to zero") and "0" in way.about and way.stopped.startswith("Normalize")


def test_the_question_about_normalize_is_answered_rightly():
    white = data_transforms.through(Image.new("L", (1, 1), 255), data_transforms.USUAL)
    black = data_transforms.through(Image.new("L", (1, 1), 0), data_transforms.USUAL)
    assert (white.stages[-1].high, black.stages[-1].low) == (1.0, -1.0)


@pytest.mark.parametrize("label", range(-1, 13))
@pytest.mark.parametrize("name", data_transforms.TARGETS)
def test_labels_are_one_hot_or_refused(label, name):
    found = data_transforms.transformed(label, name)
    if not 0 <= label <= 9:
        assert found.error and f"{label} is none of them" in found.about and found.loss is None
        assert ("count from 1" in found.about) == (label == 10) and data_transforms.scatter_steps(label) is None
        return
    # − log softmax, in float64 by hand
    logits = torch.tensor(data_transforms.LOGITS, dtype=torch.float64)
    loss = (logits.exp().sum().log() - logits[label]).item()
    assert found.index_loss == pytest.approx(loss, abs=1e-6)
    if name == "one_hot":
        assert "Long" in found.error and ".float()" in found.about
    else:
        assert found.loss == pytest.approx(loss, abs=1e-6) and not found.error
    if name != "none":
        assert found.value.tolist() == F.one_hot(torch.tensor(label), 10).tolist()
    assert data_transforms.scatter_steps(label)[1].tolist() == [float(place == label) for place in range(10)]


@pytest.mark.parametrize("target", ["none", "scatter", "one_hot_float"])
def test_the_script_of_transforms_prints_what_the_page_shows(target, tmp_path, truth):
    names = ("pil_to_tensor", "convert", "invert", "normalize") if target == "scatter" else ("to_tensor",)
    printed, error = executed(data_transforms.transforms_code(names, 0.25, 2.0, target, 7, "img_15.png"), tmp_path)
    last = data_transforms.through(picture_of(truth[15]), names, 0.25, 2.0).stages[-1]
    assert error is None
    assert printed[0] == f"image: torch.Size([1, 8, 8]) torch.float32 {last.low:.4f} to {last.high:.4f}"
    assert printed[-1] == f"loss: {data_transforms.transformed(7, target).loss:.6f}"


# --- batches


@pytest.mark.parametrize("size", [1, 8, 25, 50, 64])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
def test_batches_are_a_dataloaders(truth, size, shuffle, drop_last):
    loader = DataLoader(range(50), size, shuffle=shuffle, drop_last=drop_last, generator=torch.Generator().manual_seed(3))
    found = data_loading.epochs(truth, size, shuffle, drop_last, 3)
    assert [[list(batch) for batch in epoch.batches] for epoch in found] == [[batch.tolist() for batch in loader] for _ in "12"]
    for epoch in found:
        assert len(epoch.batches) == (50 // size if drop_last else -(-50 // size))
        assert len(epoch.dropped(50)) == (50 % size if drop_last else 0)
        assert epoch.shape == (min(size, 50) if epoch.batches else 0, 1, 8, 8)
    assert (found[0] == found[1]) == (not shuffle or not found[0].batches)
    with pytest.raises(ValueError):
        data_loading.epochs(truth, 0, shuffle, drop_last)


def test_the_question_about_batches_is_answered_rightly(truth):
    (epoch,) = data_loading.epochs(truth, 8, False, False, count=1)
    assert len(epoch.batches) == 7 and len(epoch.batches[-1]) == 2


def test_shuffle_off_forgets_and_the_script_says_the_same(truth, tmp_path):
    """Batches and both trainings of the script, which is plain PyTorch, against the product's own step."""
    printed, error = executed(loader_code(8, True, True, 5), tmp_path)
    assert error is None and printed[0] == "6 batches"
    labels = [[truth[index].label for index in batch] for epoch in data_loading.epochs(truth, 8, True, True, 5)
              for batch in epoch.batches]
    assert [json.loads(line.rpartition(") ")[2]) for line in printed[1:13]] == labels
    on, off = (data_loading.learning(shuffle) for shuffle in (True, False))
    for found, line in ((on, printed[13]), (off, printed[14])):
        assert found.of_epochs() == pytest.approx(json.loads(line.partition(": ")[2]), abs=1.5 / 360)
        assert len(found.accuracies) == 10 * found.steps_per_epoch == 450 and sum(found.answers) == sum(found.truth) == 360
    assert on.of_epochs()[-1] > 0.9 and off.of_epochs()[-1] < 0.5
    assert sum(off.answers[-3:]) > 0.6 * 360 > 2 * sum(on.answers[-3:])  # "mostly the classes that came last"


def test_nothing_touches_pytorchs_random_state(truth, root):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    run(RIGHT, root, truth)
    data_loading.epochs(truth, 8, True, False)
    data_loading.few_images(data_loading.augmented_set(truth, "noise"), 0)
    data_loading.look_up(ConcatDataset([data_loading.augmented_set(truth, "turn")]), 3)
    assert torch.equal(torch.get_rng_state(), before)


# --- joined sets


def test_an_index_of_the_joined_set_is_the_first_parts_or_the_seconds(truth):
    joined = ConcatDataset([data_loading.plain_set(truth), data_loading.augmented_set(truth, "mirror")])
    expected = [(0, index) for index in range(50)] + [(1, index) for index in range(50)]
    for index in range(-100, 100):
        found = data_loading.look_up(joined, index)
        assert (found.part, found.inner) == expected[index] and found.label == truth[found.inner].label
        pixels = truth[found.inner].pixels.float() / 255
        assert torch.equal(found.image, pixels.flip(-1) if found.part else pixels)
    for index in (100, 101):
        assert data_loading.look_up(joined, index).error.startswith("IndexError: ")
    assert data_loading.look_up(joined, -101).error.startswith("ValueError: ")


@pytest.mark.parametrize("name", data_loading.AUGMENTATIONS)
def test_an_augmented_copy_is_drawn_anew_unless_it_is_mirrored(name, truth):
    joined = ConcatDataset([data_loading.augmented_set(truth, name)])
    images = [data_loading.look_up(joined, 7, seed).image for seed in range(6)]
    assert all(image.shape == (1, 8, 8) and 0 <= image.min() <= image.max() <= 1 for image in images)
    assert all(torch.equal(image, images[0]) for image in images) == (name == "mirror")


@pytest.mark.parametrize("name", ["turn", "noise"])
def test_the_script_of_joined_sets_trains_as_the_page_does(name, truth, tmp_path):
    printed, error = executed(concat_code(name), tmp_path)
    assert error is None and printed[0] == "50 + 50 = 100 samples; the parts end at [50, 100]"
    for line, found in zip(printed[1:], data_loading.compare(truth, name, seeds=1), strict=True):
        assert float(line.split()[-1]) == pytest.approx(found.mean, abs=1.5 / 1747), line


def test_the_question_about_mirrored_copies_is_answered_rightly(truth):
    compared = data_loading.compare(truth, "mirror", seeds=2)
    assert [found.samples for found in compared] == [50, 100, 100]
    assert data_loading.judged(compared).startswith("It did harm with every seed")


def compared(*accuracies: tuple[float, ...]) -> list[data_loading.Compared]:
    return [data_loading.Compared(title, 50, values) for title, values in zip(("one", "two", "three"), accuracies, strict=True)]


@pytest.mark.parametrize(("joined", "said"), [
    ((0.8, 0.9), "It helped with every seed: +10.0"), ((0.6, 0.7), "It did harm with every seed: -10.0"),
    ((0.8, 0.7), "It was better with 1 and worse with 1 of 2 seeds: +0.0"),
    ((0.7, 0.9), "It was better with 1 and worse with 0 of 2 seeds: +5.0")])
def test_the_verdict_goes_seed_by_seed(joined, said):
    assert data_loading.judged(compared((0.1, 0.1), (0.7, 0.8), joined)).startswith(said)


# --- workers


def test_loading_is_measured_in_a_child_process():
    timings = loader_timing.measure(share=0.02)
    workers = loader_timing.workers_to_try(loader_timing.usable_cores())
    assert [(timing.kind, timing.workers) for timing in timings] == [(kind, n) for kind in loader_timing.KINDS for n in workers]
    assert all(0 < timing.first <= timing.seconds for timing in timings)
    assert loader_timing.workers_to_try(1) == loader_timing.workers_to_try(2) == [0, 1, 2]
    assert loader_timing.workers_to_try(4) == [0, 1, 2, 4]


def test_what_keeps_it_from_measuring_is_one_line(monkeypatch):
    def late(*arguments, **options):
        raise subprocess.TimeoutExpired("python", 120)

    for replacement, line in ((lambda *a, **o: 3, "exit code 3"), (late, "longer than 120 s"), (lambda *a, **o: 0, "be read")):
        monkeypatch.setattr(loader_timing, "run", replacement)
        with pytest.raises(TimingFailed, match=line) as caught:
            loader_timing.measure()
        assert "\n" not in str(caught.value)


def test_the_verdict_on_workers_is_the_fastest_beside_none():
    timings = [Timing("small", 0, 1.0, 0.1), Timing("small", 1, 3.0, 0.1), Timing("small", 2, 2.0, 0.1),
               Timing("photographs", 0, 3.0, 0.1), Timing("photographs", 2, 1.5, 0.1),
               Timing("alike", 0, 1.05, 0.1), Timing("alike", 1, 2.0, 0.1), Timing("alike", 2, 1.0, 0.1)]
    assert verdict(timings, "small").startswith("Fastest without workers: with 2 it takes 2.0 times as long.")
    assert verdict(timings, "photographs") == "Fastest with 2: 2.0 times as fast as without workers."
    assert verdict(timings, "alike") == "No difference to speak of: 1.05 s without workers, 1.00 s with 2."


@pytest.mark.parametrize(("load", "train", "workers", "batches", "total", "waiting"), [
    (30, 10, 0, 4, 160, 0),  # four times 30 + 10
    (30, 10, 1, 4, 130, 90),  # ready at 30, 60, 90 and 120, and 10 more; waits 30 and three times 20
    (30, 10, 2, 4, 80, 40),  # two ready at 30, two at 60; waits 30, 0, 10, 0
    (30, 10, 4, 4, 70, 30),  # all ready at 30
    (10, 30, 1, 4, 130, 10),  # ready at 10, 20, then 20 and 50 at the earliest: only the first is waited for
    (10, 30, 4, 4, 130, 10),  # so more workers save nothing
])
def test_the_timeline_is_what_one_counts_on_paper(load, train, workers, batches, total, waiting):
    found = loader_timeline.timeline(load, train, workers, batches)
    assert (found.total, found.waiting) == (total, waiting)
    for what in ("load", "train"):
        assert sorted(span.batch for span in found.spans if span.what == what) == list(range(batches))
    for row in range(workers + 1):  # nobody does two things at once
        spans = sorted((span.start, span.end) for span in found.spans if span.row == row)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_no_worker_runs_further_ahead_than_two_batches():
    """Loading takes no time to speak of, so batches are made as soon as they are asked for: 2 · 2, then one for each taken."""
    found = loader_timeline.timeline(1, 100, 2, 7)
    loaded = {span.batch: span.start for span in found.spans if span.what == "load"}
    assert loaded == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 101, 6: 201}  # batch 0 is taken when it is there, at 1, batch 1 at 101
    loader = DataLoader(range(4), num_workers=1)
    assert loader.prefetch_factor == loader_timeline.PREFETCH


# --- pictures


def test_pictures_show_the_numbers(truth):
    (epoch,) = data_loading.epochs(truth, 8, True, True, count=1)
    drawn = batches_figure(epoch, [item.label for item in truth]).data[0]
    assert [[int(text) for text in row] for row in drawn.text] == [list(batch) for batch in epoch.batches]
    assert [list(row) for row in drawn.z] == [[truth[index].label for index in batch] for batch in epoch.batches]
    found = data_loading.Learning((0.1, 0.5), 1, (1, 2), (2, 1))
    assert [list(line.y) for line in learning_figure(found, found).data] == [[0.1, 0.5]] * 2
    assert [list(line.x) for line in compared_figure(compared((0.1,), (0.2,), (0.3,))).data] == [[0.1], [0.2], [0.3]]
    first, rest = timing_figure([Timing("small", 0, 1.0, 0.25)]).data
    assert (list(first.x), list(rest.x)) == ([0.25], [0.75])
    load, train = timeline_figure(loader_timeline.timeline(30, 10, 1, 2)).data
    assert (list(load.base), list(load.x), list(load.y)) == ([0, 30], [30, 30], ["worker 1"] * 2)
    assert (list(train.base), list(train.x), list(train.y)) == ([30, 60], [10, 10], ["training"] * 2)
