"""IMDB's reviews: downloaded from a small server, read from the archive without unpacking it, and hostile archives."""

import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import DataConfig
from core.data import DATASETS, DataDamaged, DataMissing, load, read_texts
from core.data import download as module
from core.data.download import Remote, download, remotes
from core.data.sources import imdb
from core.data.sources.imdb import ARCHIVE, LARGEST_REVIEW, read_imdb
from tests.opened_pages import skip_questions
from tests.test_download import md5

CONFIG = DataConfig(dataset="imdb", validation=2, vocabulary=50, text_length=8)
TEXTS = {f"aclImdb/{part}/{label}/{number}_{9 if label == 'pos' else 1}.txt": f"A {word} film, {part} {number}.<br /><br />Truly."
         for part in ("train", "test") for label, word in (("pos", "good"), ("neg", "bad")) for number in (0, 1, 2, 10)}


def packed(texts: dict[str, str | bytes], *others: tarfile.TarInfo) -> bytes:
    """A gzipped tar file. others: members without content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for info in others:
            archive.addfile(info)
        for name, text in texts.items():
            content = text if isinstance(text, bytes) else text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def put(root: Path, content: bytes) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / ARCHIVE).write_bytes(content)
    return root


def unpack(root: Path) -> Path:
    for name, text in TEXTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_archive_and_folders_are_read_alike(tmp_path):
    others = {"aclImdb/README": "read me", "aclImdb/train/unsup/0_0.txt": "no label", "aclImdb/train/labeledBow.feat": "0 9:1"}
    archive, folders = put(tmp_path / "a", packed(others | dict(reversed(TEXTS.items())))), unpack(tmp_path / "b")
    one, other = read_imdb(archive, CONFIG), read_imdb(folders, CONFIG)
    assert one.train == other.train and one.test == other.test
    assert one.train_labels.tolist() == other.train_labels.tolist() == [0] * 4 + [1] * 4
    assert one.train[:2] == ["A bad film, train 0.  Truly.", "A bad film, train 10.  Truly."]  # in the order of names
    data = load(CONFIG, archive)
    assert (len(data.train), len(data.validation), data.test.counts(2)) == (6, 2, [4, 4])
    assert "br" not in read_texts(CONFIG, archive).vocabulary.words


def test_nothing_is_unpacked_anywhere(tmp_path):
    """Names that lead elsewhere, links and devices are not read, and nothing is written."""
    link, device = tarfile.TarInfo("aclImdb/train/pos/7_7.txt"), tarfile.TarInfo("aclImdb/train/pos/8_8.txt")
    link.type, link.linkname, device.type = tarfile.SYMTYPE, "/etc/passwd", tarfile.CHRTYPE
    hostile = {"../../escape.txt": "out", "/tmp/absolute_1.txt": "out", "aclImdb/train/pos/../../../x_1.txt": "out",
               "aclImdb/train/pos/1_1.txt/x": "out"}
    root = put(tmp_path / "data", packed(hostile | TEXTS, link, device))
    found = read_imdb(root, CONFIG)
    assert len(found.train) == len(found.test) == 8 and not any("out" in text for text in found.train)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["data", f"data/{ARCHIVE}"]


@pytest.mark.parametrize(("content", "line"), [
    (b"", "truncated or damaged"), (b"hello", "truncated or damaged"), (packed(TEXTS)[:300], "truncated or damaged"),
    (packed({}), "no reviews"), (packed({"aclImdb/train/pos/0_9.txt": "one"}), "no reviews"),
    (packed(TEXTS | {"aclImdb/train/pos/0_9.txt": b"\xff\xfe"}), "truncated or damaged"),
    (packed(TEXTS | {"aclImdb/train/pos/0_9.txt": "x" * (LARGEST_REVIEW + 1)}), "a review of 100,001 bytes")],
    ids=["empty", "text", "cut off", "nothing", "no number", "no text", "too long"])  # archives hold the time they were made
def test_a_bad_archive_is_one_line(tmp_path, content, line):
    with pytest.raises(DataDamaged, match=line) as refused:
        load(CONFIG, put(tmp_path, content))
    assert "\n" not in str(refused.value) and ARCHIVE in str(refused.value)


@pytest.mark.parametrize(("bound", "most"), [("MOST_MEMBERS", 10), ("LARGEST_MEMBER", 20), ("MOST_BYTES", 200)])
def test_archives_are_read_within_bounds(tmp_path, monkeypatch, bound, most):
    """A few megabytes of zeros, packed, may be gigabytes: what is declared is enough to stop."""
    root = put(tmp_path, packed(TEXTS))
    monkeypatch.setattr(imdb, bound, most)
    with pytest.raises(DataDamaged, match="more than IMDB's reviews"):
        read_imdb(root, CONFIG)


def test_a_huge_member_is_not_read(tmp_path):
    huge = tarfile.TarInfo("aclImdb/zeros")
    huge.size = 10**12  # declared; there is nothing behind it
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(huge)
    with pytest.raises(DataDamaged, match="more than IMDB's reviews"):
        read_imdb(put(tmp_path, file.getvalue()), CONFIG)


def test_what_is_downloaded():
    """The MD5 is the one that torchtext has for it."""
    assert remotes("imdb") == [Remote("aclImdb_v1.tar.gz", "7c2ac02c03563afcf9b574c7e56c153a",
                                      ("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",))]
    assert DATASETS["imdb"].download_mb == 84


# --- a download

CONTENT = packed(TEXTS | {f"aclImdb/train/unsup/{number}_0.txt": bytes(range(256)) * 8 for number in range(100)})


class Ranged(http.server.BaseHTTPRequestHandler):
    """Gives the rest of a file where that is asked for; the first answer breaks off in the middle."""

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(CONTENT[start:] if len(self.server.ranges) > 1 else CONTENT[:len(CONTENT) // 2])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch) -> Iterator[str]:
    """Of the imitation, in place of the official one."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranged)
    server.ranges = Ranged.ranges = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = f"http://127.0.0.1:{server.server_port}/{ARCHIVE}"
    monkeypatch.setattr(module, "IMDB", (ARCHIVE, md5(CONTENT), found))
    yield found
    server.shutdown()
    server.server_close()


def test_a_download_goes_on_where_it_broke_off(address, tmp_path):
    seen = []
    with pytest.raises(DataMissing, match="the connection ended after|can't be downloaded"):
        download("imdb", tmp_path, seen.append)
    assert not DATASETS["imdb"].is_available(tmp_path) and 0 < seen[-1].share < 1
    download("imdb", tmp_path, seen.append)
    assert Ranged.ranges == [None, f"bytes={len(CONTENT) // 2}-"] and seen[-1].share == 1
    assert (tmp_path / ARCHIVE).read_bytes() == CONTENT and DATASETS["imdb"].is_available(tmp_path)
    assert len(load(CONFIG, tmp_path).train) == 6


def test_another_file_is_not_kept(address, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IMDB", (ARCHIVE, "0" * 32, address))
    with pytest.raises(DataMissing):
        download("imdb", tmp_path)
    with pytest.raises(DataDamaged, match="checksum"):
        download("imdb", tmp_path)
    assert not (tmp_path / ARCHIVE).exists()


def test_the_button_on_the_page(address, tmp_path, monkeypatch):
    """Offline first: one line, and the button is still there; then the rest comes and the reviews can be chosen."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    at = skip_questions(AppTest.from_file(str(Path(__file__).parents[1] / "pages/learn_text.py"), default_timeout=60))
    at.session_state["text.topic"] = "Your own texts"
    at.run()
    assert "84 MB" in "\n".join(line.value for line in at.markdown)
    at.button(key="text.download").click().run()
    assert not at.exception and len(at.error) == 1 and "Is this machine online?" in at.error[0].value
    at.button(key="text.download").click().run()
    assert not at.exception and not at.error and (tmp_path / "data" / ARCHIVE).exists()
    assert any("choose “IMDB reviews” above" in line.value for line in at.markdown)
    assert "IMDB reviews" in at.selectbox[0].options
