"""Archives of a person's own images: what is taken, what is refused and why, and what stays behind when something goes wrong."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from core.config import RunConfig
from core.data import (
    DataError,
    DataMissing,
    ImportRefused,
    available,
    default_config,
    delete_imported,
    import_images,
    load,
    spec_of,
)
from core.data.own import importing as parent
from core.data.own.importing import check_archive, discard, keep
from core.data.own.sample_archive import sample_archive
from core.data.own.sets import FOLDER, own_sets, read_arrays
from core.importing import child
from core.importing.archive import MOST_BYTES
from core.importing.decode import BadImage, decode
from core.importing.duplicates import Prints, find_copies
from core.importing.names import plain_name
from core.importing.splits import drawn_test
from core.training import Finished, fit, prepare
from tests.archives import claimed_png, link, patched, png, saved, two_classes, zipped
from tests.helpers import wait_until

ROOT = Path(__file__).parents[1]


def refusal(archive: Path, into: Path, **options) -> str:
    with pytest.raises(ImportRefused) as caught:
        import_images(archive, into, **options)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert_nothing_in(into)
    return line


def assert_nothing_in(into: Path) -> None:
    assert not into.exists() or [path for path in into.rglob("*") if path.name != FOLDER] == []


def here(archive: Path, folder: Path, **options) -> dict:
    """The child's work in this process, without its limits: an archive takes milliseconds, and exceptions are seen."""
    folder.mkdir(exist_ok=True)
    asked = {"size": 28, "channels": 1, "fit": "pad", "test_share": 0.2, "seed": 0, "drop_copies": False} | options
    try:
        return child.read(child.Options(archive=str(archive), folder=str(folder), **asked), folder)
    except child.Refused as error:
        return {"refused": str(error)}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process the child's lines would go to pytest's output, and its parent is not a pipe."""
    monkeypatch.setattr(child, "_say", lambda done, total: None)
    monkeypatch.setattr(child, "_end_if_alone", lambda folder: None)


# --- the whole way


def test_class_folders_become_a_data_set_that_trains(tmp_path):
    root = tmp_path / "data"
    pictures = {f"set/{name}/{n}.png": png(np.full((9, 9), shade + n, np.uint8))
                for name, shade in (("dark", 0), ("light", 200)) for n in range(20)}
    seen = []
    report = import_images(zipped(tmp_path / "shades.zip", pictures), root, progress=lambda *at: seen.append(at))
    assert (report.accepted, report.resized, report.rejected, report.classes) == (40, 40, [], ("dark", "light"))
    assert (report.train_counts, report.test_counts) == ((16, 16), (4, 4))
    assert report.title == "shades" and seen[-1] == (40, 40)
    spec = spec_of(report.name, root)
    assert (spec.title, spec.classes, spec.input_shape, spec.counts) == ("shades", ("dark", "light"), (1, 28, 28), (32, 8))
    assert list(available(root))[-1] == report.name and spec.is_available(root)
    data = load(default_config(report.name, root), root)
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 5, 8)
    for split in (data.train, data.validation, data.test):  # every image's shade says its class
        images, labels = split.take(torch.arange(len(split)))
        assert torch.equal((images.float().mean((1, 2, 3)) > 100).long(), labels)
    config = RunConfig(data=default_config(report.name, root)).with_values(
        {"training.epochs": 8, "training.batch_size": 8, "training.device": "cpu", "training.precision": "float32"})
    data, model = prepare(config, root)
    events = list(fit(config, data, model, torch.device("cpu")))
    assert isinstance(events[-1], Finished) and events[-1].reason == "completed"
    answers = model(data.test.take(torch.arange(8))[0].float() / 255).argmax(1)
    assert torch.equal(answers, data.test.labels[data.test.rows])
    delete_imported(root, report.name)
    assert_nothing_in(root)
    with pytest.raises(DataMissing, match="deleted"):
        spec_of(report.name, root)
    with pytest.raises(DataMissing):
        delete_imported(root, report.name)


def test_the_environments_data_directory_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path))
    report = import_images(zipped(tmp_path / "a.zip", two_classes()), tmp_path, 32, 3)
    assert spec_of(report.name).input_shape == (3, 32, 32) and report.name in available()


def test_checked_and_dropped_leaves_nothing_and_kept_twice_gets_another_title(tmp_path):
    root, archive = tmp_path / "data", zipped(tmp_path / "a.zip", two_classes())
    checked = check_archive(archive, root)
    assert checked.samples(5).shape == (5, 1, 28, 28)
    assert own_sets(root) == []  # nothing is there before it is kept
    discard(checked)
    assert_nothing_in(root)
    with pytest.raises(DataError, match="Upload them again"):
        keep(checked, "late")
    titles = [import_images(archive, root, title="Pets [x](http://e.vil) <b>").title for _ in range(2)]
    assert titles == ["Pets (x)(http://e.vil) ‹b›", "Pets (x)(http://e.vil) ‹b› 2"]
    folder = root / FOLDER / own_sets(root)[0].id
    assert sorted(path.name for path in folder.iterdir()) == ["images.npy", "labels.npy", "meta.json", "test.npy"]
    assert "0.png" not in (folder / "meta.json").read_text(encoding="utf-8")  # names of files are nobody else's business


def test_an_uploads_bytes_are_as_good_as_a_file(tmp_path):
    data = memoryview(zipped(tmp_path / "a.zip", two_classes()).read_bytes())
    checked = check_archive(data, tmp_path / "data")
    assert checked.report.accepted == 8 and not list(checked.folder.glob("*.zip"))


def test_the_sample_shows_what_the_report_is_for(tmp_path, cache_dir):
    path = tmp_path / "sample.zip"
    path.write_bytes(sample_archive(tmp_path, cache_dir))
    report = import_images(path, tmp_path / "data")
    assert (report.accepted, report.rejected_count, len(report.classes)) == (202, 3, 10)
    assert {name.rpartition("/")[2] for name, _ in report.rejected} == {"cut off.png", "notes.txt", "lost.png"}
    assert report.exact_copies.pairs == (("digits/7/00.png", "digits/7/copy of 00.png"),)
    assert ("digits/7/00 lighter.png", "digits/7/00.png") in report.near_copies.pairs
    assert report.exact_copies.across == report.near_copies.across == 0  # our own split keeps copies together


@pytest.mark.parametrize("options, words", [
    ({"size": 7}, "8 to 128"), ({"channels": 2}, "1 for gray"), ({"fit": "stretch"}, "pad or crop"), ({"test_share": 1.0}, "0.9"),
])
def test_options_out_of_range_are_refused(tmp_path, options, words):
    assert words in refusal(zipped(tmp_path / "a.zip", two_classes()), tmp_path / "data", **options)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4", b"PK\5\6" + b"\0" * 18, b"\x1f\x8b" + b"\0" * 50, b"PK\1\2" * 500],
                         ids=["empty", "text", "magic", "no entries", "gzip", "records"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    assert refusal(tmp_path / "a.zip", tmp_path / "data")
    assert "no file" in refusal(tmp_path / "missing.zip", tmp_path / "data")


def test_a_data_directory_that_cannot_be_written_to_gets_one_line(tmp_path):
    (tmp_path / "data").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(DataError, match="set PLAYGROUND_DATA") as caught:
        import_images(zipped(tmp_path / "a.zip", two_classes()), tmp_path / "data")
    assert len(str(caught.value).splitlines()) == 1


# --- layouts


def labels_of(found: dict, folder: Path) -> list[str]:
    return [found["classes"][label] for label in np.load(folder / "labels.npy")]


@pytest.mark.parametrize("outer", ["", "all/", "all/data/"])
def test_splits_of_the_archive_are_used(tmp_path, outer):
    files = {f"{outer}{part}/{name}/{n}.png": png(seed=crc32(repr((part, name, n)).encode()))
             for part, count in (("train", 5), ("TEST", 2), ("val", 1)) for name in ("b", "a") for n in range(count)}
    found = here(zipped(tmp_path / "a.zip", files | {f"{outer}train/lost.png": png()}), tmp_path / "out")
    assert found["classes"] == ["a", "b"] and found["rejected"] == [(f"{outer}train/lost.png", "in no class folder")]
    assert np.load(tmp_path / "out/test.npy").tolist() == [False] * 12 + [True] * 4
    assert "training images: each run holds back its own" in " ".join(found["notes"])


@pytest.mark.parametrize("start, header", [(b"", b""), (b"\xef\xbb\xbf", b"file name, label\r\n"), (b"", b"image;class\n")])
def test_a_table_says_what_images_show(tmp_path, start, header):
    mark = b";" if b";" in header else b", "
    rows = [("shirt1.jpg", "0"), ("boot1.jpg", "10"), ("sub/hat.png", "9"), ("gone.png", "9"), ("boot2.png", ""), ("", "9"),
            ("twice.png", "9"), ("twice.png", "0"), ("../up.png", "0"), ("alone.png", "9")]
    table = start + header + b"\n".join(mark.join(cell.encode() for cell in row) for row in rows) + b"\nonly one cell\n\n"
    files = {"labels.csv": table, "deep/alone.png": png(seed=9)} | {
        name: png(seed=n, form="JPEG" if name.endswith("jpg") else "PNG")
        for n, name in enumerate(("shirt1.jpg", "boot1.jpg", "sub/hat.png", "boot2.png", "twice.png", "no row.png"))}
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert found["classes"] == ["0", "9", "10"]  # numbers in their order
    assert sorted(labels_of(found, tmp_path / "out")) == ["0", "10", "9", "9"]
    reasons = dict(found["rejected"])
    assert "not in the archive" in reasons["gone.png"] and "no label" in reasons["boot2.png"]
    assert "two different labels" in reasons["twice.png"] and "leads out" in reasons["../up.png"]
    assert "no row" in reasons["no row.png"]
    assert sum("needs a file name" in reason for reason in reasons.values()) == 2


@pytest.mark.parametrize("table, words", [
    (b'"' + b"x" * 200_000, "read as a table"), (b"a.png,x\n" * 200_002, "rows"), (b"x" * (9 << 20), "labels.csv"),
], ids=["endless cell", "rows", "large"])
def test_a_table_that_cannot_be_read_gets_one_line(tmp_path, table, words):
    archive = zipped(tmp_path / "a.zip", {"a.png": png(), "labels.csv": table}, zipfile.ZIP_STORED)
    found = here(archive, tmp_path / "out")
    assert words in found["refused"] and len(found["refused"].splitlines()) == 1


def test_names_in_any_script(tmp_path):
    names = ["猫", "собака", "كلب", "cafe\N{COMBINING ACUTE ACCENT}", "🐈", "a b"]
    files = {f"{name}/{n}.png": png(seed=10 * i + n) for i, name in enumerate(names) for n in range(2)}
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert set(found["classes"]) == {"猫", "собака", "كلب", "café", "🐈", "a b"}
    assert plain_name("a\n\tb\0c‮d [x](y) `$z$`") == "a b c d (x)(y) 'ｚ'".replace("ｚ", "＄z＄")


def test_utf8_names_without_the_flag_and_other_encodings(tmp_path):
    archive = zipped(tmp_path / "a.zip", two_classes() | {"maus/x.png": png(seed=77), "katz/x.png": png(seed=78)})
    data = archive.read_bytes().replace(b"maus", "мя".encode()).replace(b"katz", b"k\x84\x94z")
    archive.write_bytes(data)
    found = here(archive, tmp_path / "out")
    assert {"мя", "käöz"} <= set(found["classes"])
    assert any("not in UTF-8" in note for note in found["notes"])


# --- hostile archives: each file gets its line, the others are taken


HOSTILE = {
    "../../evil.png": "leads out", "cat/../../evil.png": "leads out", "/etc/evil.png": "absolute", "C:\\evil.png": "absolute",
    "\\\\server\\evil.png": "absolute", "cat/inner.zip": "not a zip file", "cat/inner.tar": "not a zip file",
    "cat/disguised.png": "archive inside", "cat/bomb.png": "times its size", "cat/large.raw": "MB; at most",
    "cat/empty.png": "empty", "cat/notes.txt": "not a picture",
}


def test_hostile_entries_each_get_their_line(tmp_path):
    inner = zipped(tmp_path / "inner.zip", two_classes()).read_bytes()
    content = {"cat/inner.zip": inner[:50], "cat/inner.tar": b"x", "cat/disguised.png": inner, "cat/bomb.png": b"\0" * (8 << 20),
               "cat/large.raw": b"\0" * (MOST_BYTES + 1), "cat/empty.png": b"", "cat/notes.txt": b"hello"}
    entries = [*two_classes().items(), *((name, content.get(name, png())) for name in HOSTILE),
               (link("cat/link.png"), b"/etc/passwd"), ("cat/0.png", png(seed=5)),
               ("__MACOSX/cat/._0.png", b"x"), ("cat/.DS_Store", b"x"), ("Thumbs.db", b"x")]
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(tmp_path / "a.zip", entries)
    before = sorted(tmp_path.rglob("*"))
    report = import_images(archive, tmp_path / "data")
    assert (report.accepted, report.ignored, report.classes) == (8, 3, ("cat", "dog"))
    reasons = dict(report.rejected)
    for name, words in HOSTILE.items():
        assert words in reasons[name], (name, reasons.get(name))
    assert "link" in reasons["cat/link.png"] and "second time" in reasons["cat/0.png"]
    assert report.rejected_count == len(HOSTILE) + 2
    new = {path for path in tmp_path.rglob("*") if path not in before}
    assert {path for path in new if not path.is_relative_to(tmp_path / "data")} == set()


def test_encrypted_entries_and_lying_headers(tmp_path):
    names = ("secret", "lzma", "short", "crc")
    files = two_classes() | {f"cat/{name}.png": png(seed=50 + n) for n, name in enumerate(names)}
    archive = zipped(tmp_path / "a.zip", files)
    patched(archive, "cat/secret.png", 8, b"\1\0")  # general purpose flags: encrypted
    patched(archive, "cat/lzma.png", 10, b"\x0e\0")  # compression method
    patched(archive, "cat/short.png", 24, (5).to_bytes(4, "little"))  # uncompressed size
    patched(archive, "cat/crc.png", 16, b"\0\0\0\0")
    found = here(archive, tmp_path / "out")
    reasons = dict(found["rejected"])
    assert "password" in reasons["cat/secret.png"] and "packed in a way" in reasons["cat/lzma.png"]
    assert "cat/short.png" in reasons and "damaged in the archive" in reasons["cat/crc.png"]
    assert np.load(tmp_path / "out/images.npy").shape == (8, 1, 28, 28)


def test_a_bomb_by_sum_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    files = {f"cat/{n}.png": np.random.default_rng(n).bytes(40_000) + b"\0" * 950_000 for n in range(3)}
    monkeypatch.setattr("core.importing.archive.MOST_TOTAL", 2_000_000)
    assert "unpacks to" in here(zipped(tmp_path / "a.zip", files), tmp_path / "out")["refused"]


def plain_png(rows: int, noisy: int = 0) -> bytes:
    """A gray PNG of 1,024 pixels a row that is not compressed itself, and so much smaller in a zip file; `noisy` rows stay."""
    pixels = np.full((rows, 1024), 90, np.uint8)
    pixels[:noisy] = np.random.default_rng(0).integers(0, 256, (noisy, 1024), dtype=np.uint8)
    return png(pixels, compress_level=0)


def test_a_bomb_is_more_than_a_megabyte_that_shrinks_to_less_than_a_hundredth(tmp_path):
    files = two_classes() | {"cat/even.png": plain_png(1000), "cat/large.png": plain_png(1100),
                             "cat/busy.png": plain_png(1500, 10), "cat/calm.png": plain_png(1500, 8)}
    archive = zipped(tmp_path / "a.zip", files)
    with zipfile.ZipFile(archive) as opened:
        sizes = {name: (opened.getinfo(name).file_size, opened.getinfo(name).compress_size) for name in files}
    assert sizes["cat/even.png"][0] < 1 << 20 < sizes["cat/large.png"][0]
    ratio = {name: size / packed for name, (size, packed) in sizes.items()}
    assert ratio["cat/even.png"] > 200 and 80 < ratio["cat/busy.png"] < 100 < ratio["cat/calm.png"] < 125
    rejected = dict(here(archive, tmp_path / "out")["rejected"])
    assert set(rejected) == {"cat/large.png", "cat/calm.png"}
    assert rejected["cat/calm.png"] == f"unpacks to {int(ratio['cat/calm.png'])} times its size; no picture does"


def test_a_directory_that_says_a_large_file_takes_no_bytes_gets_its_line(tmp_path):
    archive = zipped(tmp_path / "a.zip", two_classes() | {"cat/none.png": plain_png(1100)})
    patched(archive, "cat/none.png", 20, b"\0" * 4)  # compressed size
    assert "times its size" in dict(here(archive, tmp_path / "out")["rejected"])["cat/none.png"]


def test_overlapping_entries_count_each_time(tmp_path):
    """D. Fifield: A better zip bomb (2019): many directory records, one body."""
    archive = zipped(tmp_path / "a.zip", {"cat/a.png": png(), "cat/b.png": png(seed=1), "dog/c.png": png(seed=2)})
    patched(archive, "cat/b.png", 42, (0).to_bytes(4, "little"))  # offset of its local header: that of a.png
    found = here(archive, tmp_path / "out")
    assert dict(found["rejected"]).keys() == {"cat/b.png"}


def test_very_many_files_get_a_bounded_report(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "MOST_LINES", 10)
    monkeypatch.setattr(child, "MOST_IMAGES", 40)
    files = two_classes() | {f"cat/{n}.txt": b"x" for n in range(30)}
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert (len(found["rejected"]), found["rejected_count"]) == (10, 30)
    assert found["reasons"] == [("not a picture (PNG, JPEG, WebP, BMP, GIF, TIFF or PGM)", 30)]
    files |= {f"dog/{n}.txt": b"x" for n in range(30)}
    assert "at most 40" in here(zipped(tmp_path / "a.zip", files), tmp_path / "out")["refused"]
    monkeypatch.setattr("core.importing.archive.MOST_ENTRIES", 40)
    assert "lists 68 files" in here(tmp_path / "a.zip", tmp_path / "out")["refused"]


@pytest.mark.parametrize("files, words", [
    ({"cat/a.png": png()}, "one class, “cat”"), ({"a.png": png(), "b.png": png(seed=1)}, "in no class folder"),
    ({"cat/a.txt": b"x", "dog/b.txt": b"y"}, "None of the 2 files"), ({}, "holds no images"),
    ({".DS_Store": b"x"}, "holds no images"),
    ({f"c{n:04}/a.png": png(side=1) for n in range(1001)}, "1,001 classes"),
], ids=["one class", "no folders", "no pictures", "empty", "hidden", "classes"])
def test_nothing_to_learn_is_refused(tmp_path, files, words):
    found = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert words in found["refused"] and len(found["refused"].splitlines()) == 1


def test_empty_and_single_image_classes_get_a_line(tmp_path):
    entries = [*two_classes().items(), ("bird/", b""), ("fish/broken.png", b"\x89PNG"), ("ant/a.png", png(seed=99))]
    found = here(zipped(tmp_path / "a.zip", entries), tmp_path / "out")
    assert found["classes"] == ["ant", "cat", "dog"]
    assert any("“bird”, “fish”" in note for note in found["notes"]) and any("Only one image: “ant”" in n for n in found["notes"])
    few = here(zipped(tmp_path / "b.zip", {f"{name}/x.png": png(seed=n) for n, name in enumerate("abc")}), tmp_path / "few")
    assert len(few["classes"]) == 3 and np.load(tmp_path / "few/test.npy").sum() == 1


# --- pictures


@pytest.mark.parametrize("data, words", [
    (claimed_png(13_000, 13_000), "megapixels"), (png()[:-30], "cut off"), (png(form="JPEG", side=64)[:400], "cut off"),
    (png(form="GIF")[:20], "damaged"), (png(form="BMP")[:60], "cut off"), (png(form="TIFF")[:40], "damaged"),
    (png(form="WEBP")[:30], "damaged"),
    (saved(Image.new("L", (9, 9)), "PNG", save_all=True, append_images=[Image.new("L", (9, 9), 255)]), "animation"),
    (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    (b"\0\0\0\x18ftypheic", "HEIC"), (b"%PDF-1.7", "PDF"), (b"", "empty"), (b"hello", "not a picture"),
    (b"\x89PNG\r\n\x1a\n", "damaged"), (b"\xff\xd8\xff", "damaged"), (claimed_png(0, 5), "damaged"),
])
def test_bad_pictures_get_a_reason(data, words):
    with pytest.raises(BadImage, match=words):
        decode(data, 28, 1, "pad")


def test_sixteen_bits_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 28 * 28).astype(np.uint16).reshape(28, 28)
    assert np.array_equal(decode(png(ramp), 28, 1, "pad").pixels[0], (ramp >> 8).astype(np.uint8))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_clear_pixels_are_paper_white(mode):
    image = Image.new("RGBA", (28, 28), (0, 0, 0, 0))  # black under clear pixels, as many programs write them
    image.paste((0, 0, 0, 255), (7, 7, 21, 21))
    image.paste((0, 0, 0, 128), (0, 0, 28, 4))
    pixels = decode(saved(image.quantize(8) if mode == "P" else image.convert(mode)), 28, 1, "pad").pixels[0]
    assert pixels[25, 25] == 255 and pixels[14, 14] == 0 and abs(int(pixels[2, 14]) - 127) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation):
    pixels = np.zeros((40, 20, 3), np.uint8)
    pixels[:10, :5] = (255, 0, 0)
    pixels[30:, 15:] = (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(pixels), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        upright = ImageOps.exif_transpose(image)
    assert np.array_equal(decode(data, 20, 3, "pad").pixels, decode(saved(upright), 20, 3, "pad").pixels)


def test_cmyk_palette_and_bits_have_their_colours():
    red = np.broadcast_to(np.array([230, 20, 10], np.uint8), (28, 28, 3))
    cmyk = saved(Image.fromarray(red.copy()).convert("CMYK"), "JPEG", quality=95)
    for data in (cmyk, saved(Image.fromarray(red.copy()).quantize(4)), saved(Image.fromarray(red.copy()), "JPEG", quality=95)):
        pixels = decode(data, 28, 3, "pad").pixels
        assert np.abs(pixels.astype(int) - red.transpose(2, 0, 1)).max() <= 6
    bits = saved(Image.fromarray(np.eye(28, dtype=np.uint8) * 255).convert("1"))
    assert np.array_equal(decode(bits, 28, 1, "pad").pixels[0], np.eye(28) * 255)


def test_photographs_with_a_second_picture_inside_are_no_animations():
    first, second = Image.new("RGB", (30, 30), "white"), Image.new("RGB", (30, 30), "black")
    assert decode(saved(first, "MPO", save_all=True, append_images=[second]), 28, 1, "pad").pixels.min() > 250


def test_shapes_are_kept_by_a_margin_or_by_cutting():
    wide = np.full((20, 40), 50, np.uint8)
    wide[:, 10:30] = 200
    padded, cut = (decode(png(wide), 20, 1, fit).pixels[0] for fit in ("pad", "crop"))
    assert np.all(padded[:5] == 50) and np.all(padded[15:] == 50)  # the colour of the edge
    assert np.all(padded[5:15, 7:13] == 200) and np.all(padded[5:15, :3] == 50)
    assert np.all(cut == 200)
    same = decode(png(wide[:, :20]), 20, 1, "pad")
    assert not same.resized and np.array_equal(same.pixels[0], wide[:, :20])
    assert decode(png(np.zeros((1, 3000), np.uint8)), 28, 1, "pad").pixels.shape == (1, 28, 28)


def test_shrinking_agrees_with_torchvision():
    from core.torchvision_guard import torchvision

    pixels = np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8)
    theirs = torchvision.transforms.v2.functional.resize(torch.from_numpy(pixels)[None], [28, 28], antialias=True)
    assert np.abs(decode(png(pixels), 28, 1, "pad").pixels.astype(int) - theirs.numpy()).max() <= 1


# --- copies and splits


def prints_of(images: list[np.ndarray]) -> Prints:
    prints = Prints()
    for image in images:
        prints.add(image[None])
    return prints


def test_copies_are_found_exact_and_near(digits):
    images = list(digits.train.images[digits.train.rows[:60], 0].numpy())
    jpeg = np.asarray(Image.open(io.BytesIO(png(images[3], form="JPEG", quality=60))))
    found = find_copies(prints_of([*images, images[5], jpeg, (images[7] * 0.9).astype(np.uint8)]))
    assert (5, 60) in found.exact and len(found.exact) == 1
    assert {(3, 61), (7, 62)} <= set(found.near) and len(found.near) <= 4
    assert find_copies(prints_of([np.zeros((8, 8), np.uint8), np.full((8, 8), 9, np.uint8)])).near == []  # one gray each


def test_the_drawn_split_takes_a_share_of_each_class_and_keeps_copies_together():
    labels = np.repeat([0, 1, 2, 3], [50, 10, 2, 1])
    rows = np.arange(63)
    rows[10:15] = 10  # five copies of one image
    test = drawn_test(labels, rows, 0.2, seed=3)
    assert np.bincount(labels[test], minlength=4).tolist() == [10, 2, 1, 0]
    assert len(set(test[10:15])) == 1
    assert np.array_equal(test, drawn_test(labels, rows, 0.2, seed=3))
    assert not np.array_equal(test, drawn_test(labels, rows, 0.2, seed=4))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_no_class_of_two_or_more_goes_to_test_whole(share):
    labels = np.repeat([0, 1, 2, 3], [2, 3, 9, 1])
    tests = [drawn_test(labels, np.arange(15), share, seed) for seed in range(20)]
    assert len({tuple(test[:2]) for test in tests}) == 2, "chance decides which of two is learned from"
    for test in tests:
        counts = np.bincount(labels[test], minlength=4)
        # a share of 2, 3 and 9, at least one and never all; one picture alone is learned from
        assert counts.tolist() == {0.05: [1, 1, 1, 0], 0.5: [1, 2, 4, 0], 0.9: [1, 2, 8, 0]}[share]


def test_a_class_whose_pictures_are_all_copies_of_another_ones_is_learned_from_too():
    """Both pictures of class 1 are there as class 0 as well, and a test set of nine tenths would take all of them."""
    labels, groups = np.repeat([0, 1], [20, 2]), np.array([*range(20), 0, 1])
    for seed in range(20):
        test = drawn_test(labels, groups, 0.9, seed)
        assert test[0] == test[20] and test[1] == test[21], "copies stay together"
        assert 0 < test[:20].sum() < 20 and not test[20:].all()


def test_a_class_of_one_picture_may_be_tested_with_its_copy():
    """Class 1 is one picture, a copy of one of class 0's: it goes where that one goes."""
    sides = set()
    for seed in range(20):
        test = drawn_test(np.repeat([0, 1], [10, 1]), np.array([*range(10), 0]), 0.5, seed)
        assert test[0] == test[10] and test[:10].sum() == 5
        sides.add(bool(test[10]))
    assert sides == {False, True}


@pytest.mark.parametrize(("count", "share", "tested"), [(10, 0.3, 3), (2, 0.2, 1), (3, 0.1, 1), (1, 0.5, 0)])
def test_of_classes_that_are_one_picture_each_a_share_is_tested(count, share, tested):
    tests = [drawn_test(np.arange(count), np.arange(count), share, seed) for seed in range(20)]
    assert {int(test.sum()) for test in tests} == {tested}
    assert not tested or len({tuple(test) for test in tests}) > 1, "chance decides which"


def test_the_same_picture_under_two_labels_is_on_one_side_of_our_split(tmp_path):
    same = {f"{name}/same {n}.png": png(seed=n) for name in ("cat", "dog") for n in range(10)}
    more = {f"{name}/own {n}.png": png(seed=first + n) for first, name in ((100, "cat"), (200, "dog")) for n in range(10)}
    for seed in range(5):
        found = here(zipped(tmp_path / "a.zip", same | more), tmp_path / f"out{seed}", test_share=0.5, seed=seed)
        assert (found["copies"]["conflicts"], found["copies"]["exact_across"], found["copies"]["exact_within"]) == (10, 0, 10)
        images, test = np.load(tmp_path / f"out{seed}/images.npy"), np.load(tmp_path / f"out{seed}/test.npy")
        tested = {image.tobytes() for image in images[test]}
        assert test.sum() > 10 and not tested & {image.tobytes() for image in images[~test]}


def test_a_class_that_the_archive_has_for_testing_alone_gets_a_line(tmp_path):
    files = {f"{part}/{name}/{n}.png": png(seed=crc32(f"{part}{name}{n}".encode()))
             for part, name in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "c")) for n in range(2)}
    notes = here(zipped(tmp_path / "a.zip", files), tmp_path / "out")["notes"]
    assert notes == ["Only test images, so the network never sees it: “c”."]


def test_copies_across_given_splits_are_counted_and_dropped_on_request(tmp_path):
    same = png(seed=1)
    files = {f"{part}/{name}/{n}.png": png(seed=crc32(repr((part, name, n)).encode()))
             for part in ("train", "test") for name in "ab" for n in range(3)}
    files |= {"train/a/s.png": same, "test/a/s.png": same, "train/b/other label.png": same, "train/a/s2.png": same}
    archive = zipped(tmp_path / "a.zip", files)
    found = here(archive, tmp_path / "out")
    assert (found["copies"]["exact_across"], found["copies"]["exact_within"], found["copies"]["conflicts"]) == (3, 0, 1)
    fewer = here(archive, tmp_path / "fewer", drop_copies=True)
    test, labels = np.load(tmp_path / "fewer/test.npy"), np.load(tmp_path / "fewer/labels.npy")
    assert fewer["dropped"] == 2 and len(test) == 14
    assert (np.bincount(labels[test]).tolist(), np.bincount(labels[~test]).tolist()) == ([4, 3], [3, 4])  # kept for testing
    images = np.load(tmp_path / "fewer/images.npy")
    wanted = decode(same, 28, 1, "pad").pixels
    assert [(labels[row], test[row]) for row in range(14) if np.array_equal(images[row], wanted)] == [(1, False), (0, True)]


# --- anything at all


NAME = st.text(st.sampled_from("ab.é猫/\\ :*\0\n[") | st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda name: name[0] != "\0")  # zipfile can't write it
PATH = st.one_of(
    st.builds(lambda folder, name: f"{folder}/{name}.png", st.sampled_from(["cat", "dog", "train/cat", "test/dog", ".h"]), NAME),
    NAME, st.just("labels.csv"))
GOOD = [png(seed=n, side=4) for n in range(3)]
CONTENT = st.sampled_from(GOOD) | st.binary(max_size=40) | st.builds(lambda data, cut: data[:cut], st.sampled_from(GOOD),
                                                                       st.integers(0, 80))
TABLES = st.lists(st.tuples(NAME, NAME), max_size=6).map(lambda rows: "\n".join(",".join(row) for row in rows).encode())


@settings(max_examples=80)
@given(entries=st.lists(st.tuples(PATH, CONTENT | TABLES), max_size=12), flips=st.lists(st.tuples(st.integers(0, 10_000),
                                                                                      st.integers(0, 255)), max_size=3))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_archive_is_imported_or_refused_and_every_file_is_accounted_for(tmp_path_factory, entries, flips):
    place = tmp_path_factory.mktemp("any")
    archive = zipped(place / "a.zip", [(name, data) for name, data in entries])
    data = bytearray(archive.read_bytes())
    for where, value in flips:
        data[where % len(data)] = value
    archive.write_bytes(bytes(data))
    found = here(archive, place / "out")
    assert {path.name for path in place.iterdir()} == {"a.zip", "out"}
    if "refused" in found:
        assert found["refused"] and len(found["refused"].splitlines()) == 1
        return
    images, labels, test = (np.load(place / "out" / name) for name in ("images.npy", "labels.npy", "test.npy"))
    assert len(images) == len(labels) == len(test) >= 2 and len(found["classes"]) == len(set(labels)) >= 2
    assert test.any() and not test.all() and sorted(test) == list(test)
    assert all(name == plain_name(name) for name in found["classes"])
    if not flips and not any(name.lower().endswith("labels.csv") for name, _ in entries):
        folders = sum(name.endswith(("/", "\\")) or not name.strip("/.\\") for name, _ in entries)
        counted = len(images) + found["rejected_count"] + found["ignored"]
        assert counted <= len(entries) <= counted + folders


def test_the_same_archive_and_seed_give_the_same_data_set(tmp_path):
    files = two_classes(6)
    first = here(zipped(tmp_path / "a.zip", files), tmp_path / "one")
    second = here(zipped(tmp_path / "b.zip", dict(reversed(files.items()))), tmp_path / "two")  # another order of entries
    assert first == second
    for name in ("images.npy", "labels.npy", "test.npy"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# --- the process


# not ru_maxrss, which begins with the size of the process that forked
SAY_PEAK = "; print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def test_the_child_needs_no_torch_and_little_memory():
    code = "import core.importing.child, sys; print('torch' in sys.modules, 'pandas' in sys.modules)" + SAY_PEAK
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert out[:2] == ["False", "False"] and int(out[2]) < 100_000  # kB


def test_memory_stays_below_300_mb_whatever_is_uploaded(tmp_path):
    """The largest pictures that are let in, in the ways that cost most to decode."""
    side = (3990, 4000)
    clear = saved(Image.new("P", side, 3), transparency=3)
    files = two_classes() | {
        "cat/rgba.png": saved(Image.new("RGBA", side, (9, 9, 9, 9))), "cat/palette.png": clear,
        "cat/gray.png": saved(Image.fromarray(np.full(side, 40_000, np.uint16))),
        "dog/progressive.jpg": saved(Image.new("CMYK", side, "red"), "JPEG", progressive=True),
        "dog/claimed.png": claimed_png(60_000, 60_000)}
    archive = zipped(tmp_path / "a.zip", files, zipfile.ZIP_STORED)
    code = "import sys; from core.importing.child import main; main(sys.argv[1])" + SAY_PEAK
    options = {"archive": str(archive), "folder": str(tmp_path), "size": 64, "channels": 3, "fit": "pad", "test_share": 0.2,
               "seed": 0, "drop_copies": False}
    with open("/dev/zero", encoding="utf-8") as endless:  # a parent that stays
        done = subprocess.run([sys.executable, "-c", code, json.dumps(options)], cwd=ROOT, capture_output=True, text=True,
                              check=True, stdin=endless)
    assert int(done.stdout.split()[-1]) < 300_000, done.stdout  # kB
    found = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert {name for name, _ in found["rejected"]} == {"dog/claimed.png"}  # the others fit
    resource = pytest.importorskip("resource", reason="Windows does not count it so")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert import_images(archive, tmp_path / "data", 64, 3).accepted == 12
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; of this process


def test_what_goes_over_the_limits_gets_one_line(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", two_classes())
    monkeypatch.setattr(parent, "SECONDS", 0.01)
    assert "too long" in refusal(archive, tmp_path / "data")
    monkeypatch.undo()
    monkeypatch.setattr("core.subprocesses.ROOT", tmp_path)  # no such module there: the child dies at once
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert "failed (exit code 1)" in refusal(archive, tmp_path / "data")


@pytest.mark.parametrize(("code", "out_of_time", "words"), [
    (0, True, "too long"), (-signal.SIGXCPU, False, "too long"), (-signal.SIGKILL, False, "too long"),
    (-signal.SIGSEGV, False, "exit code -11"), (9, False, "exit code 9"), (24, False, "exit code 24"), (0, False, "exit code 0")])
def test_how_the_reading_process_ended_is_told_apart(code, out_of_time, words):
    assert words in parent._why_it_died(code, out_of_time)


def test_a_page_that_is_left_in_the_middle_leaves_nothing(tmp_path):
    class Left(BaseException):
        """As Streamlit's exceptions for a page that is left."""

    def leave(done: int, total: int) -> None:
        raise Left

    with pytest.raises(Left):
        import_images(zipped(tmp_path / "a.zip", two_classes()), tmp_path / "data", progress=leave)
    assert_nothing_in(tmp_path / "data")


def test_a_server_that_is_killed_in_the_middle_leaves_nothing(tmp_path):
    picture = png(side=900, compress_level=1)
    files = {f"{name}/{n}.png": picture for name in ("cat", "dog") for n in range(200)}
    archive, root = zipped(tmp_path / "a.zip", files, zipfile.ZIP_STORED), tmp_path / "data"
    code = "import sys; from pathlib import Path; from core.data import import_images; import_images(*map(Path, sys.argv[1:]))"
    server = subprocess.Popen([sys.executable, "-c", code, str(archive), str(root)], cwd=ROOT)
    images = wait_until(lambda: next(root.glob("imported/.staging-*/images.npy"), None), lambda: "nothing is staged")
    wait_until(lambda: images.stat().st_size > 1000 or server.poll() is not None, lambda: "nothing is written")
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL and own_sets(root) == []
    wait_until(lambda: not images.parent.exists(), lambda: list(images.parent.iterdir()))  # the child notices and tidies up
    time.sleep(0.2)
    assert_nothing_in(root)


def test_what_both_left_behind_is_swept_at_the_next_import(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / FOLDER / f".staging-{dead.pid}-abc"
    left.mkdir(parents=True)
    (left / "images.npy").write_bytes(b"half")
    report = import_images(zipped(tmp_path / "a.zip", two_classes()), tmp_path)
    assert not left.exists()
    assert read_arrays(tmp_path, report.name).images.shape == (8, 1, 28, 28)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux what is open")
def test_nothing_in_a_set_is_open_when_it_gets_its_name(tmp_path, monkeypatch):
    """Windows renames no folder in which a file is open or mapped, and flushes no file that was opened for reading alone."""
    flushed, renamed, flush, rename = [], [], os.fsync, os.rename

    def is_written_to(handle):
        flushed.append(os.readlink(f"/proc/self/fd/{handle}"))
        access = next(line for line in Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="utf-8").splitlines()
                      if line.startswith("flags:"))
        assert int(access.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
        flush(handle)

    def is_closed(old, new):
        for handle in Path("/proc/self/fd").iterdir():
            assert str(old) not in (os.readlink(handle) if handle.is_symlink() else ""), handle
        assert str(old) not in Path("/proc/self/maps").read_text(encoding="utf-8")
        renamed.append(new)
        rename(old, new)

    monkeypatch.setattr("os.fsync", is_written_to)
    monkeypatch.setattr("os.rename", is_closed)
    report = import_images(zipped(tmp_path / "a.zip", two_classes()), tmp_path)
    assert len(renamed) == 1 and {Path(path).name for path in flushed} >= {"images.npy", "labels.npy", "test.npy"}
    assert read_arrays(tmp_path, report.name).images.shape == (8, 1, 28, 28)
