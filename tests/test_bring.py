"""Archives as people have them: folders below splits, tables with any titles, pictures as numbers. Each of tests/cases is one."""

import csv
import errno
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.importing import child
from core.importing.decode import from_array
from core.importing.folders import part_of
from core.importing.in_pieces import numbers_in
from core.importing.pixels import Shape
from tests.archives import png, saved, two_classes, zipped
from tests.test_importing import here, labels_of, quiet  # noqa: F401 (an autouse fixture)

CASES = Path(__file__).parent / "cases"
NUMBERS, DIGITS = ["0", "1", "2"], [str(n) for n in range(10)]


def read(name: str, folder: Path, **options) -> dict:
    return here(CASES / f"{name}.zip", folder / "out", **options)


def parts(folder: Path) -> list[int]:
    """How many images are for training and for testing."""
    test = np.load(folder / "out/test.npy")
    return [int((~test).sum()), int(test.sum())]


@pytest.mark.parametrize(("name", "classes", "split", "said"), [
    ("chest-xray-doubled", NUMBERS, [24, 6], "“test”, “train”, “val” are splits"),
    ("train-dev", NUMBERS, [18, 6], "“dev”, “train” are splits"),
    ("training_set-test_set", ["cats", "dogs"], [12, 6], "are splits; each folder in them is a class"),
    ("kaggle-mnist-as-jpg", NUMBERS, None, "“testSample”, “testSet”, “trainingSample”, “trainingSet” are splits"),
    ("csv-abs-path", NUMBERS, None, "“image” names the pictures, “label” is the class"),
    ("csv-win-path", NUMBERS, None, "“image” names the pictures, “label” is the class"),
    ("csv-case-mismatch", NUMBERS, None, "“file” names the pictures"),
    ("csv-filename-split-label", NUMBERS, [12, 3], "“label” is the class, “split” the split"),
    ("csv-filename-width-height-class", NUMBERS, None, "“class” is the class"),
    ("csv-index-column", NUMBERS, None, "“filename” names the pictures, “label” is the class"),
    ("csv-is-class-list", NUMBERS, None, ""),
    ("csv-label-first", NUMBERS, None, "“filename” names the pictures, “label” is the class"),
    ("csv-latin1", ["deux", "nul", "één"], None, "labels.csv"),
    ("csv-no-extension", NUMBERS, None, "“id” names the pictures, “breed” is the class"),
    ("csv-other-name", NUMBERS, None, "In train.csv"),
    ("csv-space-in-name", NUMBERS, None, "labels.csv"),
    ("csv-utf16-excel", NUMBERS, None, "labels.csv"),
    ("fmt-webp", ["0", "1"], None, ""), ("fmt-mixed-webp-named-jpg", ["0", "1"], None, ""), ("photo-48mp", ["0", "1"], None, ""),
    ("kaggle-csv", [n for n in DIGITS if n != "8"], None, "785 numbers in a row: pixels 28×28, the label first"),
    ("idx-dot-names", [n for n in DIGITS if n != "8"], [40, 20], "the labels of archive/t10k-labels.idx1-ubyte"),
    ("keras-npz", [n for n in DIGITS if n != "8"], [40, 10], "x_train.npy has 40 pictures"),
])
def test_what_people_bring_is_read_as_they_mean_it(tmp_path, name, classes, split, said):
    found = read(name, tmp_path)
    assert "refused" not in found, found["refused"]
    assert found["classes"] == classes and said in found["reading"]
    assert split is None or parts(tmp_path) == split


def test_what_was_decided_about_pictures_is_counted(tmp_path):
    found = read("white-on-transparent", tmp_path)
    assert found["notes"] == ["Images of light ink on a clear ground, laid on black (all others on white): 8."]
    assert all(image.max() > 200 > 50 > np.median(image) for image in np.load(tmp_path / "out/images.npy"))
    deep = read("png16-8bit-in-16", tmp_path)
    assert deep["notes"] == ["Images of 16 bits of which only the lowest 8 are used, read as 8 bits: 8."]
    flat = two_classes() | {"cat/flat.png": saved(Image.new("L", (9, 9), 7)), "dog/two.gif": saved(
        Image.new("L", (9, 9), 9), "GIF", save_all=True, append_images=[Image.new("L", (9, 9), 99)])}
    notes = here(zipped(tmp_path / "a.zip", flat), tmp_path / "flat")["notes"]
    assert notes == ["Files with several pictures, of which the first was taken: 1.", "Images of one colour all over: 2."]


def test_names_of_files_are_offered_as_classes_and_not_taken_unasked(tmp_path):
    found = read("dogs-vs-cats-flat", tmp_path)
    assert "All images are of one class" in found["refused"]
    [(way, line)] = found["readings"]
    assert "“cat”, “dog”" in line
    assert read("dogs-vs-cats-flat", tmp_path, reading=way)["classes"] == ["cat", "dog"]


@pytest.mark.parametrize("reading", ["table:width", "table:no such column", "nonsense", "names", "inner", "folders", "table:"])
def test_another_reading_is_taken_or_left(tmp_path, reading):
    found = read("csv-filename-width-height-class", tmp_path, reading=reading)
    assert "refused" in found or found["classes"] == NUMBERS or reading in ("table:width", "inner")
    if reading == "table:width":
        assert "“width” is the class" in found["reading"] and found["classes"] != NUMBERS


def pictures(paths: dict[str, int] | list[str]) -> dict[str, bytes]:
    return {path: png(seed=n) for n, path in enumerate(paths)}


@pytest.mark.parametrize(("folders", "classes", "said"), [
    (["lab1/cat", "lab1/dog", "lab2/cat", "lab2/dog"], ["cat", "dog"], "hold the same classes and are taken together"),
    (["first/cat", "first/dog", "my test pictures/cat", "my test pictures/dog"], ["cat", "dog"], "are taken as splits"),
    (["cat/train", "cat/test", "dog/train", "dog/test"], ["cat", "dog"], "the folders in it are splits"),
    (["cat/big", "cat/small", "dog/brown"], ["cat", "dog"], "Each outermost folder is a class"),
    (["a/a/cat", "a/a/dog"], ["cat", "dog"], ""), (["cat", "test"], ["cat", "test"], ""),
    (["Train_Data/cat", "Train_Data/dog", "VALIDATION-SET/cat"], ["cat", "dog"], "are splits"),
])
def test_folders(tmp_path, folders, classes, said):
    files = pictures([f"{folder}/{n}.png" for folder in folders for n in range(3)])
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert found["classes"] == classes and said in found["reading"]


def test_outer_folders_can_be_the_classes_all_the_same(tmp_path):
    files = pictures([f"{kind}/{colour}/{n}.png" for kind in ("cup", "jug") for colour in ("red", "blue") for n in range(3)])
    archive = zipped(tmp_path / "a.zip", files)
    found = here(archive, tmp_path / "out")
    assert found["classes"] == ["blue", "red"] and {way for way, _ in found["readings"]} == {"inner", "outer"}
    assert here(archive, tmp_path / "out", reading="outer")["classes"] == ["cup", "jug"]


@pytest.mark.parametrize(("word", "part"), [
    ("train", "train"), ("TRAINING_SET", "train"), ("trainingSample", "train"), ("Test1", "test"), ("test-data", "test"),
    ("val", "validation"), ("dev", "validation"), ("holdout", "validation"), ("evaluation set", "validation"), ("trains", ""),
    ("testament", ""), ("valley", ""), ("developers", ""), ("", ""), ("7", ""), ("learner", "")])
def test_words_for_splits(word, part):
    assert part_of(word) == part


@settings(max_examples=60)
@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=30), st.sampled_from(",;\t "))
def test_numbers_of_a_line_are_read_whole_and_with_points(numbers, mark):
    """Whole numbers are read in a way of their own, five times as fast."""
    lines = (mark.join(f"{number}{end}" for number in numbers).encode() for end in ("", ".0"))
    assert [list(numbers_in(line, mark.encode())) for line in lines] == [numbers, numbers]


@pytest.mark.parametrize("line", [b"1,,2", b"1,-,2", b"a,1", b"1,2,", b"", b"1;2"])
def test_a_line_that_is_not_all_numbers_is_none(line):
    assert numbers_in(line, b",") is None


def table(rows: list[list[str]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


NAMES = [f"{n}.png" for n in range(8)]
PAIRS = list(zip(NAMES, ["cat", "dog"] * 4, strict=True))


@pytest.mark.parametrize(("rows", "classes"), [
    ([["image", "cat", "dog"], *([name, str(int(kind == "cat")), f"{int(kind == 'dog')}.0"] for name, kind in PAIRS)],
     ["cat", "dog"]),
    ([[name, f"{n % 2}.0"] for n, name in enumerate(NAMES)], ["0", "1"]),
    ([["id", "who", "species"], *([name, f"p{n}", kind] for n, (name, kind) in enumerate(PAIRS))], ["cat", "dog"]),
    ([["a", "b", "c"], *([str(n), kind, name] for n, (name, kind) in enumerate(PAIRS))], ["cat", "dog"]),
    ([["file", "=cmd"], *([name, f"=HYPERLINK({kind})"] for name, kind in PAIRS)], ["=HYPERLINK(cat)", "=HYPERLINK(dog)"]),
])
@pytest.mark.parametrize("delimiter", [",", "\t", "|"])
def test_columns_of_tables(tmp_path, rows, classes, delimiter):
    archive = zipped(tmp_path / "a.zip", pictures([f"all/{name}" for name in NAMES]) | {"what.csv": table(rows, delimiter)})
    found = here(archive, tmp_path / "out")
    assert found["classes"] == classes


def test_a_row_never_takes_another_folders_picture(tmp_path):
    """train/3.png is missing, and test/3.png is another picture."""
    files = pictures([f"train/{n}.png" for n in (1, 2, 4)] + ["test/3.png"])
    rows = [["path", "label"], *([f"train/{n}.png", str(n % 2)] for n in (1, 2, 3, 4))]
    found = here(zipped(tmp_path / "a.zip", files | {"labels.csv": table(rows)}), tmp_path / "out")
    assert dict(found["rejected"])["train/3.png"] == "named in labels.csv, but not in the archive"


def test_pictures_of_the_same_name_are_told_apart_by_their_folder(tmp_path):
    files = pictures([f"{part}/{n}.png" for part in "ab" for n in range(3)])
    rows = [[f"C:\\x\\{part}\\{n}.PNG", kind] for part, kind in (("a", "cat"), ("b", "dog")) for n in range(3)]
    rows.append(["1.png", "cat"])
    found = here(zipped(tmp_path / "a.zip", files | {"labels.csv": table(rows)}), tmp_path / "out")
    assert found["classes"] == ["cat", "dog"] and sorted(labels_of(found, tmp_path / "out")) == ["cat"] * 3 + ["dog"] * 3
    assert "several files have this name" in dict(found["rejected"])["1.png"]


# --- pictures as numbers

def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return head + array.astype(np.uint8).tobytes()


def as_table(images: np.ndarray, labels: np.ndarray, first: bool, titles: bool, mark: str) -> bytes:
    pairs = zip(labels.tolist(), images.reshape(len(images), -1).tolist(), strict=True)
    rows = [[label, *row] if first else [*row, label] for label, row in pairs]
    head = [f"p{n}" for n in range(images[0].size)]
    lines = [["label", *head] if first else [*head, "label"]] if titles else []
    return "\n".join(mark.join(map(str, row)) for row in [*lines, *rows]).encode()


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), side=st.integers(9, 20), count=st.integers(8, 14),
       form=st.sampled_from(["npy", "idx", "csv"]), first=st.booleans(), titles=st.booleans(), mark=st.sampled_from(",;\t"))
def test_pictures_come_back_as_they_were(tmp_path_factory, seed, side, count, form, first, titles, mark):
    random, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("back")
    images = random.integers(0, 256, (count, side, side), np.uint8)
    images[0, 0, 0], labels = 255, np.arange(count) % 3
    files = {"npy": lambda: {"x.npy": npy(images), "y.npy": npy(labels)},
             "idx": lambda: {"images-idx3-ubyte": idx(images), "labels-idx1-ubyte": idx(labels)},
             "csv": lambda: {"some.csv": as_table(images, labels, first, titles, mark)}}[form]()
    found = here(zipped(folder / "a.zip", files), folder / "out", size=side)
    assert found["classes"] == ["0", "1", "2"]
    kept = np.load(folder / "out/images.npy")[:, 0]
    wanted = {image.tobytes(): str(label) for image, label in zip(images, labels, strict=True)}
    assert {image.tobytes(): label for image, label in zip(kept, labels_of(found, folder / "out"), strict=True)} == wanted


@pytest.mark.parametrize(("make", "times"), [(lambda x: x, 1), (lambda x: x / 255, 255),
                                             (lambda x: (x // 16).astype(float), 255 / 16)])
def test_the_range_of_numbers_is_found_and_said(tmp_path, make, times):
    images = np.random.default_rng(0).integers(0, 256, (9, 12, 12), np.uint8)
    images[0, 0, 0] = 255
    values = make(images)
    found = here(zipped(tmp_path / "a.zip", {"x.npy": npy(values), "y.npy": npy(np.arange(9) % 2)}), tmp_path / "out", size=12,
                 test_share=0.3)
    kept = np.sort(np.load(tmp_path / "out/images.npy").reshape(9, -1), axis=0).astype(float)
    wanted = np.sort((values * times + 0.5).clip(0, 255).astype(np.uint8).reshape(9, -1), axis=0)
    assert np.abs(kept - wanted).max() <= 1
    assert ("from 0 to" in found["reading"]) == (times != 1)


@pytest.mark.parametrize("planes", [True, False])
def test_the_order_of_colours_is_the_one_that_looks_smooth(tmp_path, planes):
    ramp = np.linspace(0, 255, 16)
    red, blue = np.add.outer(ramp, ramp) / 2, np.subtract.outer(ramp, ramp) / 2 + 127
    images = np.stack([np.stack([red, np.full((16, 16), 30.0 * n), blue], axis=2) for n in range(8)]).astype(np.uint8)
    rows = images.transpose(0, 3, 1, 2) if planes else images
    archive = zipped(tmp_path / "a.zip", {"t.csv": as_table(rows, np.arange(8) % 2, True, True, ",")})
    found = here(archive, tmp_path / "out", size=16, channels=3)
    assert ("colour after colour" if planes else "pixel after pixel") in found["reading"]
    kept = {image.transpose(1, 2, 0).tobytes() for image in np.load(tmp_path / "out/images.npy")}
    assert kept == {image.tobytes() for image in images}


IMAGES, LABELS = np.full((8, 9, 9), 5, np.uint8) * np.arange(8, dtype=np.uint8)[:, None, None], np.arange(8) % 2
ROWS = as_table(IMAGES, LABELS, True, True, ",")


def lying(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + b"\1" * 500


@pytest.mark.parametrize("files", [
    {"x.npy": npy(IMAGES)[:200], "y.npy": npy(LABELS)}, {"x.npy": npy(IMAGES), "y.npy": npy(LABELS)[:140]},
    {"x.npy": npy(IMAGES), "y.npy": npy(LABELS[:3])}, {"x.npy": npy(IMAGES)}, {"x.npy": b"\x93NUMPY" + b"\xff" * 40},
    {"x.npy": lying((2**31 - 1, 28, 28)), "y.npy": lying((2**31 - 1,))},
    {"x.npy": lying((10, 2**20, 2**20)), "y.npy": npy(LABELS)},
    {"x.npy": lying((-5, 28, 28)), "y.npy": npy(LABELS)}, {"x.npy": npy(np.array([{}] * 8, object)), "y.npy": npy(LABELS)},
    {"x.npy": npy(np.asfortranarray(IMAGES.astype(float))), "y.npy": npy(LABELS)},
    {"x.npy": npy(np.full((8, 9, 9), np.nan)), "y.npy": npy(LABELS)}, {"x.npy": npy(IMAGES - 3.0), "y.npy": npy(LABELS)},
    {"images-idx3-ubyte": idx(IMAGES)[:50], "labels-idx1-ubyte": idx(LABELS)},
    {"images-idx3-ubyte": b"\0\0\x08", "labels-idx1-ubyte": b""}, {"t.csv": ROWS[:-30]}, {"t.csv": ROWS + b"\n1,2,3"},
    {"t.csv": ROWS.replace(b"5", b"=cmd")}, {"t.csv": ROWS.replace(b"\n", b"\n\0")},
    {"t.csv": b"1," * 3_000_000}, {"t.csv": b"label\n" + b"7\n" * 100}, {"t.csv": b""}, {"t.csv": b"\xff\xfe\0\0"},
    {"t.csv": ROWS.replace(b"5", b"nan")}, {"t.csv": ROWS.replace(b"5", b"1e999")},
], ids=lambda files: "")
def test_numbers_that_can_not_be_pictures_are_refused_in_a_line(tmp_path, files):
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    if "refused" in found:
        assert found["refused"] and len(found["refused"].splitlines()) == 1
    else:  # what could be read before the damage, which is told
        assert found["rejected_count"] or found["notes"]


def test_too_many_pictures_as_numbers_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "MOST_IMAGES", 5)
    assert "at most 5 are imported" in here(zipped(tmp_path / "a.zip", {"t.csv": ROWS}), tmp_path / "out")["refused"]


def test_a_table_alone_and_tar_archives_are_taken_as_they_are(tmp_path):
    arrays = zipped(tmp_path / "z", {"x.npy": npy(IMAGES), "y.npy": npy(LABELS)}).read_bytes()
    for name, content in (("train.csv", ROWS), ("x.npz", arrays)):
        (tmp_path / name).write_bytes(content)
        found = here(tmp_path / name, tmp_path / "out", name=name)
        assert found["classes"] == ["0", "1"] and not list((tmp_path / "out").glob("*.zip"))
    assert "x.npy has 8 pictures" in found["reading"]
    assert here(CASES / "tar-gz.tar.gz", tmp_path / "out")["classes"] == ["0", "1", "2"]
    for mode in ("w", "w:gz", "w:xz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for path, data in two_classes().items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        (tmp_path / "a.tar").write_bytes(file.getvalue())
        assert here(tmp_path / "a.tar", tmp_path / "out")["classes"] == ["cat", "dog"]


def test_a_hostile_tar_archive_takes_nothing_outside(tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for path, kind in (("../up.png", tarfile.REGTYPE), ("/abs.png", tarfile.REGTYPE), ("cat/link.png", tarfile.SYMTYPE),
                           ("cat/hard.png", tarfile.LNKTYPE), ("cat/dev", tarfile.CHRTYPE), ("cat/pipe", tarfile.FIFOTYPE)):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry, io.BytesIO(b""))
        for path, data in two_classes().items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    (tmp_path / "a.tar.gz").write_bytes(file.getvalue())
    found = here(tmp_path / "a.tar.gz", tmp_path / "out")
    assert found["classes"] == ["cat", "dog"]
    assert dict(found["rejected"]) == {"../up.png": "a path that leads out of the archive (..)", "/abs.png": "an absolute path"}
    (tmp_path / "cut.tar.gz").write_bytes(file.getvalue()[:300])
    assert len(here(tmp_path / "cut.tar.gz", tmp_path / "out")["refused"].splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "cut.tar.gz", "out"]


def test_a_full_disk_is_not_the_archives_fault(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        entry = tarfile.TarInfo("cat/a.png")
        entry.size = len(png())
        archive.addfile(entry, io.BytesIO(png()))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.raises(OSError, match="No space left"):
        here(tmp_path / "a.tar", tmp_path / "out")


def test_an_array_is_brought_to_size_as_a_picture_is(tmp_path):
    """Pillow's own way, by way of a file."""
    from core.importing.decode import decode

    for channels in (1, 3):
        array = np.random.default_rng(1).integers(0, 256, (30, 18, channels), np.uint8)
        image = Image.fromarray(array[..., 0] if channels == 1 else array)
        for size, wanted in ((12, 1), (28, 3), (40, 1)):
            assert np.array_equal(from_array(array, size, wanted, "pad").pixels, decode(saved(image), size, wanted, "pad").pixels)


def test_a_row_is_a_picture():
    row = np.arange(12.0)
    assert Shape(2, 2, 3, True, 1.0).picture(row).tolist() == [[[0, 4, 8], [1, 5, 9]], [[2, 6, 10], [3, 7, 11]]]
    assert Shape(2, 2, 3, False, 1.0).picture(row).tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    assert Shape(3, 4, 1, False, 255.0).picture(row / 11)[-1, -1] == 255
