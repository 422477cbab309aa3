"""Runs on a Ray cluster: the way between worker and server, in this process and without Ray; and what only a cluster shows.

What a cluster does like the local engine is tested in test_engine.py.
"""

import io
import os
import pickle
import platform
import re
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.cluster import engine as cluster_engine
from core.cluster.afar import digest_of
from core.cluster.bridge import contents
from core.cluster.connection import CannotJoin, answers, explained, is_on_loopback_alone, join
from core.cluster.data_files import KnownFiles, place_of
from core.cluster.delegate import Delegate
from core.cluster.engine import NO_RAY, RayEngine, engine_for
from core.cluster.messages import DROP, KEEP, About, Call, News
from core.cluster.slots import OtherVersions, check_versions
from core.cluster.training import NO_GPU, Training
from core.cluster.wire import packed, read, unpacked
from core.data import DataDamaged, load
from core.data.own.sets import save_set
from core.fields import ConfigError
from core.runs import LocalEngine, StoreError, has_checkpoint, load_model
from core.runs.ood_reference import load_reference, want_reference
from core.runs.outlet import outlet_of
from core.settings import Settings
from core.subprocesses import start
from tests.cluster import WHY_NOT, can_hide, give_up, is_installed, joined_machine, started_cluster
from tests.helpers import run_here, tiny, wait_for, wait_until
from tests.test_pages import assert_whole, page, runs  # noqa: F401 (a fixture)
from tests.test_sinks import points, stand_in, with_sink  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def training(places):
    """A worker's part in this process."""
    return Training(False, 1, False)


def passed(value):
    """As it is on the other side."""
    return unpacked(packed(value))[0]


def nothing(number, files):
    """What is given where nothing is asked for."""
    raise AssertionError(files)


def follow(store, settings, run, training, until=lambda run: False, root=None, outlet=None):
    """Do what Slot does with a run, in this process; whether it came to its end."""
    delegate = Delegate(store, run, KnownFiles(settings.data_dir), outlet,
                        lambda number, files: training.give(number, passed(contents(files))))
    data = delegate.known.of(run.config)
    training.start(passed(run), passed(contents(delegate.files())), replace(data, root=root or data.root),
                   passed(delegate.order()))
    while not until(store.get(run.id)):
        news = passed(training.exchange(passed(delegate.order())))
        delegate.take(news)
        if news.ended:
            assert delegate.finished and not news.error
            return True
    return False


def done_afar(store, settings, training, config, **more):
    run = store.create_running(config, "tester", "here")
    follow(store, settings, run, training, **more)
    return store.get(run.id)


def kept(store, run):
    """What a run has left, but for when that was."""
    found = store.metrics(run.id).series
    names = {path.name for path in store.folder(run.id).iterdir() if not path.name.startswith("moment-")}
    return (run.status, run.message, run.step, run.epoch, run.test_accuracy, run.test_loss, run.validation_accuracy, run.device,
            run.parameters, found["loss"], found["accuracy"], found["validation_loss"], sorted(found), names,
            sorted(store.snapshots(run.id)))


def test_a_run_done_from_afar_leaves_what_one_done_here_does(store, settings, training):
    config = tiny(training__epochs=3, training__threads=1)
    here, afar = run_here(store, settings, config), done_afar(store, settings, training, config)
    assert afar.status == "finished" and kept(store, afar) == kept(store, here)
    ours, theirs = (load_model(store, run.id).model.state_dict() for run in (here, afar))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_one_whose_worker_dies_goes_on_without_a_doubled_or_missing_point(store, settings, training):
    config = tiny(training__epochs=60, training__threads=1)
    whole = run_here(store, settings, config)
    run = store.create_running(config, "tester", "here")
    store.set_pace(run.id, 0.2)  # seconds for an epoch: it is not through before the next look
    dying = Training(False, 1, False)
    assert not follow(store, settings, run, dying, until=lambda run: run.epoch >= 2), "it is left in the middle"
    step = store.get(run.id).step
    assert step < whole.step
    give_up(dying)
    store.set_pace(run.id, 0)
    assert follow(store, settings, store.get(run.id), training)
    again = store.get(run.id)
    assert again.status == "finished" and again.test_accuracy == whole.test_accuracy
    assert store.metrics(run.id, names=("loss",)).series == store.metrics(whole.id, names=("loss",)).series


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_gpu_that_is_claimed_and_not_there_is_said_by_the_run(store, settings):
    claims = Training(True, 1, False)
    run = done_afar(store, settings, claims, tiny())
    assert (run.status, run.device) == ("finished", "cpu")
    assert store.snapshots(run.id)["fallbacks"].value["lines"] == [[0, NO_GPU]]
    run = done_afar(store, settings, claims, tiny(training__device="cuda"))
    assert run.status == "failed" and "training.device is 'cuda', but this machine has cpu" in run.message


def test_a_run_that_was_deleted_meanwhile_writes_nothing_more(store, settings, training):
    run = store.create_running(tiny(training__epochs=500, training__batch_size=16), "tester", "here")
    delegate = Delegate(store, run, KnownFiles(settings.data_dir), None, nothing)
    training.start(run, {}, delegate.known.of(run.config), delegate.order())
    while not store.get(run.id).step:
        delegate.take(training.exchange(delegate.order()))
    store.finish(run.id, "interrupted")
    store.delete(run.id)
    while not (news := training.exchange(delegate.order())).ended:
        delegate.take(news)
    delegate.take(news)
    assert store.runs() == [] and not [path for path in store.path.iterdir() if path.is_dir()]


def test_a_run_afar_tells_its_sink_what_the_store_has(store, settings, training, stand_in):  # noqa: F811
    run = store.create_running(tiny(training__epochs=2), "tester", "here")
    with outlet_of(store, run, with_sink(settings), wait=True) as outlet:
        follow(store, settings, run, training, outlet=outlet)
    assert points(stand_in()) == list(zip(*store.metrics(run.id).series["loss"], strict=True))


# --- data

@pytest.fixture
def own(settings, tmp_path):
    """A set of one's own, in a data directory of the test's; its name and the settings."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (60, 1, 8, 8), np.uint8), np.arange(60) % 2
    name = save_set(root, "Mine", ("a", "b"), images, labels, np.arange(60) >= 40, "test").name
    return name, replace(settings, data_dir=root)


def test_data_are_copied_where_the_server_s_folder_is_not_seen(store, own, training):
    name, settings = own
    config = tiny(data__dataset=name, data__validation=10)
    assert done_afar(store, settings, training, config).status == "finished"
    run = done_afar(store, settings, training, config, root="/not/here")
    assert run.status == "finished", run.message


def test_a_copy_is_made_once_and_only_of_what_was_said(own, tmp_path):
    name, settings = own
    config = tiny(data__dataset=name, data__validation=10)
    known = KnownFiles(settings.data_dir)
    data, asked = known.of(config), []
    assert [file.name.rpartition("/")[2] for file in data.files] == ["images.npy", "labels.npy", "meta.json", "test.npy"]
    assert place_of(data, tmp_path / "cache", lambda digest: 1 / 0) == (settings.data_dir, tmp_path / "cache")
    elsewhere = replace(data, root="/not/here")

    def fetch(digest):
        asked.append(digest)
        return contents(known.paths(config))

    place, _ = place_of(elsewhere, tmp_path / "cache", fetch)
    again, _ = place_of(elsewhere, tmp_path / "cache", fetch)
    assert place == again != settings.data_dir and asked == [data.digest]
    assert len(load(config.data, place, tmp_path / "cache").train) == len(load(config.data, settings.data_dir).train)
    other = replace(elsewhere, digest="0" * 64)
    content = contents(known.paths(config))
    content[data.files[0].name] = content[data.files[0].name] ^ 1
    with pytest.raises(DataDamaged, match="has changed while it was sent"):
        place_of(other, tmp_path / "cache", lambda digest: content)
    with pytest.raises(DataDamaged):
        place_of(other, tmp_path / "cache", lambda digest: {})
    assert not [path for path in (tmp_path / "cache" / "cluster").iterdir() if path.name != data.digest[:32]]


def test_a_file_that_has_changed_is_another_one(own):
    name, settings = own
    known, config = KnownFiles(settings.data_dir), tiny(data__dataset=name, data__validation=10)
    before = known.of(config)
    path = settings.data_dir / before.files[0].name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert known.of(config).digest != before.digest
    assert place_of(before, settings.cache_dir, known_content(before, content))[0] != settings.data_dir


def known_content(data, content):
    """What a server would send that had the file as it was said."""
    content[-1] ^= 1
    root = data.root

    def fetch(digest):
        found = {file.name: np.fromfile(f"{root}/{file.name}", np.uint8) for file in data.files}
        found[data.files[0].name] = np.frombuffer(bytes(content), np.uint8)
        return found

    return fetch


# --- what a worker may say

def test_a_worker_is_done_no_more_than_a_run_needs(store, settings):
    run, other = (store.create_running(tiny(), "tester", "here") for _ in range(2))
    delegate = Delegate(store, run, KnownFiles(settings.data_dir), None, nothing)
    content = np.frombuffer(b"x", np.uint8)
    for number, (name, *arguments) in enumerate([
            ("delete", run.id), ("finish", other.id, "failed"), (KEEP, other.id, "config.json", content),
            (KEEP, run.id, "../outside", content), (KEEP, run.id, ".hidden", content), (DROP, run.id, "../runs.sqlite3")], 1):
        delegate.take(News((Call(name, tuple(arguments), {}, number),)))
        [answer] = delegate.order().answers
        assert answer.number == number and isinstance(answer.error, Exception), name
    assert [path for path in store.path.iterdir() if path.is_dir()] == [] and store.get(other.id).is_active
    assert digest_of(content) == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


class Opens:
    """What a pickle could do as it is read."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("function", [os.system, eval, open, start, Path.touch, np.fromfile, np.save, getattr])
def test_what_is_read_is_plain_data(function, tmp_path):
    marker = tmp_path / "was here"
    content = pickle.dumps((Opens(function, str(marker)),))
    with pytest.raises(ValueError, match="is no plain data"):
        unpacked(content)
    with pytest.raises(EOFError):
        read(io.BytesIO(content))
    assert not marker.exists()


@pytest.mark.parametrize("value", [
    tiny(), np.arange(6, dtype=np.float32).reshape(2, 3), np.float64(0.5), {"a": [1, None, "é"]}, About(1, "h", "3", "2", "cpu")],
    ids=lambda value: type(value).__name__)
def test_what_is_sent_is_read(value):
    again = passed(value)
    assert type(again) is type(value) and np.array_equal(again, value) and isinstance(passed(StoreError("x")), StoreError)


# --- settings, and a cluster that can't be had

@pytest.mark.parametrize("address", ["127.0.0.1:6379", "ray://head.example.org:10001", "[::1]:6379"])
def test_where_a_cluster_is(tmp_path, address):
    environment = {"PLAYGROUND_ENGINE": "ray", "RAY_ADDRESS": address, "PLAYGROUND_WORKERS": "200", "PLAYGROUND_RAY_CORES": "4"}
    settings = Settings.from_environment(environment, tmp_path)
    assert (settings.cluster, settings.workers, settings.cluster_cores) == (address, 200, 4)
    assert Settings.from_environment({"RAY_ADDRESS": address}, tmp_path).cluster == "", "only where it is asked for"


@pytest.mark.parametrize(("more", "says"), [
    ({"PLAYGROUND_ENGINE": "spark"}, "PLAYGROUND_ENGINE is 'spark'"), ({"RAY_ADDRESS": ""}, "RAY_ADDRESS is ''"),
    ({"RAY_ADDRESS": "auto"}, "RAY_ADDRESS is 'auto'"), ({"RAY_ADDRESS": "local"}, "RAY_ADDRESS is 'local'"),
    ({"RAY_ADDRESS": "head:port"}, "RAY_ADDRESS is"), ({"RAY_ADDRESS": "head:99999"}, "RAY_ADDRESS is"),
    ({"PLAYGROUND_RAY_CORES": "0"}, "PLAYGROUND_RAY_CORES is '0'"), ({"PLAYGROUND_WORKERS": "257"}, "from 0 to 256")])
def test_what_is_no_address_is_refused_in_one_line(tmp_path, more, says):
    environment = {"PLAYGROUND_ENGINE": "ray", "RAY_ADDRESS": "127.0.0.1:6379"} | more
    with pytest.raises(ConfigError) as refused:
        Settings.from_environment(environment, tmp_path)
    assert says in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_without_ray_the_queue_waits_and_it_is_said(store, settings, monkeypatch):
    monkeypatch.setattr(cluster_engine, "is_installed", lambda: False)
    with engine_for(store, replace(settings, cluster="127.0.0.1:1")) as engine:
        assert isinstance(engine, RayEngine) and engine.trouble == NO_RAY and engine.worker_pids == []
        assert store.get(engine.submit(tiny(), "ann")).status == "queued"
    with engine_for(store, replace(settings, workers=0)) as engine:
        assert isinstance(engine, LocalEngine) and engine.trouble == ""


def test_a_page_says_why_runs_wait_and_what_to_install(runs, monkeypatch):  # noqa: F811
    monkeypatch.setattr(cluster_engine, "is_installed", lambda: False)
    monkeypatch.setenv("PLAYGROUND_ENGINE", "ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    at = page("app.py")
    assert_whole(at)
    [line] = [one.value for one in at.warning]
    assert line.startswith(NO_RAY) and "requirements-cluster.txt" in line and "Runs wait in the queue" in line


def test_where_nobody_answers():
    with socket.socket() as bound, pytest.raises(CannotJoin) as refused:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        assert not answers(address) and is_on_loopback_alone(address) and not is_on_loopback_alone("10.0.0.5:6379")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("core.cluster.connection.is_installed", lambda: True)
            join(address)
    assert str(refused.value) == f"No Ray cluster answers at {address}. Start it, or set RAY_ADDRESS to where it is."


@pytest.mark.parametrize(("error", "says"), [
    (RuntimeError("GCS: Unauthenticated: RPC error: InvalidAuthToken\nmore"), "does not take this server's token"),
    (RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.12.1\nThis process on x was "
                  "started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"),
     "another Python or Ray than this server: Ray 2.9.0 and Python 3.12.1 there, Ray 2.60.0 and Python 3.11.7 here."),
    (ConnectionError("ray client connection timeout"), "does not let this server in. Look whether RAY_AUTH_MODE"),
    (ConnectionError("Can't find a node_ip_address.json file"), "is no part of the cluster"),
    (OSError("no route\nto host"), "can't be joined: no route")])
def test_why_a_cluster_can_t_be_joined_in_one_line(error, says):
    line = explained("10.0.0.5:6379", error)
    assert says in line and "10.0.0.5:6379" in line and len(line.splitlines()) == 1


def test_a_cluster_with_another_python_or_pytorch():
    own = About(1, "host", platform.python_version(), torch.__version__, "cpu")
    check_versions(own)
    check_versions(replace(own, torch=torch.__version__.partition("+")[0] + "+cu130"))
    with pytest.raises(OtherVersions, match=r"The cluster has PyTorch 2\.1\.0, and this server"):
        check_versions(replace(own, torch="2.1.0+cpu"))
    with pytest.raises(OtherVersions, match=r"The cluster has Python 3\.8, and this server"):
        check_versions(replace(own, python="3.8.10"))


# --- with a cluster

def test_machines_that_differ_and_die_and_a_cluster_that_is_lost(places, own, store, monkeypatch):
    """The first machine says that it has two GPUs and doesn't see the server's data (where a folder can be hidden from it here);
    it is switched off in the middle of a run. The next one has no GPU. The cluster's head trains nothing, and is ended then."""
    if not is_installed():
        pytest.skip(WHY_NOT)
    name, settings = own
    config = tiny(data__dataset=name, data__validation=10, training__epochs=1000, training__device="auto")
    with ExitStack() as stack:
        made = [tempfile.TemporaryDirectory(prefix="tp-ray-", ignore_cleanup_errors=True) for _ in range(3)]
        head, first, second = (Path(stack.enter_context(folder)) for folder in made)
        cluster = stack.enter_context(started_cluster(head, cores=0, alone=False))
        for variable, value in cluster.variables.items():
            monkeypatch.setenv(variable, value)
        hidden = settings.data_dir if can_hide() else None
        switch_off = stack.enter_context(joined_machine(cluster, first, gpus=2, hidden=hidden))
        engine = stack.enter_context(RayEngine(store, replace(settings, cluster=cluster.address, cluster_cores=1)))
        run_id = engine.submit(config, "ann", pace=0.2)  # seconds for an epoch: it must not end before the machine does
        wait_for(store, run_id, lambda run: run.epoch > 1 and has_checkpoint(store, run_id))
        assert store.get(run_id).device == "cpu"
        assert store.snapshots(run_id)["fallbacks"].value["lines"] == [[0, NO_GPU]]
        copy = settings.cache_dir / "cluster" / KnownFiles(settings.data_dir).of(config).digest[:32] / "data"
        assert copy.is_dir() == (hidden is not None), "its data came by Ray's object store"
        [pid] = engine.worker_pids
        stack.enter_context(joined_machine(cluster, second))
        switch_off()
        wait_until(lambda: engine.worker_pids not in ([], [pid]), lambda: engine.worker_pids)
        step = store.get(run_id).step
        wait_for(store, run_id, lambda run: run.step > step + 3)
        waiting = engine.submit(tiny(), "ann")
        cluster.end()
        run = wait_for(store, run_id)
        assert run.status == "interrupted" and "was lost" in run.message and len(run.message.splitlines()) == 1
        steps = store.metrics(run_id, names=("loss",)).series["loss"][0]
        assert steps == list(range(1, run.step + 1)), "none is there twice, and none is missing"
        assert load_model(store, run_id).epoch >= 1
        wait_until(lambda: "No Ray cluster answers" in engine.trouble, lambda: engine.trouble)
        assert store.get(waiting).status == "queued"


def test_a_wrong_token_is_said_in_one_line_and_the_queue_waits(cluster, store, settings, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 32)
    with RayEngine(store, replace(settings, cluster=cluster)) as engine:
        run_id = engine.submit(tiny(), "ann")
        assert "does not take this server's token" in wait_until(lambda: engine.trouble, lambda: "no word")
        assert store.get(run_id).status == "queued"


def test_a_run_learns_from_one_s_own_images_and_starts_from_another_run(cluster, own, store):
    """Weights go through Ray's object store, and past the process that has joined the cluster."""
    name, settings = own
    with RayEngine(store, replace(settings, cluster=cluster, cluster_cores=1)) as engine:
        first = wait_for(store, engine.submit(tiny(data__dataset=name, data__validation=10), "ann"))
        second = engine.submit(tiny(data__dataset=name, data__validation=10, training__start_from=first.id), "ann")
        assert wait_for(store, second).status == "finished"
        assert "all layers are taken over" in str((store.folder(second) / "made_with.json").read_text(encoding="utf-8"))
        libraries = Path(f"/proc/{engine._workers[0].popen.pid}/maps").read_text(encoding="utf-8")
        assert "_raylet" in libraries and not re.search("libtorch|libarrow", libraries), "what is most of the memory elsewhere"


def test_what_somebody_waits_for_is_worked_out_on_the_server(ray_engine):
    store = ray_engine.store
    run = wait_for(store, ray_engine.submit(tiny(), "ann"))
    assert load_reference(store, run.id) is None and want_reference(store, run.id)
    assert wait_until(lambda: load_reference(store, run.id), lambda: "nobody has looked back")
