"""Archives in archives, Parquet and CIFAR's binary version: what is read of them, and every way they can be bad."""

import gzip
import importlib.util
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data import ImportRefused, import_images
from core.importing import limits
from core.importing.decode import BadImage, decode
from tests.archives import png, two_classes, zipped
from tests.test_bring import CASES, idx, parts
from tests.test_importing import assert_nothing_in, here, labels_of, quiet  # noqa: F401 (an autouse fixture)

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 12, 12), np.uint8)
LABELS = np.arange(24) % 2


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tar_of(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def nothing_left(folder: Path) -> bool:
    return {path.name for path in (folder / "out").iterdir()} <= {"images.npy", "labels.npy", "test.npy"}


# --- archives in archives

def test_what_lies_in_an_archive_in_the_archive_is_read(tmp_path):
    found = here(CASES / "zip-in-zip.zip", tmp_path / "out")
    assert found["classes"] == ["0", "1", "2"] and found["notes"] == ["Read with what lies in it: “digits.zip”."]
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("pack", [zip_of, tar_of, lambda files: tar_of(files, "w"), lambda files: tar_of(files, "w:xz")])
def test_archives_in_the_archive_are_like_folders(tmp_path, pack):
    """train.zip and test.zip, as Kaggle has them, are splits like the folders train and test."""
    ending = "zip" if pack is zip_of else "tar"
    test = {name: png(seed=500 + n) for n, name in enumerate(two_classes())}
    files = {f"sub/train.{ending}": pack(two_classes()), f"sub/test.{ending}": pack(test), "read me.txt": b"hello"}
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert found["classes"] == ["cat", "dog"] and parts(tmp_path) == [8, 8]
    assert "“test”, “train” are splits" in found["reading"] and nothing_left(tmp_path)


def test_packed_idx_files_in_a_zip_and_alone(tmp_path):
    files = {"train-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES)), "train-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS))}
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out", size=12)
    assert found["classes"] == ["0", "1"] and "with the labels of train-labels-idx1-ubyte" in found["reading"]
    assert {image.tobytes() for image in np.load(tmp_path / "out/images.npy")} == {image.tobytes() for image in IMAGES}
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("\n".join(
        ",".join(map(str, [label, *image.ravel()])) for label, image in zip(LABELS, IMAGES, strict=True)).encode()))
    assert here(tmp_path / "t.csv.gz", tmp_path / "out", name="t.csv.gz")["classes"] == ["0", "1"]


def test_one_level_is_opened_and_no_more(tmp_path):
    deep = zip_of({"x.zip": zip_of(two_classes()), **two_classes(), "cat/../../up.png": png(), "old.rar": b"Rar!"})
    found = here(zipped(tmp_path / "a.zip", {"in.zip": deep, "cat/9.png": png(seed=9)}), tmp_path / "out")
    assert dict(found["rejected"]) == {"in/x.zip": "an archive in an archive inside the archive; unpack it first",
                                       "in/cat/../../up.png": "a path that leads out of the archive (..)",
                                       "in/old.rar": "an archive of a kind that is not read here; unpack it first"}
    assert not (tmp_path / "up.png").exists() and nothing_left(tmp_path)


@pytest.mark.parametrize(("inner", "reason"), [
    (b"PK\3\4 no zip", "not a zip file"), (zip_of(two_classes())[:-30], "not a zip file"), (b"", "not a zip file"),
    (tar_of(two_classes())[:200], "damaged")])
def test_a_damaged_archive_in_the_archive_is_a_line(tmp_path, inner, reason):
    found = here(zipped(tmp_path / "a.zip", {"bad.zip": inner, **two_classes()}), tmp_path / "out")
    assert found["classes"] == ["cat", "dog"] and reason in dict(found["rejected"])["bad.zip"] and nothing_left(tmp_path)


def test_limits_are_those_of_both_levels_together(tmp_path, monkeypatch):
    zeros = {"cat/big.png": b"\0" * 3_000_000, **two_classes()}
    # 60 times at each level: neither is a bomb by itself, and 3 MB would come of 1 kB
    row = b"".join(bytes([n % 7]) * 60 for n in range(60))
    found = here(zipped(tmp_path / "a.zip", {"in.zip": zip_of(zeros, zipfile.ZIP_DEFLATED)}), tmp_path / "out")
    assert "times its size" in dict(found["rejected"])["in/cat/big.png"]
    twice = zip_of({"cat/big.png": row * 600, **two_classes()}, zipfile.ZIP_STORED)
    found = here(zipped(tmp_path / "b.zip", {"in.zip": twice}), tmp_path / "out")
    assert any("times its size" in reason for reason in dict(found["rejected"]).values()) or "refused" in found, "stored in it"
    monkeypatch.setattr("core.importing.inner.MOST_TOTAL", 20_000)
    many = {f"{n}.zip": zip_of({f"cat/{n}.png": png(seed=n, side=80), f"dog/{n}.png": png(seed=-n % 99, side=80)})
            for n in range(4)}
    assert "unpack to more than" in here(zipped(tmp_path / "c.zip", many), tmp_path / "out")["refused"]
    monkeypatch.setattr("core.importing.inner.MOST_TOTAL", 1 << 30)
    monkeypatch.setattr("core.importing.inner.MOST_ENTRIES", 5)
    assert "list more than 5 files" in here(zipped(tmp_path / "c.zip", many), tmp_path / "out")["refused"]
    monkeypatch.setattr("core.importing.inner.MOST_ENTRIES", 200_000)
    monkeypatch.setattr("core.importing.inner.MOST_INNER", 2)
    found = here(zipped(tmp_path / "c.zip", many), tmp_path / "out")
    assert [name for name, reason in found["rejected"] if "at most 2 archives" in reason] == ["2.zip", "3.zip"]


def test_a_packed_bomb_is_refused(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"1," * 3_000_000))
    assert "more than 100 times its size" in here(tmp_path / "t.csv.gz", tmp_path / "out", name="t.csv.gz")["refused"]
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"1,2\n" * 9)[:20])
    assert "packed file is damaged" in here(tmp_path / "cut.csv.gz", tmp_path / "out", name="cut.csv.gz")["refused"]


# --- CIFAR's binary version

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def records(count: int, lead: int = 1, seed: int = 0) -> tuple[bytes, np.ndarray]:
    """Records as CIFAR has them, and their pictures (N, 3, 32, 32)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), np.uint8)
    return b"".join(bytes([n % 10] * lead) + image.tobytes() for n, image in enumerate(pixels)), pixels


def test_cifars_own_archive_comes_back_as_it_was(tmp_path):
    (train, images), (test, others) = records(20), records(10, seed=1)
    files = {"data_batch_1.bin": train, "test_batch.bin": test, "batches.meta.txt": "\n".join([*NAMES, "", ""]).encode(),
             "readme.html": b"<html>"}
    (tmp_path / "c.tar.gz").write_bytes(tar_of({f"cifar-10-batches-bin/{name}": data for name, data in files.items()}))
    found = here(tmp_path / "c.tar.gz", tmp_path / "out", size=32, channels=3)
    assert found["classes"] == NAMES and parts(tmp_path) == [20, 10]
    kept = np.load(tmp_path / "out/images.npy")
    assert np.array_equal(kept[:20], images) and np.array_equal(kept[20:], others)
    assert labels_of(found, tmp_path / "out")[:10] == NAMES
    found = here(zipped(tmp_path / "b.zip", {"data_batch_3.bin": train}), tmp_path / "out", size=32, channels=3)
    assert found["classes"] == [str(n) for n in range(10)] and "called by their numbers" in found["reading"]
    fine = here(zipped(tmp_path / "d.zip", {"train.bin": records(30, lead=2)[0]}), tmp_path / "out")
    assert "CIFAR-100" in fine["reading"]


@pytest.mark.parametrize(("name", "data", "line"), [
    ("data_batch_1.bin", records(3)[0][:-1], "no multiple of a record's"), ("data_batch_1.bin", b"", "no multiple"),
    ("weights.bin", b"\0" * 5000, "not a picture"), ("weights.bin", b"\xff" * 3073 * 4, "not a picture"),
    ("x.bin", records(300)[0] + b"\xc8" + bytes(3072), "a class numbered 200")])
def test_records_that_are_none_get_one_line(tmp_path, name, data, line):
    found = here(zipped(tmp_path / "a.zip", {name: data}, zipfile.ZIP_STORED), tmp_path / "out")
    said = found.get("refused") or dict(found["rejected"])[name]
    assert line in said and len(said.splitlines()) == 1


# --- Parquet

def parquet(columns: dict, path: Path | None = None, names: dict[str, list[str]] | None = None, **options) -> bytes:
    """A file as Arrow writes it; names: of classes, by column, as the Hugging Face Hub keeps them."""
    features = {name: {"names": listed, "_type": "ClassLabel"} for name, listed in (names or {}).items()}
    table = pa.table(columns)
    if names:
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    if path is not None:
        path.write_bytes(file.getvalue())
    return file.getvalue()


FILES = [{"bytes": png(image), "path": f"{n}.png"} for n, image in enumerate(IMAGES)]
FLAT = IMAGES.reshape(24, -1)


@pytest.mark.parametrize(("columns", "names", "classes", "said"), [
    ({"image": FILES, "label": LABELS.tolist()}, {"label": ["cat", "dog"]}, ["cat", "dog"], "“image”, encoded pictures"),
    ({"img": [one["bytes"] for one in FILES], "fine": ["ab"[n] for n in LABELS]}, None, ["a", "b"], "“fine” as the class"),
    ({"image": FLAT.tolist(), "label": LABELS.astype(float)}, None, ["0", "1"], "pixels 12×12"),
    ({"pixels": IMAGES.tolist(), "y": LABELS > 0}, None, ["false", "true"], "“pixels”, pixels 12×12"),
    ({"label": LABELS, **{f"pixel{n}": FLAT[:, n] for n in range(144)}}, None, ["0", "1"], "144 columns of numbers"),
])
def test_parquet_as_it_is_found(tmp_path, columns, names, classes, said):
    parquet(columns, tmp_path / "a.parquet", names)
    found = here(tmp_path / "a.parquet", tmp_path / "out", name="train-00000.parquet", size=12)
    assert found["classes"] == classes and said in found["reading"] and "24 rows" in found["reading"], found
    kept = [image.tobytes() for image in np.load(tmp_path / "out/images.npy")]
    assert sorted(kept) == sorted(image.tobytes() for image in IMAGES) and nothing_left(tmp_path)
    wanted = {image.tobytes(): classes[label] for image, label in zip(IMAGES, LABELS, strict=True)}
    assert labels_of(found, tmp_path / "out") == [wanted[image] for image in kept]


def test_another_column_can_be_the_class_and_files_can_be_splits(tmp_path):
    data = parquet({"image": FILES, "label": LABELS.tolist(), "colour": [f"c{n % 3}" for n in range(24)]})
    archive = zipped(tmp_path / "a.zip", {"data/train-0.parquet": data, "data/test-0.parquet": parquet(
        {"image": [{"bytes": png(seed=n), "path": ""} for n in range(6)], "label": [0, 1] * 3, "colour": ["c1", "c2"] * 3})})
    found = here(archive, tmp_path / "out")
    assert found["classes"] == ["0", "1"] and parts(tmp_path) == [24, 6]
    assert found["readings"] == [["column:colour", "“colour” is the class"]] or found["readings"] == [
        ("column:colour", "“colour” is the class")]
    assert here(archive, tmp_path / "out", reading="column:colour")["classes"] == ["c0", "c1", "c2"]
    assert here(archive, tmp_path / "out", reading="column:no such")["classes"] == ["0", "1"]


@settings(max_examples=12)
@given(side=st.integers(9, 20), count=st.integers(6, 40), kind=st.sampled_from(["lists", "columns", "files"]),
       group=st.integers(3, 50), compression=st.sampled_from(["snappy", "gzip", "none"]))
def test_parquet_comes_back_as_it_was(tmp_path_factory, side, count, kind, group, compression):
    folder = tmp_path_factory.mktemp("back")
    images = np.random.default_rng(count).integers(0, 256, (count, side, side), np.uint8)
    images[0, 0, 0] = 255
    columns = {"lists": lambda: {"image": images.reshape(count, -1).tolist()},
               "columns": lambda: {f"p{n}": column for n, column in enumerate(images.reshape(count, -1).T)},
               "files": lambda: {"image": [{"bytes": png(image), "path": "x"} for image in images]}}[kind]()
    parquet(columns | {"label": np.arange(count) % 2}, folder / "a.parquet", row_group_size=group, compression=compression)
    here(folder / "a.parquet", folder / "out", name="a.parquet", size=side)
    assert sorted(image.tobytes() for image in np.load(folder / "out/images.npy")) == sorted(map(np.ndarray.tobytes, images))


WHOLE = parquet({"image": FILES, "label": LABELS.tolist()})


def with_footer(length: int) -> bytes:
    return WHOLE[:-8] + length.to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize(("data", "line"), [
    (WHOLE[:300], "does not begin and end as Parquet does"), (b"PAR1", "does not begin and end"), (b"PAR1PAR1", "does not begin"),
    (WHOLE[:-4] + b"PARE", "encrypted"), (with_footer(2**31 - 1), "at most"), (with_footer(40), "damaged"),
    (WHOLE[:-40] + b"\xff" * 30 + WHOLE[-10:], ""), (WHOLE[:4] + b"\xff" * (len(WHOLE) - 300) + WHOLE[-296:], ""),
    (parquet({"a": [1, 2, 3]}), "no column that could be a class"), (parquet({"label": [0, 1] * 9}), "no column of pictures"),
    (parquet({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}), "it has no rows"),
    (parquet({"image": [[1, 2, 3]] * 8, "label": [0, 1] * 4}), "no pictures of one size"),
    (parquet({"image": [[1.0] * 144] * 7 + [[1.0] * 9], "label": [0, 1] * 4}), "no pictures of one size"),
    (parquet({"image": [None] * 8, "label": [0, 1] * 4}), ""), (parquet({"image": [b""] * 8, "label": [0, 1] * 4}), "empty"),
    (parquet({"image": [b"no picture"] * 8, "label": [0, 1] * 4}), "not a picture"),
    (parquet({"image": [{"bytes": None, "path": "/etc/passwd"}] * 8, "label": [0, 1] * 4}), "no column of pictures"),
    (parquet({"image": [{"bytes": png(), "path": ""}] * 8, "label": [None] * 8}), "class"),
    (parquet({f"a{n}": [-1.0] * 4 for n in range(144)} | {"label": [0, 1] * 2}), "not all 0 or more"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_parquet_that_can_not_be_used_gets_one_line(tmp_path, data, line):
    (tmp_path / "a.parquet").write_bytes(data)
    found = here(tmp_path / "a.parquet", tmp_path / "out", name="a.parquet")
    said = found.get("refused") or "\n".join(reason for _, reason in found["rejected"][:1])
    assert line in said and said and len(said.splitlines()) == 1 and "Traceback" not in said


def deep(levels: int) -> pa.DataType:
    kind: pa.DataType = pa.int8()
    for _ in range(levels):
        kind = pa.struct([("a", kind)])
    return kind


@pytest.mark.parametrize("make", [
    lambda: parquet({f"c{n}": [1, 2] for n in range(3_000)}),  # and of ten million the footer alone is refused, above
    lambda: parquet({"image": pa.nulls(4, deep(300)), "label": [0, 1] * 2}),
    # a dictionary of one value of 8 MB, of which eight rows at a time would be 320 MB
    lambda: parquet({"image": pa.DictionaryArray.from_arrays([0] * 64, [b"\0" * 40_000_000]), "label": [0, 1] * 32}),
], ids=["columns", "nesting", "dictionary"])
def test_hostile_parquet_meets_the_limits_of_the_process(tmp_path, make):
    (tmp_path / "a.parquet").write_bytes(make())
    with pytest.raises(ImportRefused) as caught:
        import_images(tmp_path / "a.parquet", tmp_path / "data")
    assert len(str(caught.value).splitlines()) == 1
    assert_nothing_in(tmp_path / "data")


def test_parquet_is_read_within_the_limits_of_the_process(tmp_path):
    """pyarrow maps 200 MB, which does not count, and what it reads does."""
    columns = {"image": [{"bytes": png(seed=n, side=200), "path": ""} for n in range(60)], "label": [n % 3 for n in range(60)]}
    parquet(columns, tmp_path / "a.parquet", names={"label": ["a", "b", "c"]})
    report = import_images(tmp_path / "a.parquet", tmp_path / "data")
    assert (report.accepted, report.classes) == (60, ("a", "b", "c")) and "“label” as the class" in report.reading
    assert limits.LIBRARY < limits.MEMORY


# --- HEIC

HEIC = (CASES / "small.heic").read_bytes()


def test_heic_is_named_as_what_it_is(monkeypatch):
    whole = importlib.util.find_spec
    monkeypatch.setattr("core.importing.decode.find_spec", lambda name: None if name == "pi_heif" else whole(name))
    for data, line in ((HEIC, "send it as JPEG"), (HEIC[:40], "requirements-heic.txt"),
                       (b"\0\0\0\x1cftypavif", "an AVIF picture"),
                       (b"\0\0\0\x1cftypmp42", "a video or another kind of recording")):
        with pytest.raises(BadImage, match=line) as caught:
            decode(data, 32, 3, "pad")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("pi_heif") is None, reason="pip install -r requirements-heic.txt")
def test_heic_is_read_where_its_decoder_is(tmp_path):
    picture = decode(HEIC, 32, 3, "pad")
    red, green, _ = picture.pixels[:, 16, 12].astype(int)
    assert picture.pixels.shape == (3, 32, 32) and red > 180 > 90 > green
    with pytest.raises(BadImage, match="begins like a HEIC picture"):
        decode(HEIC[:300], 32, 3, "pad")
    files = {f"{kind}/{n}.heic": HEIC for kind in "ab" for n in range(3)}
    assert import_images(zipped(tmp_path / "a.zip", files), tmp_path / "data").accepted == 6
