"""A run as a bundle and back: what comes back is the run, and whatever else is brought is refused in one line."""

import hashlib
import io
import json
import pickle
import re
import stat
import subprocess
import tempfile
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save

from core.__main__ import main
from core.config import config_bytes
from core.export import described
from core.importing import bundle
from core.runs import Metric, RunStore, load_model
from core.runs.made_with import read_made_with
from core.settings import Settings
from core.takeaway import Subject, TakeawayError, bring_back, take
from core.takeaway.bundle import core_files, write_bundle
from core.takeaway.metrics_table import metrics_csv
from core.takeaway.record import lines_of, record_of
from core.training import Intervention
from tests.helpers import tiny
from tests.hostile import HOSTILE


@pytest.fixture(scope="module")
def subject(trained, places) -> Subject:
    store, run = trained
    return Subject(store, run, Settings(places / "data", store.path, places / "cache"))


@pytest.fixture(scope="module")
def files(subject) -> dict[str, bytes]:
    """What is brought back, without what takes long to make."""
    return core_files(subject) | {"metrics.csv": metrics_csv(subject), "train.py": b"print('train')\n"}


@pytest.fixture(scope="module")
def bundled(files) -> bytes:
    return write_bundle(files, {})


@pytest.fixture
def in_this_process(monkeypatch):
    """The child's work here, without its limits: a process takes a second for each."""
    monkeypatch.setattr(bundle, "limit", lambda memory, seconds: None)
    monkeypatch.setattr("core.takeaway.brought_back.run", lambda module, options, **bounds: bundle.main(options))


def refused(store: RunStore, content: bytes) -> str:
    """The line with which a bundle is refused, after which nothing is left of it."""
    before = sorted(path.name for path in store.path.iterdir())
    with pytest.raises(TakeawayError) as error:
        bring_back(store, content, "me")
    line = str(error.value)
    assert line and "\n" not in line and len(line) < 400 and tempfile.gettempdir() not in line.replace(str(store.path), "")
    assert store.runs() == [] and sorted(path.name for path in store.path.iterdir()) == before
    return line


# --- back and forth

def test_what_comes_back_is_the_run(subject, store, settings):
    """Everything, through the process with limits."""
    run = bring_back(store, take(subject, "bundle"), "me")
    first = subject.run
    assert run.id != first.id and run.owner == "me" and run.title == f"Brought in: {first.title}"
    assert run.message.startswith("Brought here as a bundle; its figures are what the bundle says.")
    for name in ("config", "status", "steps_per_epoch", "steps", "step", "epoch", "parameters", "device", "precision",
                 "validation_accuracy", "test_accuracy", "test_loss", "seconds"):
        assert getattr(run, name) == getattr(first, name), name
    assert store.metrics(run.id).series == subject.store.metrics(first.id).series
    mine, its = load_model(store, run.id), load_model(subject.store, first.id)
    images = torch.rand(20, 1, 28, 28)
    assert torch.equal(mine.predict(images), its.predict(images)) and mine.classes == its.classes
    lines = {line.name: line.value for line in lines_of(record_of(store, run), run)}
    assert lines["Brought here"].startswith(f"as a bundle of run {first.id}, made with Torch Playground")
    its_lines = lines_of(record_of(subject.store, first), first)
    assert [line for line in its_lines if lines[line.name] != line.value] == []
    again = bring_back(store, take(Subject(store, run, settings), "bundle"), "me")  # and once more
    assert again.id != run.id and store.metrics(again.id).series == store.metrics(run.id).series


def test_a_bundle_says_what_it_holds(subject):
    with zipfile.ZipFile(io.BytesIO(take(subject, "bundle"))) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
        assert archive.testzip() is None
    assert set(content) == {"config.json", "run.json", "checkpoint.safetensors", "train.py", "weights.pth", "model.onnx",
                            "model.pt2", "metrics.csv", "charts.zip", "tensorboard.zip", "README.md", "bundle.json", "SHA256SUMS"}
    sums = dict(reversed(line.split("  ")) for line in content["SHA256SUMS"].decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in content.items() if name != "SHA256SUMS"}
    assert list(json.loads(content["bundle.json"])["left_out"]) == ["notebook"]
    assert content["README.md"] == take(subject, "card") and content["train.py"] == take(subject, "script")


@pytest.mark.usefixtures("in_this_process")
def test_a_run_without_weights_comes_back_without_them(store, settings):
    other = RunStore(settings.runs_dir.with_name("other"))
    run = other.create_running(tiny(), "tester", "here", "cut short")
    other.record(run.id, [Metric("loss", 1, float("nan")), Metric("-odd", 3, -1e300)], step=3)
    other.finish(run.id, "failed", "It was cut short.")
    subject = Subject(other, other.get(run.id), settings)
    brought = bring_back(store, write_bundle(core_files(subject) | {"metrics.csv": metrics_csv(subject)}, {}), "me")
    other.close()
    assert brought.status == "failed" and brought.message.endswith("It ended with: It was cut short.")
    series = store.metrics(brought.id).series
    assert series["-odd"] == ([3], [-1e300]) and np.isnan(series["loss"][1]).all()
    assert not (store.folder(brought.id) / "checkpoint.safetensors").exists()


BY_HAND = [Intervention(1, 3, "learning_rate", 0.001, 0.01), Intervention(2, 5, "weight", 0.25, -1.5, "fc1", 2, 7),
           Intervention(3, 5, "weight", 0.0, 2.0, "fc2", 4)]


@pytest.mark.usefixtures("in_this_process")
def test_what_was_changed_by_hand_comes_back(store, files):
    about = json.loads(files["run.json"])
    about["record"]["changed_by_hand"] = [described(one) for one in BY_HAND]
    run = bring_back(store, write_bundle(files | {"run.json": json.dumps(about).encode()}, {}), "me")
    assert store.interventions(run.id) == BY_HAND


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("change", [
    {"what": "weight", "layer": "fc1; import os", "row": 0, "column": 0},
    {"what": "weight", "layer": "fc1", "row": 8, "column": 0},
    {"what": "weight", "layer": "fc1", "row": "0]; import os #", "column": 0}, {"what": "weight", "layer": "fc1"},
    {"what": "learning_rate", "after": 1e9}, {"what": "learning_rate", "after": "0.1"}, {"what": "learning_rate", "before": 0},
    {"what": "learning_rate", "step": 10**9}, {"what": "learning_rate", "step": -1}, {"what": "learning_rate", "step": 1.5},
    {"what": "optimizer"}, {"what": ["weight"]}, {"what": None}])
def test_changes_by_hand_that_cannot_have_been_are_refused(store, files, change):
    """A script repeats them: nothing may stand in one that this run's network does not have."""
    about = json.loads(files["run.json"])
    about["record"]["changed_by_hand"] = [{"step": 1, "before": 0.1, "after": 0.2} | change]
    assert "changes by hand" in refused(store, write_bundle(files | {"run.json": json.dumps(about).encode()}, {}))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_of_any_signs_comes_back(store, files, title):
    about = json.loads(files["run.json"]) | {"title": title}
    run = bring_back(store, write_bundle(files | {"run.json": json.dumps(about).encode()}, {}), "me")
    assert run.title == f"Brought in: {' '.join(title.split()) or about['id'][:8]}"


def test_the_command_line_takes_a_bundle_back(subject, bundled, tmp_path, capsys):
    (tmp_path / "run.zip").write_bytes(bundled)
    where = ["--runs", str(tmp_path / "runs"), "--data", str(tmp_path)]
    assert main(["import", str(tmp_path / "run.zip"), *where]) == 0
    run_id, status = capsys.readouterr().out.split()[:2]
    assert RunStore(tmp_path / "runs").get(run_id).config == subject.run.config and status == "finished"
    (tmp_path / "run.zip").write_bytes(bundled[:-100])
    for bad, says in ((tmp_path / "run.zip", "cut short"), (tmp_path / "none.zip", "can't be read: No such file")):
        assert main(["import", str(bad), *where]) == 2
        said = capsys.readouterr()
        assert said.out == "" and says in said.err and said.err.count("\n") == 1


# --- damage

def anew(bundled: bytes, change: Callable[[zipfile.ZipInfo, bytes], tuple[zipfile.ZipInfo, bytes] | None],
         more: Callable[[zipfile.ZipFile], object] = lambda archive: None) -> bytes:
    """The zip written again with its entries changed, so that the zip itself is whole."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundled)) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            if changed := change(info, old.read(info)):
                new.writestr(*changed)
        more(new)
    return file.getvalue()


def same(info, content):
    return info, content


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("name", ["config.json", "run.json", "checkpoint.safetensors", "metrics.csv", "train.py", "bundle.json"])
def test_a_changed_byte_is_seen(store, bundled, name):
    changed = anew(bundled, lambda info, content: (info, content[:-1] + bytes([content[-1] ^ 1]) if info.filename == name
                                                   else content))
    assert refused(store, changed) == f"The bundle was changed after it was made: {name} is not what its checksum says."


@pytest.mark.usefixtures("in_this_process")
def test_bytes_that_change_on_the_way_are_seen(store, bundled):
    with zipfile.ZipFile(io.BytesIO(bundled)) as archive:
        place = archive.getinfo("checkpoint.safetensors").header_offset + 2000
    for at in (0, 30, place, len(bundled) // 2, len(bundled) - 60):
        content = bytearray(bundled)
        content[at] ^= 0x41
        refused(store, bytes(content))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.99, 0.9999])
def test_a_bundle_that_is_cut_short_is_refused(store, bundled, share):
    assert "cut short" in refused(store, bundled[:int(share * len(bundled))])


def link(archive):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def pipe(archive):
    info = zipfile.ZipInfo("pipe")
    info.external_attr = (stat.S_IFIFO | 0o777) << 16
    archive.writestr(info, "")


def twice(archive):
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")


def bomb(archive):
    archive.writestr("zeros.bin", bytes(30_000_000), zipfile.ZIP_DEFLATED)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("more", "says"), [
    (lambda archive: archive.writestr("../../evil", "x"), "leads out of the archive"),
    (lambda archive: archive.writestr("/etc/evil", "x"), "an absolute path"),
    (lambda archive: archive.writestr("C:\\evil", "x"), "an absolute path"),
    (lambda archive: archive.writestr("a\\..\\..\\evil", "x"), "leads out of the archive"),
    (link, "link is a link to another file"), (pipe, "pipe is not an ordinary file"),
    (twice, "config.json is there twice"),
    (lambda archive: archive.writestr("Config.json", "{}"), "Config.json is there twice"),
    (bomb, "times its size"), (lambda archive: archive.writestr("new.txt", "x"), "new.txt has no checksum"),
    (lambda archive: archive.writestr("x", "x", zipfile.ZIP_LZMA), "packed in a way that is not read here"),
    (lambda archive: [archive.writestr(f"file{n}", "x") for n in range(70)], "lists 77 files"),
    (lambda archive: archive.writestr("line\nbreak\x1b[31m", "x"), "has no checksum")])
def test_what_no_bundle_has_is_refused(store, bundled, more, says):
    assert says in refused(store, anew(bundled, same, more))


def lying(bundled: bytes, name: str, size: int) -> bytes:
    """The directory says another size of a file than it has."""
    content = bytearray(bundled)
    at = bundled.rindex(b"PK\x01\x02", 0, bundled.rindex(name.encode()))
    content[at + 24:at + 28] = size.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("size", "says"), [(10, "is longer than it says|can't be unpacked"), (999_999, "cut short|unpacked"),
                                            (4_000_000_000, "at most 200.0 MB are read")])
def test_sizes_that_lie_are_found_out(store, bundled, size, says):
    assert re.search(says, refused(store, lying(bundled, "checkpoint.safetensors", size)))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("drop", ["config.json", "checkpoint.safetensors", "SHA256SUMS", "bundle.json", "train.py"])
def test_a_missing_file_is_named(store, bundled, drop):
    line = refused(store, anew(bundled, lambda info, content: None if info.filename == drop else (info, content)))
    assert drop in line


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("drop", ["config.json", "run.json"])
def test_a_bundle_needs_its_settings_and_its_record(store, files, drop):
    content = write_bundle({name: data for name, data in files.items() if name != drop}, {})
    assert refused(store, content) == f"The bundle is incomplete: it has no {drop}."


def anything(**values):
    return lambda files: files | {"run.json": json.dumps(json.loads(files["run.json"]) | values).encode()}


def config_with(**values):
    return lambda files: files | {"config.json": json.dumps(json.loads(files["config.json"]) | values).encode()}


def weights_with(change):
    def make(files):
        tensors = change(safetensors_load(files["checkpoint.safetensors"]))
        content = files["checkpoint.safetensors"]
        about = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        return files | {"checkpoint.safetensors": safetensors_save(tensors, about)}
    return make


def file_with(name: str, content: bytes):
    return lambda files: files | {name: content}


HEAD = b"step,epoch,loss\n"


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("change", "says"), [
    (anything(test_accuracy=7), "says test_accuracy '7', which can't be"),
    (anything(test_accuracy="9" * 1000), "says test_accuracy"), (anything(test_accuracy=True), "says test_accuracy"),
    (anything(step=-1), "says step '-1'"), (anything(step=1.5), "says step '1.5'"), (anything(seconds=[1]), "says seconds"),
    (anything(epoch=10**30), "says epoch"), (anything(status="running"), "only runs that have ended"),
    (anything(status=None), "only runs that have ended"), (file_with("run.json", b"[1]"), "run.json is damaged"),
    (file_with("run.json", b"[" * 200_000), "run.json is damaged"), (file_with("run.json", b"\xff"), "run.json is damaged"),
    (file_with("run.json", b"{" + b" " * 2_000_000 + b"}"), "at most 1.0 MB are read"),
    (config_with(model={"architecture": "transformer"}), "no 'transformer'"),
    (config_with(flux_capacitor=1), "there is no such field"), (file_with("config.json", b"nonsense"), "not valid JSON"),
    (config_with(training={"epochs": 9}), "settings"),
    (weights_with(lambda tensors: {name: value + float("nan") for name, value in tensors.items()}), "NaN"),
    (weights_with(lambda tensors: {name: value[:1] for name, value in tensors.items()}), "needs torch.float32"),
    (weights_with(lambda tensors: {"other": torch.zeros(1)}), "for another network"),
    (file_with("checkpoint.safetensors", b""), "weights can't be used"),
    (file_with("checkpoint.safetensors", b"\xff" * 100), "weights can't be used"),
    (file_with("metrics.csv", b""), "metrics.csv is damaged"), (file_with("metrics.csv", b"\xff\xfe"), "metrics.csv is damaged"),
    (file_with("metrics.csv", HEAD + b"1,0.1,one\n"), "metrics.csv is damaged"),
    (file_with("metrics.csv", HEAD + b"2,0.1,1\n1,0.1,1\n"), "metrics.csv is damaged"),
    (file_with("metrics.csv", HEAD + b"-1,0.1,1\n"), "metrics.csv is damaged"),
    (file_with("metrics.csv", HEAD + b"1,0.1\n"), "metrics.csv is damaged"),
    (file_with("metrics.csv", HEAD + b"9" * 5000 + b",0.1,1\n"), "metrics.csv is damaged"),
    (file_with("metrics.csv", b"step,epoch,loss,loss\n1,1,1,1\n"), "metrics.csv is damaged"),
    (file_with("metrics.csv", b"step,epoch," + b",".join(b"m%d" % n for n in range(3000)) + b"\n"), "metrics.csv is damaged"),
    (file_with("metrics.csv", HEAD + b'1,0.1,"' + b"1" * 200_000 + b'"\n'), "metrics.csv is damaged"),
])
def test_what_is_well_signed_and_wrong_is_refused_too(store, files, change, says):
    assert says in refused(store, write_bundle(change(files), {}))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("about", "says"), [
    ({"torch_playground_bundle": 2, "version": "9.1.0"}, "form (2; this version reads 1), written by Torch Playground 9.1.0"),
    ({"torch_playground_bundle": "1"}, "of unknown version"), ({}, "another form (None"), ([], "bundle.json is damaged")])
def test_a_bundle_of_another_version_says_so(store, bundled, about, says):
    content = json.dumps(about).encode()
    digest = hashlib.sha256(content).hexdigest()

    def change(info, old):
        if info.filename == "bundle.json":
            return info, content
        if info.filename == "SHA256SUMS":
            lines = [line for line in old.decode().splitlines() if not line.endswith("bundle.json")]
            return info, "".join(f"{line}\n" for line in [*lines, f"{digest}  bundle.json"]).encode()
        return info, old

    assert says in refused(store, anew(bundled, change))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("sums", [b"", b"nonsense\n", b"\xff\xfe", b"0" * 64 + b"  config.json\n" + b"1" * 64 +
                                  b"  config.json\n"])
def test_damaged_checksums_are_refused(store, bundled, sums):
    assert refused(store, anew(bundled, lambda info, old: (info, sums if info.filename == "SHA256SUMS" else old)))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("content", [b"", b"PK", b"hello" * 1000, b"PK\x05\x06" + bytes(18), bytes(5000)])
def test_what_is_no_bundle_is_refused(store, content):
    assert "bundle" in refused(store, content)


def test_a_file_that_is_too_large_is_not_even_written(store, monkeypatch):
    monkeypatch.setattr("core.takeaway.brought_back.MOST_BYTES", 1000)
    monkeypatch.setattr("core.takeaway.brought_back.run", lambda *arguments, **bounds: pytest.fail("it was read"))
    assert "a bundle may have" in refused(store, bytes(1001))


def test_a_reader_that_dies_or_hangs_gets_one_line(store, bundled, monkeypatch):
    monkeypatch.setattr("core.takeaway.brought_back.run", lambda *arguments, **bounds: -9)
    assert "failed (exit code -9)" in refused(store, bundled)

    def hang(*arguments, **bounds):
        raise subprocess.TimeoutExpired("reader", 120)

    monkeypatch.setattr("core.takeaway.brought_back.run", hang)
    assert "takes too long" in refused(store, bundled)


def test_the_process_that_reads_has_limits(tmp_path, bundled, monkeypatch):
    """They are set before anything is read; what it writes has names of ours."""
    asked = []
    monkeypatch.setattr(bundle, "limit", lambda memory, seconds: asked.append((memory, seconds)))
    (tmp_path / "run.zip").write_bytes(bundled)
    bundle.main(json.dumps({"file": str(tmp_path / "run.zip"), "folder": str(tmp_path)}))
    assert asked == [(bundle.MEMORY, bundle.CPU_SECONDS)]
    ours = {"run.zip", "result.json", "config.json", "run.json", "checkpoint.safetensors", "metrics.npz"}
    assert {path.name for path in tmp_path.iterdir()} == ours


@pytest.mark.usefixtures("in_this_process")
def test_a_full_disk_leaves_nothing_behind(store, bundled, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.runs.checkpoints.write_atomically", full)
    assert "the disk is full" in refused(store, bundled)


class Opens:
    """What a pickle could do as it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_nothing_of_a_bundle_is_run(store, files, tmp_path):
    """Scripts and pickles in it are only compared with their checksums."""
    marker = tmp_path / "written"
    code = f"open({str(marker)!r}, 'w')".encode()
    content = write_bundle(files | {"train.py": code, "weights.pth": pickle.dumps(Opens(str(marker)))}, {})
    assert bring_back(store, content, "me").status == "finished"
    assert not marker.exists()
    assert read_made_with(store, store.runs()[0].id)["brought"]["run"]
    assert config_bytes(store.runs()[0].config) == files["config.json"]
