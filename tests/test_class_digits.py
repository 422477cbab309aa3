"""core/lessons/class_digits, class_sets: what a class draws into one set, whose it is, and what is trained on."""

import inspect
import io
import multiprocessing
import sqlite3
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from core.actors import EVERYBODY, LOCAL, Actor
from core.data import DataDamaged, DataError, DataMissing, available, import_images, load
from core.data.own.sets import delete_set, own_sets, read_arrays, read_set
from core.inspection.doctor import diagnose
from core.lessons import Lesson, LessonError, Step, class_digits, class_sets, delete_lesson, keep_lesson
from core.lessons.class_digits import DIGITS, ClassDigits, NotYourClass, NotYourDrawing, file_of, next_digit
from core.lessons.class_sets import FEWEST, delete_with_digits, hands, set_of, train_config
from core.runs.deleting import delete_run
from core.settings import Settings
from tests.helpers import PATIENCE, run_here, tiny

ANN, BEN, TEACHER = Actor("a" * 32, "visitor"), Actor("b" * 32, "visitor"), Actor("c" * 32, "teacher")
LESSON = Lesson(title="Draw", steps=(Step(page="collect_digits"), Step(page="train_model")))


def nothing_uses(name: str) -> bool:
    return False


def picture(digit: int, number: int = 0) -> torch.Tensor:
    """(1, 28, 28) a drawing like no other: `number` is written into its last row."""
    image = torch.zeros(1, 28, 28)
    image[0, 4:24, 4 + digit:8 + digit] = 1.0
    image[0, 27, :16] = torch.tensor([float(number >> bit & 1) for bit in range(16)])
    return image


@pytest.fixture
def code(tmp_path) -> str:
    """A lesson of the teacher's."""
    return keep_lesson(LESSON, tmp_path / "runs", TEACHER)


@pytest.fixture
def of(tmp_path, code):
    """The class's digits as somebody may use them."""
    return lambda actor, **more: ClassDigits(code, tmp_path / "data", tmp_path / "runs", actor, **more)


def fill(digits: ClassDigits, count: int) -> list[int]:
    """So many drawings, as they are asked for."""
    numbers = []
    for _ in range(count):
        digit, place = digits.next_digit(), sum(digits.counts().every)
        numbers.append(digits.add(picture(digit, place), digit))
    return numbers


# --- drawings, and whose they are

def test_a_drawing_is_its_pupils_own(of):
    ann, ben = of(ANN), of(BEN)
    first, second = ann.add(picture(7), 7), ben.add(picture(1), 1)
    assert ann.mine().numbers.tolist() == [first] and ben.mine().labels.tolist() == [1]
    assert torch.equal(ann.mine().images, (picture(7) * 255).to(torch.uint8)[None])
    assert ann.counts().every == (0, 1, 0, 0, 0, 0, 0, 1, 0, 0) and ann.counts().mine[7] == 1 == ben.counts().mine[1]
    assert ann.counts().pupils == 2 and sum(ann.counts().mine) == 1
    with pytest.raises(NotYourDrawing):
        ben.take_back(first)
    ann.take_back(first)
    ann.take_back(first)  # a second press
    assert sum(ben.counts().every) == 1 and ben.mine().numbers.tolist() == [second]


def test_a_number_is_never_used_again(of):
    last = of(ANN).add(picture(0), 0)
    of(ANN).take_back(last)
    assert of(BEN).add(picture(0), 0) > last


def test_only_whoever_made_the_lesson_or_the_teacher_looks_through_all(of, tmp_path):
    number = of(ANN).add(picture(7), 7)
    of(BEN).add(picture(1), 1)
    for forbidden in (lambda: of(BEN).everything(), lambda: of(BEN).remove([number]), lambda: of(BEN).zip_file()):
        with pytest.raises(NotYourClass):
            forbidden()
    assert not of(BEN).may_clean and sum(of(BEN).counts().every) == 2
    for actor in (TEACHER, LOCAL, Actor("d" * 32, "teacher")):
        assert of(actor).may_clean and of(actor).everything().pupils.tolist() == [1, 2]
    assert of(LOCAL).remove([number, number, 999]) == 1 and of(ANN).mine().numbers.tolist() == []
    hers = ClassDigits(keep_lesson(LESSON, tmp_path / "runs", ANN), tmp_path / "data", tmp_path / "runs", ANN)
    assert hers.may_clean, "a visitor's own lesson"


def test_no_answer_holds_a_key(of):
    fill(of(ANN), 3)
    said = repr([of(TEACHER).everything().__dict__, of(BEN).counts(), of(BEN).mine().__dict__, of(ANN).__dict__.keys()])
    assert ANN.key not in said and ANN.key.encode() not in of(TEACHER).zip_file()


RULES = {  # every method: who it is for
    "anybody who has the code": {"add", "counts", "next_digit", "path", "may_clean"},
    "one's own": {"mine", "take_back"},
    "the teacher's": {"everything", "remove", "zip_file"},
}


def test_every_method_has_its_rule(of, tmp_path):
    known = set().union(*RULES.values())
    assert known == {name for name, _ in inspect.getmembers(ClassDigits) if not name.startswith("_")}
    number = of(ANN).add(picture(3), 3)
    calls = {"everything": (), "remove": ([number],), "zip_file": ()}
    assert set(calls) == RULES["the teacher's"]
    for name, given_ in calls.items():
        with pytest.raises(NotYourClass):
            getattr(of(BEN), name)(*given_)
    nowhere = ClassDigits("ABCDEF", tmp_path / "data", tmp_path / "runs", LOCAL)
    for name, given_ in (calls | {"add": (picture(3), 3), "mine": (), "take_back": (1,), "counts": (), "next_digit": ()}).items():
        with pytest.raises(DataMissing, match="no lesson with this code"):
            getattr(nowhere, name)(*given_)
    with pytest.raises(DataMissing):
        set_of(nowhere, nothing_uses)
    assert not file_of(tmp_path / "data", "ABCDEF").exists()


def test_a_name_of_ones_own_choosing_is_heard_on_a_server_of_one_alone(of):
    of(ANN).add(picture(3), 3)
    assert len(of(BEN, owner=ANN.key).mine()) == 0 and len(of(TEACHER, owner=ANN.key).mine()) == 0
    of(LOCAL, owner="one browser").add(picture(3), 3)
    assert len(of(LOCAL, owner="one browser").mine()) == 1 and len(of(LOCAL, owner="another").mine()) == 0


# --- what is no drawing, and what can't be written

@pytest.mark.parametrize("label", [-1, 10, 7.0, "7", None, True, 10**30])
def test_what_is_no_digit(of, label):
    with pytest.raises(DataError, match="no digit from 0 to 9"):
        of(ANN).add(picture(7), label)
    assert sum(of(ANN).counts().every) == 0


@pytest.mark.parametrize(("image", "line"), [
    (torch.zeros(1, 28, 28), "nothing on the sheet"), (torch.full((1, 28, 28), 0.1), "nothing on the sheet"),
    (torch.ones(28, 28), "28×28"), (torch.ones(1, 1, 28, 28), "28×28"), (torch.ones(1, 28, 29), "28×28"),
    (torch.ones(1, 28, 28, dtype=torch.uint8), "28×28"), (np.ones((1, 28, 28), np.float32), "28×28"), (None, "28×28"),
    (torch.full((1, 28, 28), float("nan")), "no numbers"), (torch.full((1, 28, 28), float("inf")), "no numbers")])
def test_what_is_no_drawing(of, image, line):
    with pytest.raises(DataError, match=line) as error:
        of(ANN).add(image, 7)
    assert "\n" not in str(error.value) and sum(of(ANN).counts().every) == 0


def test_there_is_an_end_to_it(of, monkeypatch):
    monkeypatch.setattr(class_digits, "MOST_OF_ONE", 2)
    monkeypatch.setattr(class_digits, "MOST", 3)
    fill(of(ANN), 2)
    with pytest.raises(DataError, match="You have drawn 2 digits"):
        fill(of(ANN), 1)
    fill(of(BEN), 1)
    with pytest.raises(DataError, match="The class has 3 drawings"):
        fill(of(BEN), 1)


def test_a_folder_that_cannot_be_written_to_is_one_line(of, tmp_path):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    with pytest.raises(DataError, match="can't be written to") as error:
        of(ANN).add(picture(7), 7)
    assert "\n" not in str(error.value)


def test_a_full_disk_is_one_line_and_loses_nothing(of, monkeypatch):
    fill(of(ANN), 3)
    connect = sqlite3.connect

    def small(*given_, **more):
        db = connect(*given_, **more)
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")  # as a disk without room
        return db

    monkeypatch.setattr(class_digits.sqlite3, "connect", small)
    with pytest.raises(DataError, match="the disk is full. Free some space") as error:
        fill(of(ANN), 20)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    assert 3 <= sum(of(ANN).counts().every) < 20 and len(of(TEACHER).everything()) == sum(of(ANN).counts().every)


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(200)])
def test_a_damaged_file_is_one_line(of, code, tmp_path, content):
    path = file_of(tmp_path / "data", code)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for use in (lambda: of(ANN).add(picture(7), 7), lambda: of(ANN).counts(), lambda: of(TEACHER).everything()):
        with pytest.raises(DataDamaged, match="damaged") as error:
            use()
        assert "\n" not in str(error.value)
    delete_with_digits(code, tmp_path / "data", lambda code: delete_lesson(code, tmp_path / "runs", TEACHER), nothing_uses)
    assert not path.exists()


def test_a_file_of_another_version_is_left_alone(of, code, tmp_path):
    fill(of(ANN), 1)
    with sqlite3.connect(file_of(tmp_path / "data", code)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(DataDamaged, match="another version"):
        of(ANN).counts()


# --- thirty at the same moment

def test_thirty_pupils_at_once_lose_nothing(of):
    pupils = [Actor(f"{number:032x}", "visitor") for number in range(30)]
    begin = threading.Barrier(len(pupils))

    def draw(pupil: Actor) -> list[int]:
        begin.wait()
        return fill(of(pupil), 4)

    with ThreadPoolExecutor(len(pupils)) as pool:
        numbers = [number for found in pool.map(draw, pupils) for number in found]
    assert len(set(numbers)) == 120 and of(TEACHER).everything().numbers.tolist() == sorted(numbers)
    assert all(len(of(pupil).mine()) == 4 for pupil in pupils)
    counts = of(TEACHER).counts()
    assert counts.pupils == 30 and max(counts.every) - min(counts.every) <= 30


def _draw_elsewhere(code: str, data_dir: Path, runs_dir: Path, begin) -> None:
    begin.wait(PATIENCE)
    fill(ClassDigits(code, data_dir, runs_dir, ANN), 20)


def test_processes_at_once_lose_nothing(of, code, tmp_path, monkeypatch):
    # a new process begins with this one's main module, which after another test's AppTest is a page
    monkeypatch.setitem(sys.modules, "__main__", sys.modules[__name__])
    spawn = multiprocessing.get_context("spawn")
    begin = spawn.Barrier(2)
    process = spawn.Process(target=_draw_elsewhere, args=(code, tmp_path / "data", tmp_path / "runs", begin))
    process.start()
    begin.wait(PATIENCE)
    fill(of(BEN), 20)
    process.join()
    assert process.exitcode == 0 and (len(of(ANN).mine()), len(of(BEN).mine())) == (20, 20)


# --- what is asked for

@given(some.lists(some.integers(0, 29), max_size=150), some.integers(1, 30), some.integers(0, 9))
def test_the_set_stays_balanced_whoever_draws_when(turns, pupils, start):
    """Each keeps what was asked for and is asked for the next; others draw in between."""
    every, mine = [0] * 10, [[0] * 10 for _ in range(pupils)]
    asked: dict[int, int] = {}
    for turn in turns:
        pupil = turn % pupils
        if pupil in asked:
            every[asked[pupil]] += 1
            mine[pupil][asked[pupil]] += 1
        asked[pupil] = next_digit(every, mine[pupil], start * pupil)
        assert max(every) - min(every) <= len(asked)
    if pupils == 1:
        assert max(every, default=0) - min(every, default=0) <= 1


@given(some.lists(some.integers(0, 50), min_size=10, max_size=10), some.lists(some.integers(0, 50), min_size=10, max_size=10),
       some.integers(0, 2**32))
def test_what_is_asked_for_is_rarest_in_the_class_and_then_with_the_pupil(every, mine, start):
    digit = next_digit(every, mine, start)
    assert every[digit] == min(every)
    assert mine[digit] == min(own for own, count in zip(mine, every, strict=True) if count == min(every))


def test_pupils_begin_with_different_digits_and_one_after_another_keep_the_set_even(of):
    pupils = [Actor(f"{number:032x}", "visitor") for number in range(30)]
    assert len({of(pupil).next_digit() for pupil in pupils}) > 5
    for place in range(45):
        fill(of(pupils[place % 7]), 1)
        counts = of(pupils[0]).counts()
        assert max(counts.every) - min(counts.every) <= 1
    gone = of(ANN)
    of(TEACHER).remove(of(TEACHER).everything().numbers[of(TEACHER).everything().labels == 3].tolist())
    assert gone.next_digit() == 3, "what was removed is asked for again"


def test_a_fifth_of_each_digit_is_for_testing_and_of_each_pupils(of):
    pupils = [Actor(f"{number:032x}", "visitor") for number in range(10)]
    for pupil in pupils:  # one after the other
        fill(of(pupil), 10)
    found = of(TEACHER).everything()
    assert [int(found.test[found.labels == digit].sum()) for digit in range(10)] == [2] * 10
    assert [int(found.test[found.pupils == number + 1].sum()) for number in range(10)] == [2] * 10
    gone = found.numbers[(found.labels == 4) & found.test].tolist()
    of(TEACHER).remove(gone)
    fill(of(ANN), 2)
    now = of(TEACHER).everything()
    assert int(now.test[now.labels == 4].sum()) == 2, "others take the place of those that were removed"


# --- what is trained on

def test_a_set_is_what_there_was_when_it_was_made(of, tmp_path):
    data = tmp_path / "data"
    assert set_of(of(ANN), nothing_uses) is None
    numbers = fill(of(ANN), FEWEST)
    first = set_of(of(BEN), nothing_uses)
    assert first == set_of(of(ANN), nothing_uses), "the same drawings, the same set"
    assert first.counts == (16, 4) and first.classes == DIGITS and first.hidden
    before = read_arrays(data, first.name)
    of(ANN).take_back(numbers[0])
    of(BEN).add(picture(8, 77), 8)
    second = set_of(of(BEN), nothing_uses)
    assert second.name != first.name
    assert np.array_equal(read_arrays(data, first.name).images, before.images)
    kept = {image.tobytes() for image in read_arrays(data, second.name).images}
    taken_back = (picture(int(before.labels[0]), 0) * 255).to(torch.uint8).numpy().tobytes()
    assert taken_back in {image.tobytes() for image in before.images} and taken_back not in kept
    assert (picture(8, 77) * 255).to(torch.uint8).numpy().tobytes() in kept


def test_whoever_is_in_the_lesson_finds_it_and_nobody_else(of, code, tmp_path):
    data = tmp_path / "data"
    fill(of(ANN), FEWEST)
    older = set_of(of(ANN), nothing_uses)
    fill(of(ANN), 1)
    own = set_of(of(ANN), nothing_uses)
    inside, elsewhere = Actor(BEN.key, "visitor", lesson=code), Actor(BEN.key, "visitor", lesson="ABCDEF")
    assert [one.name for one in own_sets(data, inside)] == [own.name], "the newest"
    assert {one.name for one in own_sets(data, inside, [older.name])} == {own.name, older.name}
    assert inside.may_use(own.owner) and not inside.may_change(own.owner)
    for actor in (BEN, elsewhere, Actor(EVERYBODY, "visitor")):
        assert own_sets(data, actor, [own.name]) == [] and not actor.may_use(own.owner)
        assert own.name not in available(data, actor, [own.name])
    assert own_sets(data, LOCAL) == [] and own_sets(data, TEACHER) == [], "no list is full of them"
    with pytest.raises(DataError):
        delete_set(data, own.name, inside)
    assert code not in own.title + own.source and ANN.key not in repr(own)
    folder = data / "imported" / own.id
    assert not [path for path in folder.iterdir() if ANN.key.encode() in path.read_bytes()]


def test_sets_that_no_run_names_are_forgotten_after_a_while(of, tmp_path, monkeypatch):
    fill(of(ANN), FEWEST)
    first = set_of(of(ANN), nothing_uses)
    monkeypatch.setattr(class_sets, "MOST_UNUSED", 1)
    names = [first.name]
    for _ in range(3):
        fill(of(ANN), 1)
        names.append(set_of(of(ANN), lambda name: name == first.name).name)
    there = {path.name for path in (tmp_path / "data/imported").iterdir()}
    assert there == {name.removeprefix("own:") for name in (names[0], names[2], names[3])}
    monkeypatch.setattr(class_sets, "HOURS_UNUSED", 0)
    assert set_of(of(ANN), lambda name: name == first.name).name == names[3]
    there = {path.name for path in (tmp_path / "data/imported").iterdir()}
    assert there == {name.removeprefix("own:") for name in (names[0], names[3])}, "also where nothing new is made"


def test_with_another_set_the_test_images_stay_the_class_s(of, tmp_path, cache_dir):
    fill(of(ANN), 40)
    own = set_of(of(ANN), nothing_uses)
    alone, joined = (train_config(own.name, join, tmp_path / "data") for join in ("", "digits"))
    assert (alone.join, joined.join, joined.validation) == ((), ("digits",), 200)
    both = load(joined, tmp_path / "data", cache_dir)
    assert len(both.test) == 8 == len(load(alone, tmp_path / "data", cache_dir).test)
    assert len(both.train) + len(both.validation) == 32 + 1437


def test_the_doctor_takes_what_a_class_draws_for_handwriting(of, tmp_path, monkeypatch):
    fill(of(ANN), 40)
    own, data = set_of(of(ANN), nothing_uses), tmp_path / "data"
    monkeypatch.setenv("PLAYGROUND_DATA", str(data))
    alone, joined = (tiny().model_copy(update={"data": train_config(own.name, join, data).model_copy(update={"variations": 4})})
                     for join in ("", "digits"))
    assert not {"variations_not_handwriting"} & {one.rule for config in (alone, joined) for one in diagnose(config)}
    clothes = joined.with_values({"data.join": ["fashion_mnist"], "data.variations": 1, "data.validation": 59_000})
    [finding] = [one for one in diagnose(clothes) if one.rule == "variations_not_handwriting"]
    assert finding.severity == "warning" and "1 copy of each image of Fashion-MNIST" in finding.evidence
    mirrored = alone.with_values({"data.transforms": [{"kind": "random_horizontal_flip"}]})
    assert "flips_on_digits" in {one.rule for one in diagnose(mirrored)}


def test_who_has_drawn_an_image_is_told_its_pupil_alone(of, code, tmp_path, cache_dir):
    data = tmp_path / "data"
    for place in range(40):  # each draws every other one
        fill(of((ANN, BEN)[place % 2]), 1)
    own = set_of(of(ANN), nothing_uses)
    config = train_config(own.name, "digits", data)
    loaded = load(config, data, cache_dir)
    drawn = {actor.key: {image.numpy().tobytes() for image in of(actor).mine().images} for actor in (ANN, BEN)}
    for split in ("test", "validation"):
        rows = loaded.split(split).rows
        images = [image.numpy().tobytes() for image in loaded.split(split).images[rows]]
        for actor in (ANN, BEN):
            found = hands(config, split, rows, data, actor)
            assert found.mine.tolist() == [image in drawn[actor.key] for image in images], split
            assert not found.pupils.any(), "nobody is told of others"
        told = hands(config, split, rows, data, TEACHER)
        assert not told.mine.any()
        assert told.pupils.tolist() == [1 if image in drawn[ANN.key] else 2 if image in drawn[BEN.key] else 0 for image in images]
        assert split == "validation" or 0 < int(hands(config, split, rows, data, ANN).mine.sum()) < len(rows)
        stranger = hands(config, split, rows, data, Actor("d" * 32, "visitor"), owner=ANN.key)
        assert not stranger.mine.any() and not stranger.pupils.any()
    of(BEN).take_back(of(BEN).mine().numbers[0].item())
    assert int(hands(config, "test", loaded.test.rows, data, BEN).mine.sum()) > 0, "the set of the run is as it was"
    assert hands(tiny().data, "test", torch.arange(3), data, ANN) is None


# --- taken away, and gone

def test_the_export_is_imported_again(of, tmp_path):
    fill(of(ANN), 30)
    content = of(TEACHER).zip_file()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert {name.partition("/")[0] for name in names} == set(DIGITS) and len(names) == 30
        with archive.open(names[0]) as file, Image.open(file) as one:
            assert one.size == (28, 28) and one.mode == "L" and one.format == "PNG"
    (tmp_path / "class.zip").write_bytes(content)
    report = import_images(tmp_path / "class.zip", tmp_path / "again")
    assert report.accepted == 30 and report.classes == DIGITS and not report.rejected
    arrays, found = read_arrays(tmp_path / "again", report.name), of(TEACHER).everything()
    assert {(image.tobytes(), label) for image, label in zip(arrays.images, arrays.labels.tolist(), strict=True)} == {
        (image.numpy().tobytes(), label) for image, label in zip(found.images, found.labels.tolist(), strict=True)}


def test_a_deleted_lesson_takes_its_drawings_along_but_not_what_runs_have_learned_from(of, code, store, tmp_path, cache_dir):
    data = tmp_path / "data"
    settings = Settings(data, store.path, cache_dir)
    assert store.path == tmp_path / "runs"
    fill(of(ANN), FEWEST)
    used = set_of(of(ANN), store.names)
    run = run_here(store, settings, tiny(data__dataset=used.name, data__validation=2))
    assert run.status == "finished", run.message
    fill(of(ANN), 5)
    unused = set_of(of(ANN), store.names)
    with pytest.raises(LessonError):
        delete_with_digits(code, data, store.as_actor(ANN).delete_lesson, store.names)
    assert len(of(TEACHER).everything()) == FEWEST + 5
    delete_with_digits(code, data, store.as_actor(TEACHER).delete_lesson, store.names)
    assert not file_of(data, code).exists()
    with pytest.raises(DataMissing):
        read_set(data, unused.name)
    assert len(load(run.config.data, data, cache_dir).test) == 4
    assert not hands(run.config.data, "test", torch.arange(4), data, ANN).mine.any(), "nobody knows whose they are any more"
    delete_run(store, run.id, data)
    with pytest.raises(DataMissing):
        read_set(data, used.name)


def test_the_last_run_of_a_class_that_is_still_there_leaves_the_set(of, store, tmp_path, cache_dir):
    data = tmp_path / "data"
    fill(of(ANN), FEWEST)
    own = set_of(of(ANN), store.names)
    run = run_here(store, Settings(data, store.path, cache_dir), tiny(data__dataset=own.name, data__validation=2))
    delete_run(store, run.id, data)
    assert set_of(of(ANN), store.names) == own, "others may be about to train on it"


def test_what_is_drawn_while_the_lesson_is_deleted_goes_with_it(of, code, tmp_path, monkeypatch):
    pixels = class_digits._pixels

    def meanwhile(image, label):
        delete_lesson(code, tmp_path / "runs", TEACHER)
        return pixels(image, label)

    ben = of(BEN)
    monkeypatch.setattr(class_digits, "_pixels", meanwhile)
    monkeypatch.setattr(ben, "_check_there", lambda: None)  # it was there a moment ago
    with pytest.raises(DataMissing):
        monkeypatch.setattr(ben, "_check_still_there", lambda: ClassDigits._check_still_there(of(BEN)))
        ben.add(picture(7), 7)
    assert not file_of(tmp_path / "data", code).exists()
