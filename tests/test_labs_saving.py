"""Saving: tables and files against torch itself; uploads against hostile, damaged and merely wrong files."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save
from torch import nn

from core.figures.weights import answers_figure
from core.labs.saving import (
    MARKER,
    MISFITS,
    forget_eval,
    misfit,
    network,
    read_weights,
    refused_pickle,
    saved_files,
    saving_code,
    state_rows,
)
from core.weights import file as weights_file
from core.weights.file import WeightsRefused, WeightsReport, plain
from core.weights.pickle import describe_pickle, names_in


def saved(what: object, **options) -> bytes:
    file = io.BytesIO()
    torch.save(what, file, **options)
    return file.getvalue()


def refused(content: bytes, name: str = "mine.pth") -> str:
    with pytest.raises(WeightsRefused) as caught:
        read_weights(content, name)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400 and line.endswith(".") and name.split(".")[0] in line
    return line


def rezipped(content: bytes, change=lambda name, data: data, **options) -> bytes:
    """The archive again, entry by entry changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", **options) as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                new.writestr(info.filename, data)
    return out.getvalue()


# --- the network and its files


def test_the_network_is_what_its_code_builds():
    torch.manual_seed(0)
    plain_pytorch = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    for name, tensor in network().state_dict().items():
        torch.testing.assert_close(tensor, plain_pytorch.state_dict()[name], rtol=0, atol=0)


def test_the_network_leaves_the_shared_random_numbers_of_others_alone():
    torch.manual_seed(7)
    network()
    first = forget_eval(True).answers
    torch.rand(3)
    torch.testing.assert_close(forget_eval(True).answers, first, rtol=0, atol=0)


def test_the_table_by_hand():
    rows = {row.name: row for row in state_rows(network())}
    assert list(rows) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
                          "4.weight", "4.bias"]
    assert (rows["0.weight"].shape, rows["0.weight"].dtype, rows["0.weight"].size) == ((8, 4), "float32", 128)
    assert (rows["1.num_batches_tracked"].shape, rows["1.num_batches_tracked"].dtype) == ((), "int64")
    assert rows["1.num_batches_tracked"].size == 8 and rows["1.weight"].first == (1.0, 1.0, 1.0, 1.0)
    assert sum(row.size for row in rows.values()) == (32 + 8 + 4 * 8 + 24 + 3) * 4 + 8


def test_three_files_of_the_same_network():
    files = saved_files(network())
    assert len(files["object"].content) > len(files["weights"].content) > len(files["safetensors"].content)
    for name in ("weights", "object"):
        with zipfile.ZipFile(io.BytesIO(files[name].content)) as archive:
            assert [(entry.name, entry.size) for entry in files[name].entries] == [
                (info.filename, info.file_size) for info in archive.infolist()]
        assert all(entry.about for entry in files[name].entries)
    weights = torch.load(io.BytesIO(files["weights"].content), weights_only=True)
    assert weights.keys() == network().state_dict().keys() == safetensors_load(files["safetensors"].content).keys()
    assert sum(entry.size for entry in files["safetensors"].entries) == len(files["safetensors"].content)
    assert json.loads(files["safetensors"].header)["0.weight"]["shape"] == [8, 4]
    assert "torch.nn.modules.linear.Linear" in files["object"].names
    assert "torch.nn.modules.linear.Linear" not in files["weights"].names


def test_names_are_what_torch_finds():
    for file in saved_files(network()).values():
        if file.names:
            found = {name.replace("__builtin__.", "builtins.") for name in
                     torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(file.content))}
            assert found <= set(file.names) | {"builtins.set"}


# --- the refused pickle


def test_nothing_in_the_refused_pickle_runs(capfd):
    result = refused_pickle()
    assert MARKER not in "".join(capfd.readouterr())
    assert result.names == ["builtins.print"] and MARKER.encode() in result.content
    assert "Weights only load failed" in result.message and "\x1b" not in result.message
    assert "builtins.print" in result.ours
    # the file would do it, in hands less careful: the pickle itself is live
    with zipfile.ZipFile(io.BytesIO(result.content)) as archive:
        data = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    pickle.loads(data)
    assert capfd.readouterr().out == f"{MARKER}\n"


def test_the_message_is_torchs_own():
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(io.BytesIO(refused_pickle().content), weights_only=True)
    assert "GLOBAL print was not an allowed global" in str(caught.value)
    assert "GLOBAL print was not an allowed global" in refused_pickle().message


# --- misfits


@pytest.mark.parametrize(("kind", "words"), [("missing", 'Missing key(s) in state_dict: "4.weight", "4.bias"'),
                                             ("unexpected", 'Unexpected key(s) in state_dict: "5.weight", "5.bias"'),
                                             ("shape", "size mismatch for 0.weight"), ("prefix", '"module.0.weight"')])
def test_misfits_are_load_state_dicts_words(kind, words):
    assert words in misfit(kind) and misfit(kind).startswith("Error(s) in loading state_dict for Sequential")
    assert MISFITS[kind].about and MISFITS[kind].fix


def test_every_misfit_has_a_message():
    for kind in MISFITS:
        assert misfit(kind)
    with pytest.raises(KeyError):
        misfit("colour")


def test_what_mends_a_prefix_mends_it():
    weights = {f"module.{name}": tensor for name, tensor in network().state_dict().items()}
    network().load_state_dict({name.removeprefix("module."): tensor for name, tensor in weights.items()})
    assert 'removeprefix("module.")' in MISFITS["prefix"].fix


# --- eval


def test_eval_gives_the_same_answer_and_train_does_not():
    assert forget_eval(False).spread == 0 and forget_eval(False).drift == 0
    assert forget_eval(True).spread > 0.05 and forget_eval(True).drift > 0.05
    assert forget_eval(True, dropout=0.0).spread > 0.01, "batch norm alone"
    assert forget_eval(True, batch_norm=False).spread > 0.01 and forget_eval(True, batch_norm=False).drift == 0, "dropout alone"
    assert forget_eval(True, dropout=0.0, batch_norm=False).spread == 0
    torch.testing.assert_close(forget_eval(True).answers.sum(1), torch.ones(5))


def test_answers_in_eval_mode_are_the_networks():
    example = torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    expected = network().eval()(example).softmax(1)[0].detach()
    for answer in forget_eval(False, times=3).answers:
        torch.testing.assert_close(answer, expected)


def test_the_figure_shows_every_answer():
    figure = answers_figure([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]], ["a", "b", "c"])
    assert [bar.y for bar in figure.data] == [(0.2, 0.1), (0.3, 0.1), (0.5, 0.8)]
    assert figure.data[2].text == ("50.0 %", "80.0 %")
    sure = answers_figure([[0.0, 1.0]], ["a", "b"])
    assert [bar.text for bar in sure.data] == [("< 0.1 %",), ("> 99.9 %",)], "a network is never all sure"
    assert all("%{text}" in bar.hovertemplate for bar in sure.data)


@pytest.mark.parametrize(("training", "dropout", "norm"), [(True, 0.5, True), (False, 0.3, False)])
def test_the_code_runs_alone_and_prints_the_pages_numbers(training, dropout, norm, tmp_path):
    script = tmp_path / "save.py"
    script.write_text(saving_code(training, dropout, norm), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    torch.testing.assert_close(torch.tensor(answers), forget_eval(training, dropout, norm).answers, atol=6e-5, rtol=0)
    assert "0.weight: (8, 4) torch.float32, 128 bytes" in done.stdout
    assert read_weights((tmp_path / "weights.pth").read_bytes(), "weights.pth").size > 0
    assert read_weights((tmp_path / "weights.safetensors").read_bytes(), "weights.safetensors").kind == "safetensors"


# --- uploads that are fine


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3, bias=False)
        self.b = nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight


GOOD = {
    "a network": lambda: network().state_dict(),
    "a convolution in channels_last": lambda: nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last).state_dict(),
    "transposed": lambda: {"w": torch.arange(6.0).reshape(2, 3).T},
    "a slice": lambda: {"w": torch.arange(10.0)[3:7]},
    "tied": lambda: Tied().state_dict(),
    "parameters": lambda: {"w": nn.Parameter(torch.ones(2))},
    "empty tensors": lambda: {"w": torch.empty(0, 5), "v": torch.ones(1)},
    "half": lambda: {"w": torch.ones(3, dtype=torch.float16), "v": torch.full((2,), 1.5, dtype=torch.bfloat16)},
    "one number": lambda: {"n": torch.tensor(3)},
}


@pytest.mark.parametrize("what", GOOD)
def test_a_pth_is_read_as_torch_reads_it(what, monkeypatch):
    content = saved(GOOD[what]())
    expected = torch.load(io.BytesIO(content), weights_only=True)
    read = {}
    monkeypatch.setattr(weights_file, "rows_of", lambda weights: read.update(weights) or [])
    read_weights(content, "mine.pth")
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(read[name], tensor.detach(), rtol=0, atol=0)
        assert read[name].stride() == tensor.stride()


def test_reports_say_what_is_there():
    weights = network().state_dict()
    for kind, content in (("PyTorch", saved(weights)), ("safetensors", safetensors_save(weights))):
        report = read_weights(content, "whatever.bin")
        assert (report.kind, report.size, report.numbers) == (kind, len(content), 32 + 8 + 32 + 1 + 24 + 3)
        assert sorted(report.rows, key=lambda row: row.name) == sorted(state_rows(network()), key=lambda row: row.name)
        assert report.note == ""


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_weights_inside_a_training_checkpoint_are_found(key):
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 4)).sum().backward()
    optimizer.step()
    report = read_weights(saved({"epoch": 3, key: model.state_dict(), "optimizer": optimizer.state_dict()}), "ckpt.pth")
    assert len(report.rows) == 9 and key in report.note and "`epoch`" in report.note


def test_a_runs_own_weights_are_read(trained):
    store, run = trained
    content = (store.folder(run.id) / "checkpoint.safetensors").read_bytes()
    assert read_weights(content, "checkpoint.safetensors").numbers == 784 * 8 + 8 + 8 * 10 + 10


# --- uploads that are not


class Calls:
    def __init__(self, function, *arguments) -> None:
        self.what = function, arguments

    def __reduce__(self) -> tuple:
        return self.what


ran = []


def note_that_it_ran(*arguments) -> None:
    ran.append(arguments)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("function", [note_that_it_ran, print, bytearray, getattr])
def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(function, protocol, capsys):
    ran.clear()
    line = refused(saved({"weight": Calls(function, 10**12)}, pickle_protocol=protocol))
    assert ran == [] and capsys.readouterr().out == ""
    assert "refused" in line or "damaged" in line
    refused(pickle.dumps({"weight": Calls(function, 10**12)}, protocol=protocol))
    assert ran == []


def with_pickle(data: bytes) -> bytes:
    return rezipped(saved({"w": torch.ones(2)}), lambda name, old: data if name.endswith("data.pkl") else old)


def bomb() -> bytes:
    """A small deflated archive of 200 MB of zeros; torch.load would unpack it."""
    content = saved({"w": torch.ones(1)})
    return rezipped(content, lambda name, data: bytes(200_000_000) if name.endswith("data/0") else data,
                    compression=zipfile.ZIP_DEFLATED)


def lying_sizes() -> bytes:
    """Stored entries, and a directory that says one has a gigabyte."""
    content = bytearray(saved({"w": torch.ones(1000)}))
    place = content.find(b"PK\x01\x02")
    while content[place + 46:place + 46 + struct.unpack("<H", content[place + 28:place + 30])[0]].find(b"data/0") < 0:
        place = content.find(b"PK\x01\x02", place + 4)
    content[place + 20:place + 28] = struct.pack("<II", 10**9, 10**9)
    return bytes(content)


def described(shape: tuple, stride: tuple, offset: int = 0, count: int = 2, dtype: bytes = b"FloatStorage") -> bytes:
    """A pickle whose one tensor is described as one likes, over a storage of 2 float32 numbers."""
    def number(value: int) -> bytes:
        data = pickle.encode_long(value)
        return b"\x8a" + bytes([len(data)]) + data

    def numbers(values: tuple) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    def text(value: bytes) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value

    storage = b"(" + text(b"storage") + b"ctorch\n" + dtype + b"\n" + text(b"0") + text(b"cpu") + number(count) + b"tQ"
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + numbers(shape) + numbers(stride)
              + b"\x89ccollections\nOrderedDict\n)RtR")
    return with_pickle(b"\x80\x02}(" + text(b"w") + tensor + b"u.")


def shared(times: int) -> bytes:
    one = torch.ones(100_000)
    return saved({f"w{i}": one for i in range(times)})


def with_nan(value: float) -> dict:
    return {"ok": torch.ones(2), "bad": torch.tensor([1.0, value, value])}


HOSTILE = {  # what: (file, a word of the line)
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"these are my weights, really\n" * 100, "neither"),
    "html": (lambda: b"<!DOCTYPE html><html>404</html>", "neither"),
    "truncated": (lambda: saved(network().state_dict())[:-300], "damaged"),
    "truncated early": (lambda: saved(network().state_dict())[:500], "damaged"),
    "a flipped bit": (lambda: (lambda c: c.replace(c[700:720], bytes(20), 1))(saved(network().state_dict())), ""),
    "another zip": (lambda: rezipped(saved({"w": torch.ones(1)}), lambda n, d: None if "data.pkl" in n else d), "data.pkl"),
    "a deflated bomb": (bomb, "compressed"),
    "lying sizes": (lying_sizes, ""),
    "sparse": (lambda: saved({"w": torch.eye(3).to_sparse()}), "sparse"),
    "sparse csr": (lambda: saved({"w": torch.eye(3).to_sparse_csr()}), "sparse"),
    "NaN": (lambda: saved(with_nan(float("nan"))), "NaN or infinite"),
    "infinite": (lambda: saved(with_nan(float("inf"))), "2 values"),
    "NaN in safetensors": (lambda: safetensors_save(with_nan(float("nan"))), "NaN or infinite"),
    "float64": (lambda: saved({"w": torch.ones(2, dtype=torch.float64)}), "float64"),
    "float64 in safetensors": (lambda: safetensors_save({"w": torch.ones(2, dtype=torch.float64)}), "float64"),
    "complex": (lambda: saved({"w": torch.ones(2, dtype=torch.complex64)}), "complex64"),
    "quantized": (lambda: saved({"w": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}), "more than plain"),
    "a whole network": (lambda: saved(network()), "model.state_dict()"),
    "a number": (lambda: saved(3), "no state_dict"),
    "a list": (lambda: saved([torch.ones(2)]), "no state_dict"),
    "no tensors": (lambda: saved({}), "no tensors"),
    "a text among tensors": (lambda: saved({"w": torch.ones(1), "note": "hi"}), "no state_dict"),
    "the format before 1.6": (lambda: saved({"w": torch.ones(1)}, _use_new_zipfile_serialization=False), "1.6"),
    "expanded": (lambda: saved({"w": torch.ones(1).expand(10**9)}), "share"),
    "expanded a little": (lambda: described((100,), (0,)), "does not fit"),
    "a shape beyond its numbers": (lambda: described((1000,), (1,)), "does not fit"),
    "an offset beyond": (lambda: described((1,), (1,), offset=2), "does not fit"),
    "a negative stride": (lambda: described((2,), (-1,), offset=1), "does not fit"),
    "an astronomic stride": (lambda: described((2,), (2**63,)), "does not fit"),
    "a storage that claims more": (lambda: described((2,), (1,), count=10**12), "does not fit"),
    "a wider number format": (lambda: described((2,), (1,), dtype=b"DoubleStorage"), "does not fit"),
    "a hundred dimensions": (lambda: described((1,) * 100, (1,) * 100), "does not fit"),
    "shared a thousand times": (lambda: shared(1000), "share"),
    "20,000 names": (lambda: saved(dict.fromkeys(map(str, range(20_000)), torch.ones(1))), "reads at most"),
    "a tuple nested 300,000 times": (lambda: with_pickle(b"\x80\x02}X\x01\x00\x00\x00w)" + b"\x85" * 300_000 + b"s."),
                                     "state_dict"),
    "nested as a key": (lambda: with_pickle(b"\x80\x02})" + b"\x85" * 300_000 + b"K\x01s."), "damaged"),
    "a pickle without end": (lambda: with_pickle(b"\x80\x02" + b"N" * 1_000_000 + b"."), "longer"),
    "an empty pickle": (lambda: with_pickle(b""), "damaged"),
    "a TorchScript program": (lambda: torchscript(), "TorchScript"),
    "safetensors cut short": (lambda: safetensors_save(network().state_dict())[:-8], "damaged"),
    "safetensors with a wild header": (lambda: struct.pack("<Q", 12) + b'{"w": [1,2]}', "damaged"),
    "safetensors nested": (lambda: (lambda h: struct.pack("<Q", len(h)) + h)(b"{" * 100_000), "damaged"),
    "a huge header": (lambda: struct.pack("<Q", 3_000_000) + b"{" + b" " * 3_000_000, "header"),
}


def torchscript() -> bytes:
    content = saved({"w": torch.ones(1)})
    folder = zipfile.ZipFile(io.BytesIO(content)).namelist()[0].split("/")[0]
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(f"{folder}/constants.pkl", b"")
    return out.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", HOSTILE)
def test_bad_files_get_one_line(what):
    make, word = HOSTILE[what]
    assert word in refused(make())


def test_a_file_above_the_limit_is_not_looked_at():
    assert "at most 50 MB" in refused(b"PK\x03\x04" + bytes(weights_file.MAX_BYTES))


def test_a_directory_of_a_million_entries_is_not_read():
    assert "damaged" in refused(b"PK\x03\x04" + (b"PK\x01\x02" + bytes(42)) * 30_000)


@pytest.mark.parametrize("name", ["<script>.pth", "![x](http://e.vil/x.png).pth", "a\nb`c.pth", "模型.pth", "x" * 500])
def test_names_are_shown_as_plain_code(name):
    shown = plain(name)
    assert shown[0] == shown[-1] == "`" and len(shown) <= 62
    assert not set(shown[1:-1]) & set("`<>!\n*$\\")
    assert shown in str(pytest.raises(WeightsRefused, read_weights, b"", name).value)
    assert plain("模型.pth") == "`模型.pth`"


@pytest.mark.parametrize("key", ["\n**bold**", "<img src=x>", "`code`", "$x$"])
def test_tensor_names_cannot_break_the_line(key):
    assert "\n" not in refused(saved({key: torch.tensor([float("nan")])}))


def check_any(content: bytes) -> None:
    try:
        report = read_weights(content, "any.pth")
    except WeightsRefused as refusal:
        assert "\n" not in str(refusal)
    else:
        assert isinstance(report, WeightsReport) and report.rows


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_get_a_report_or_a_line(content):
    check_any(content)
    check_any(b"PK\x03\x04" + content)
    check_any(struct.pack("<Q", len(content) + 1) + b"{" + content)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_pickle_gets_a_report_or_a_line(data):
    check_any(with_pickle(data))
    check_any(with_pickle(b"\x80\x02}(X\x01\x00\x00\x00w" + data + b"u."))


FILES = [saved(network().state_dict()), safetensors_save(network().state_dict())]
PICKLE = next(zipfile.ZipFile(io.BytesIO(FILES[0])).read(name) for name in zipfile.ZipFile(io.BytesIO(FILES[0])).namelist()
              if name.endswith("data.pkl"))


@settings(max_examples=300)
@given(st.sampled_from(range(3)), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
       st.integers(0, 10**6))
def test_a_damaged_file_gets_a_report_or_a_line(which, changes, cut):
    """Bytes changed in whole files, and in a pickle whose archive is right again."""
    content = bytearray(PICKLE if which == 2 else FILES[which])
    for place, value in changes:
        content[place % len(content)] = value
    content = bytes(content[:len(content) - cut % 50 if cut % 3 == 0 else len(content)])
    check_any(with_pickle(content) if which == 2 else content)


def test_a_good_pickle_is_described_and_its_checksum_matters():
    assert list(describe_pickle(PICKLE)) == list(network().state_dict())
    assert names_in(PICKLE)[0] == "collections.OrderedDict"
    content = bytearray(FILES[0])
    place = content.find(network().state_dict()["0.weight"].numpy().tobytes())
    content[place] ^= 1
    assert zlib.crc32(content) and "damaged" in refused(bytes(content))
