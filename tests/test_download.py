"""Downloads against a small server on this machine: whole and checked, or one line and nothing left behind."""

import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.config import DataConfig
from core.data import DATASETS, DataDamaged, DataError, DataMissing, load
from core.data import download as module
from core.data.download import Remote, download, remotes
from core.data.download.lock import LOCK, PROGRESS, DownloadRunning, Progress, progress_of
from core.data.download.speed import Speed
from tests.idx_files import NAMES, idx_bytes, make_arrays

FILES = {"one.gz": bytes(range(256)) * 1000, "two.gz": b"two" * 50_000}  # 256 and 150 kB: several pieces each
FOLDER = "MNIST/raw"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """The first part of a path says how its file is served."""

    def do_GET(self) -> None:
        how, name = self.path.strip("/").split("/")
        self.server.asked.append(self.path)
        content = self.server.files.get(name, b"")
        if how == "status404":
            return self.send_error(404)
        if how == "status500":
            return self.send_error(500, "Out of\torder")
        if how == "garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            return
        if how == "hangup":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if how == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
            return
        if how.startswith("ranged"):
            return self.ranged(how, name, content)
        self.send_response(200)
        if how == "chunked":  # a chunk that ends early
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"ffff\r\n" + content[:1000])
            return
        if how == "lying":
            self.send_header("Content-Length", "many")
        elif how != "lengthless":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if how == "truncated":
            self.wfile.write(content[:len(content) // 2])
        elif how == "wrong":
            self.wfile.write(b"\0" * len(content))
        elif how == "slow":
            for start in range(0, len(content), 5000):
                self.wfile.write(content[start:start + 5000])
                self.wfile.flush()
        elif how == "silent":
            self.wfile.write(content[:1000])
            self.wfile.flush()
            self.server.go_on.wait(60)
        else:
            self.wfile.write(content)

    def ranged(self, how: str, name: str, content: bytes) -> None:
        """A server that can give the rest of a file. ranged: with an ETag; ranged-dated: with a date; ranged-nameless: with
        neither, and it does not look at If-Range; ranged-astray: the wrong rest."""
        tag, wanted = f'"{md5(content)}"', self.headers.get("Range")
        self.server.ranges.append((wanted, self.headers.get("If-Range")))
        known = {"ranged": tag, "ranged-dated": "Sat, 01 Jan 2000 00:00:00 GMT"}.get(how, "")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if known and self.headers.get("If-Range") not in (None, known):
            start = 0
        if wanted and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start or how == "ranged-unasked" else 200)
        if known:
            self.send_header("ETag" if how == "ranged" else "Last-Modified", known)
        if start:
            told = start + 7 if how == "ranged-astray" else start
            self.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][:self.server.cuts.pop(0) if self.server.cuts else None])

    def log_message(self, *args) -> None:
        """Says nothing."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(FILES)
        self.asked: list[str] = []
        self.ranges: list[tuple[str | None, str | None]] = []  # Range and If-Range of each request to /ranged…
        self.cuts: list[int] = []  # bytes after which the next answers to /ranged… break off
        self.go_on = threading.Event()

    def handle_error(self, request, address) -> None:
        """A client that leaves early is part of the tests."""

    def address(self, how: str, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{how}/{name}"

    def remotes(self, *ways: str) -> list[Remote]:
        return [Remote(name, md5(content), tuple(self.address(how, name) for how in ways)) for name, content in FILES.items()]


@pytest.fixture
def server(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def left(root: Path) -> set[str]:
    """What is in the folder besides the lock and parts of files, which nobody takes for files."""
    return {name for name in os.listdir(root / FOLDER) if not name.startswith(".")}


def parts(root: Path) -> dict[str, int]:
    """The parts of files that wait to be completed, with their sizes."""
    return {path.name.split(".gz.")[0].strip("."): path.stat().st_size for path in (root / FOLDER).glob(".*.part")}


def refusal(kind: type[DataError], root: Path, files: list[Remote], report=lambda progress: None) -> str:
    with pytest.raises(DataError) as refused:
        download("mnist", root, report, files)
    assert type(refused.value) is kind
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def assert_whole(root: Path, names=FILES) -> None:
    assert left(root) == set(names)
    assert all((root / FOLDER / name).read_bytes() == FILES[name] for name in names)


# What arrives

@pytest.mark.parametrize("how", ["good", "slow", "lengthless"])
def test_files_are_there_and_whole(server, tmp_path, how):
    seen: list[Progress] = []
    download("mnist", tmp_path, seen.append, server.remotes(how))
    assert_whole(tmp_path)
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares) and shares[0] > -1e-9 and shares[-1] == 1.0
    assert [progress.file for progress in seen] == sorted(progress.file for progress in seen)
    for name, content in FILES.items():
        sizes = [progress.megabytes for progress in seen if progress.file == name]
        assert len(sizes) > 2 and sizes == sorted(sizes) and sizes[-1] == pytest.approx(len(content) / 1e6)
        totals = {progress.total_megabytes for progress in seen if progress.file == name}
        assert totals == ({0, len(content) / 1e6} if how == "lengthless" else {len(content) / 1e6})


def test_half_of_the_bar_is_the_first_of_two_files(server, tmp_path):
    seen: list[Progress] = []
    download("mnist", tmp_path, seen.append, server.remotes("good"))
    assert max(progress.share for progress in seen if progress.file == "one.gz") == 0.5
    assert min(progress.share for progress in seen if progress.file == "two.gz") > 0.5


def test_a_whole_data_set_can_be_loaded_then(server, tmp_path, monkeypatch):
    import gzip
    from dataclasses import replace

    from core.data.sources import read_idx

    arrays = make_arrays((60, 20))
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], counts=(60, 20), read=read_idx(FOLDER, (60, 20), 10)))
    server.files = {f"{name}.gz": gzip.compress(idx_bytes(array)) for name, array in zip(NAMES, arrays, strict=True)}
    files = [Remote(name, md5(content), (server.address("good", name),)) for name, content in server.files.items()]
    assert not DATASETS["mnist"].is_there(tmp_path)
    download("mnist", tmp_path, files=files)
    assert DATASETS["mnist"].is_there(tmp_path)
    data = load(DataConfig(dataset="mnist", validation=10), tmp_path, tmp_path / "cache")
    assert data.test.labels.tolist() == arrays[3].tolist()


def test_as_readable_as_any_other_file(server, tmp_path):
    download("mnist", tmp_path, files=server.remotes("good"))
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / FOLDER / "one.gz").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("there", ["one.gz", "one"])
def test_what_is_there_is_not_fetched_again(server, tmp_path, there):
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / there).write_bytes(b"mine")
    seen: list[Progress] = []
    download("mnist", tmp_path, seen.append, server.remotes("good"))
    assert server.asked == ["/good/two.gz"]
    assert (tmp_path / FOLDER / there).read_bytes() == b"mine" and left(tmp_path) == {there, "two.gz"}
    assert seen[-1].share == 1.0
    download("mnist", tmp_path, files=server.remotes("good"))
    assert server.asked == ["/good/two.gz"]


# What does not

TROUBLE = {
    "truncated": (DataMissing, "the connection ended after 128,000 of 256,000 bytes"),
    "wrong": (DataDamaged, "one.gz is not that file (its checksum differs)"),
    "status404": (DataMissing, "404"),
    "status500": (DataMissing, "500"),
    "garbage": (DataMissing, "one.gz can't be downloaded"),
    "hangup": (DataMissing, "one.gz can't be downloaded"),
    "chunked": (DataMissing, "one.gz can't be downloaded"),
    "loop": (DataMissing, "redirect"),
    "lying": (DataMissing, "many"),
}


@pytest.mark.parametrize("how", TROUBLE)
def test_trouble_is_one_line_and_leaves_nothing(server, tmp_path, how):
    kind, says = TROUBLE[how]
    text = refusal(kind, tmp_path, server.remotes(how))
    assert "one.gz" in text and says in text
    assert left(tmp_path) == set()
    if kind is DataMissing:
        assert str(tmp_path / FOLDER) in text  # where to put the file instead
    download("mnist", tmp_path, files=server.remotes("good"))  # nothing stands in the way of the next try
    assert_whole(tmp_path)


@pytest.mark.parametrize("how", TROUBLE)
def test_the_second_address(server, tmp_path, how):
    seen: list[Progress] = []
    download("mnist", tmp_path, seen.append, server.remotes(how, "good"))
    assert_whole(tmp_path)
    # a redirect to itself is asked for more than once
    assert list(dict.fromkeys(server.asked)) == [f"/{how}/one.gz", "/good/one.gz", f"/{how}/two.gz", "/good/two.gz"]
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_the_last_addresss_trouble_is_told(server, tmp_path):
    assert "404" in refusal(DataMissing, tmp_path, server.remotes("wrong", "status404"))


def test_no_address_at_all(tmp_path):
    assert "one.gz" in refusal(DataMissing, tmp_path, [Remote("one.gz", "", ())])
    assert left(tmp_path) == set()


@pytest.mark.parametrize("address", ["http://", "nonsense", "http://[::1/one.gz", "http://127.0.0.1:99999/one.gz"])
def test_an_address_that_is_none(tmp_path, address):
    refusal(DataMissing, tmp_path, [Remote("one.gz", "", (address,))])
    assert left(tmp_path) == set()


def test_nobody_answers(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{free.getsockname()[1]}/one.gz"
        text = refusal(DataMissing, tmp_path, [Remote("one.gz", "", (address,))])
    assert "online" in text and "refused" in text.lower()
    assert left(tmp_path) == set()


def test_a_server_that_falls_silent(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_OF_SILENCE", 0.2)
    assert "timed out" in refusal(DataMissing, tmp_path, server.remotes("silent"))
    assert left(tmp_path) == set()


def test_what_came_before_the_trouble_is_kept(server, tmp_path):
    good, bad = server.remotes("good")[0], server.remotes("status500")[1]
    refusal(DataMissing, tmp_path, [good, bad])
    assert_whole(tmp_path, ["one.gz"])
    download("mnist", tmp_path, files=server.remotes("good"))
    assert server.asked == ["/good/one.gz", "/status500/two.gz", "/good/two.gz"]


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit])
def test_a_visitor_who_leaves(server, tmp_path, leaving):
    def leave(progress: Progress) -> None:
        raise leaving

    with pytest.raises(leaving):
        download("mnist", tmp_path, leave, server.remotes("good"))
    assert left(tmp_path) == set()
    download("mnist", tmp_path, files=server.remotes("good"))  # and the lock is free
    assert_whole(tmp_path)


# Going on after a break

WAYS = ["ranged", "ranged-dated", "ranged-nameless"]
BROKEN_OFF = 200_000


def break_off(server, root: Path, how: str) -> None:
    """A first try that ends after 200,000 of 256,000 bytes."""
    server.cuts = [BROKEN_OFF]
    assert f"after {BROKEN_OFF:,} of 256,000" in refusal(DataMissing, root, server.remotes(how))
    assert left(root) == set() and parts(root) == {"one": BROKEN_OFF}
    assert not DATASETS["mnist"].is_there(root)


@pytest.mark.parametrize("how", WAYS)
def test_the_next_try_asks_for_the_rest(server, tmp_path, how):
    break_off(server, tmp_path, how)
    seen: list[Progress] = []
    download("mnist", tmp_path, seen.append, server.remotes(how))
    assert_whole(tmp_path)
    named = {"ranged": f'"{md5(FILES["one.gz"])}"', "ranged-dated": "Sat, 01 Jan 2000 00:00:00 GMT", "ranged-nameless": None}
    assert server.ranges == [(None, None), (f"bytes={BROKEN_OFF}-", named[how]), (None, None)]
    assert seen[0].megabytes > BROKEN_OFF / 1e6 and seen[0].total_megabytes == 0.256
    assert parts(tmp_path) == {} and not list((tmp_path / FOLDER).glob(".*json*"))


def test_a_break_after_a_break(server, tmp_path):
    server.cuts = [100_000]
    refusal(DataMissing, tmp_path, server.remotes("ranged"))
    server.cuts = [100_000]
    assert "after 200,000 of 256,000" in refusal(DataMissing, tmp_path, server.remotes("ranged"))
    download("mnist", tmp_path, files=server.remotes("ranged"))
    assert_whole(tmp_path)
    assert [asked for asked, _ in server.ranges] == [None, "bytes=100000-", "bytes=200000-", None]


@pytest.mark.parametrize("how", WAYS)
def test_the_rest_from_another_address(server, tmp_path, how):
    server.cuts = [BROKEN_OFF]
    download("mnist", tmp_path, files=server.remotes(how, "ranged"))
    assert_whole(tmp_path)
    # the checksum is what tells that it is the same file: another server's names for it mean nothing
    same_address = f'"{md5(FILES["one.gz"])}"' if how == "ranged" else None
    assert server.ranges[1] == (f"bytes={BROKEN_OFF}-", same_address)


@pytest.mark.parametrize("how", ["good", "ranged-astray"])
def test_a_server_that_cannot_go_on_starts_over(server, tmp_path, how):
    break_off(server, tmp_path, "ranged")
    download("mnist", tmp_path, files=server.remotes(how))
    assert_whole(tmp_path)


@pytest.mark.parametrize("how", WAYS)
def test_a_file_that_changed_in_between(server, tmp_path, how):
    server.files["one.gz"] = bytes(256_000)  # what the first try brings the start of
    break_off(server, tmp_path, how)
    server.files = dict(FILES)
    download("mnist", tmp_path, files=server.remotes(how))
    assert_whole(tmp_path)


@pytest.mark.parametrize("what", [b"", b"x", b"\0" * 255_999, b"\0" * 256_000, b"\0" * 300_000, FILES["one.gz"]])
def test_any_part_that_lies_there(server, tmp_path, what):
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / f".one.gz.{md5(FILES['one.gz'])[:8]}.part").write_bytes(what)
    (tmp_path / FOLDER / f".one.gz.{md5(FILES['one.gz'])[:8]}.part.json").write_text("[not JSON", encoding="utf-8")
    download("mnist", tmp_path, files=server.remotes("ranged"))
    assert_whole(tmp_path)
    assert parts(tmp_path) == {}
    if what == FILES["one.gz"]:
        assert server.asked == ["/ranged/two.gz"]  # whole already


def test_what_is_wrong_is_not_gone_on_from(server, tmp_path):
    assert "checksum" in refusal(DataDamaged, tmp_path, server.remotes("wrong"))
    assert parts(tmp_path) == {}


def test_a_part_that_nobody_asked_for(server, tmp_path):
    assert "not asked for" in refusal(DataMissing, tmp_path, server.remotes("ranged-unasked"))


# Speed, and what other visitors see

def test_speed_is_that_of_the_last_seconds():
    speed = Speed()
    assert speed.value == 0
    for second in range(11):
        speed.see("a", second * 2.0, float(second))
    assert speed.value == pytest.approx(2.0)
    for second in range(11, 15):
        speed.see("a", 20.0, float(second))
    assert speed.value == 0.0  # it has stalled for more than three seconds
    speed.see("a", 1.0, 15.0)
    assert speed.value == 0.0  # it began anew
    speed.see("a", 4.0, 16.0)
    assert speed.value == pytest.approx(3.0)
    speed.see("b", 5.0, 17.0)
    assert speed.value == 0.0


def test_speed_is_shown(server, tmp_path, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock) * 0.25)
    seen: list[Progress] = []
    download("mnist", tmp_path, seen.append, server.remotes("good"))
    assert seen[0].speed == 0 and max(progress.speed for progress in seen) > 0.1
    assert str(Progress("one.gz", 0.5, 3.14, 9.91, 2.4)) == "one.gz: 3.1 MB of 9.9 MB, 2.4 MB/s"
    assert str(Progress("one.gz", 0.5, 3.14, 0.0)) == "one.gz: 3.1 MB"


def test_another_visitor_sees_how_far_it_is(server, tmp_path):
    pytest.importorskip("fcntl", reason="Windows has no such lock")
    assert progress_of("mnist", tmp_path) is None
    told: list[Progress] = []
    first: list[Progress] = []

    def meanwhile(progress: Progress) -> None:
        first.append(progress)
        told.append(progress_of("mnist", tmp_path))
        assert progress_of("fashion_mnist", tmp_path) is None

    download("mnist", tmp_path, meanwhile, server.remotes("good"))
    assert told[0] == first[0]
    assert progress_of("mnist", tmp_path) is None and not (tmp_path / FOLDER / PROGRESS).exists()


@pytest.mark.parametrize("content", ["", "null", "[1]", '{"file": 1}', '{"share": "x"}'])
def test_a_line_of_progress_that_is_none(tmp_path, content):
    fcntl = pytest.importorskip("fcntl", reason="Windows has no such lock")
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / PROGRESS).write_text(content, encoding="utf-8")
    with (tmp_path / FOLDER / LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert progress_of("mnist", tmp_path) == Progress("", 0.0, 0.0, 0.0)
    assert progress_of("mnist", tmp_path) is None  # nobody holds the lock: what is written there is old


# The folder

@pytest.mark.parametrize("blocked", ["MNIST", "MNIST/raw"])
def test_a_file_where_the_folder_should_be(server, tmp_path, blocked):
    path = tmp_path / blocked
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine", encoding="utf-8")
    text = refusal(DataError, tmp_path, server.remotes("good"))
    assert str(tmp_path / FOLDER) in text and "PLAYGROUND_DATA" in text
    assert path.read_text(encoding="utf-8") == "mine" and server.asked == []


@pytest.mark.parametrize("call", ["pathlib.Path.mkdir", "os.fsync", "os.replace"])
def test_what_the_disk_refuses_is_not_put_down_to_the_network(server, tmp_path, monkeypatch, call):
    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    (tmp_path / FOLDER).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(call, refuse)
        text = refusal(DataError, tmp_path, server.remotes("good", "good"))
    assert "Read-only file system" in text and "PLAYGROUND_DATA" in text and "online" not in text
    assert left(tmp_path) == set()
    assert server.asked in ([], ["/good/one.gz"])  # another address would not help


def test_one_download_at_a_time(server, tmp_path):
    pytest.importorskip("fcntl", reason="Windows has no such lock")
    seen: list[str] = []

    def meanwhile(progress: Progress) -> None:
        if not seen:
            seen.append(refusal(DownloadRunning, tmp_path, server.remotes("good")))

    download("mnist", tmp_path, meanwhile, server.remotes("good"))
    assert seen == ["MNIST is being downloaded for another visitor. Wait a moment, then reload the page."]
    assert_whole(tmp_path)
    assert server.asked == ["/good/one.gz", "/good/two.gz"]


def test_another_process_is_another_visitor(server, tmp_path):
    pytest.importorskip("fcntl", reason="Windows has no such lock")
    (tmp_path / FOLDER).mkdir(parents=True)
    code = ("import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); "
            "print('locked', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / FOLDER / ".downloading")],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        assert "another visitor" in refusal(DownloadRunning, tmp_path, server.remotes("good"))
        other.kill()
    download("mnist", tmp_path, files=server.remotes("good"))  # a lock dies with its process
    assert_whole(tmp_path)


def test_two_data_sets_at_once(server, tmp_path):
    names = set()

    def meanwhile(progress: Progress) -> None:
        if not names:
            names.add("fashion_mnist")
            download("fashion_mnist", tmp_path, files=server.remotes("good"))

    download("mnist", tmp_path, meanwhile, server.remotes("good"))
    assert set(os.listdir(tmp_path / "FashionMNIST/raw")) >= set(FILES)
    assert_whole(tmp_path)


def test_the_lock_file_is_in_nobodys_way(server, tmp_path):
    download("mnist", tmp_path, files=server.remotes("good"))
    lock = tmp_path / FOLDER / ".downloading"
    if lock.exists():
        assert lock.stat().st_size == 0
        assert not DATASETS["mnist"].is_there(tmp_path)  # it is not taken for data
        lock.unlink()
    download("mnist", tmp_path, files=server.remotes("good"))


# torchvision's list

def test_mnist_as_torchvision_knows_it():
    files = remotes("mnist")
    # names and MD5s as in torchvision's source
    assert {file.name: file.md5 for file in files} == {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    assert all(file.addresses and all(address.endswith(f"/{file.name}") for address in file.addresses) for file in files)


@pytest.mark.parametrize("name", [name for name, spec in DATASETS.items() if spec.folder])
def test_every_download_brings_what_is_read(name):
    one = {"emnist_letters": {"gzip.zip"}, "cifar10": {"cifar-10-binary.tar.gz"}}
    assert {file.name for file in remotes(name)} == one.get(name, {f"{file}.gz" for file in NAMES})
    assert all(address.startswith("http") and file.addresses for file in remotes(name) for address in file.addresses)
    assert all(len(file.md5) == 32 for file in remotes(name))


def test_nothing_to_download(tmp_path):
    with pytest.raises(DataMissing, match=r"Digits \(scikit-learn\) has no download"):
        download("digits", tmp_path)
    with pytest.raises(DataMissing, match="There is no data set 'mnits'"):
        download("mnits", tmp_path)
    assert not os.listdir(tmp_path)


def test_in_a_process_that_has_not_imported_torchvision_yet():
    """As in a server: nothing before has brought the guard that lets torchvision load beside a CPU build of torch."""
    code = "from core.data.download import remotes; print(len(remotes('mnist')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr
