"""How much processor time a container leaves to its processes: made-up control groups of both versions."""

from pathlib import Path

import pytest

from core import devices
from core.cgroups import cpu_quota
from core.devices import usable_cores


def groups(tmp_path: Path, own: str, **files: str) -> tuple[Path, Path]:
    """A folder of control groups: "app/inner/cpu.max" → its text; and the file that says where a process is."""
    root, where = tmp_path / "cgroup", tmp_path / "own"
    where.write_text(own, encoding="utf-8")
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    root.mkdir(exist_ok=True)
    return root, where


@pytest.mark.parametrize(("own", "files", "cores"), [
    ("0::/\n", {}, None),  # the machine's own root has no such file
    ("0::/\n", {"cpu.max": "max 100000\n"}, None),
    ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
    ("0::/\n", {"cpu.max": "8000 100000\n"}, 0.08),
    ("0::/app\n", {"app/cpu.max": "150000 100000\n"}, 1.5),
    ("0::/app/inner\n", {"app/cpu.max": "50000 50000\n", "app/inner/cpu.max": "max 100000\n"}, 1.0),  # the one around it counts
    ("0::/app/inner\n", {"app/cpu.max": "400000 100000\n", "app/inner/cpu.max": "300000 100000\n"}, 3.0),
    ("0::/app\n", {"other/cpu.max": "100000 100000\n"}, None),  # a neighbour's
    ("4:cpu,cpuacct:/app\n2:memory:/app\n", {"cpu,cpuacct/app/cpu.cfs_quota_us": "250000\n",
                                             "cpu,cpuacct/app/cpu.cfs_period_us": "100000\n"}, 2.5),
    ("4:cpu:/app/inner\n", {"cpu/app/cpu.cfs_quota_us": "100000\n", "cpu/app/cpu.cfs_period_us": "50000\n",
                            "cpu/app/inner/cpu.cfs_quota_us": "-1\n", "cpu/app/inner/cpu.cfs_period_us": "100000\n"}, 2.0),
    ("4:cpuset:/app\n", {"cpuset/app/cpu.cfs_quota_us": "1000\n", "cpuset/app/cpu.cfs_period_us": "1000\n"}, None),
    ("4:cpu,cpuacct:/docker/abc\n", {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3.0),
    # both versions at once: the smaller one
    ("4:cpu:/a\n0::/b\n", {"cpu/a/cpu.cfs_quota_us": "300000\n", "cpu/a/cpu.cfs_period_us": "100000\n",
                           "unified/b/cpu.max": "200000 100000\n"}, 2.0),
    # what can't be read limits nothing
    ("0::/app\n", {"app/cpu.max": "many 100000\n"}, None),
    ("0::/app\n", {"app/cpu.max": ""}, None),
    ("0::/app\n", {"app/cpu.max": "100000 0\n"}, None),
    ("nonsense\n", {"cpu.max": "100000 100000\n"}, 1.0),
    ("0::/../../app\n", {"cpu.max": "200000 100000\n"}, 2.0),
])
def test_the_quota(tmp_path, own, files, cores):
    assert cpu_quota(*groups(tmp_path, own, **files)) == cores


def test_without_control_groups(tmp_path):
    assert cpu_quota(tmp_path / "nowhere", tmp_path / "nothing") is None


@pytest.mark.parametrize(("allowed", "quota", "cores"), [
    (64, None, 64), (64, 2.0, 2), (64, 2.9, 2), (64, 0.08, 1), (2, 16.0, 2), (1, 0.5, 1)])
def test_usable_cores_are_whole_and_at_least_one(monkeypatch, allowed, quota, cores):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda process: set(range(allowed)), raising=False)
    monkeypatch.setattr(devices, "cpu_quota", lambda: quota)
    assert usable_cores() == cores
