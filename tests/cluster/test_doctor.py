"""The doctor on real machines and real mischief: stale locks, two FBGEMMs, addresses at which nobody answers."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saccade.cluster.doctor import extensions, machine, packages, services
from saccade.cluster.doctor.diagnosis import Diagnosis
from saccade.cluster.doctor.finding import Finding


def doctor(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "saccade.cluster.cli.main", "doctor", *options]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    path = tmp_path / "py311_cpu" / "deepspeed_shm_comm" / "lock"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_lock_without_a_builder_is_a_problem(lock: Path) -> None:
    done = doctor("--json", TORCH_EXTENSIONS_DIR=os.environ["TORCH_EXTENSIONS_DIR"])
    assert done.returncode == 1
    diagnosis = json.loads(done.stdout.splitlines()[-1])
    assert diagnosis["level"] == "problem"
    (finding,) = [f for f in diagnosis["findings"] if "lock" in f["what"]]
    assert finding["level"] == "problem"
    assert finding["mend"] == f"rm {lock}"


def test_lock_that_a_process_holds_is_fine_until_it_is_old(lock: Path) -> None:
    with lock.open() as _:
        assert extensions.stale_locks() == []
        old = time.time() - 3600
        os.utime(lock, (old, old))
        (finding,) = extensions.stale_locks()
        assert finding.level == "warning"
        assert f"process {os.getpid()}" in finding.what
    assert extensions.stale_locks()[0].level == "problem"


def test_operation_that_is_not_built_is_said(lock: Path) -> None:
    lock.unlink()
    assert extensions.comm_op() == {"comm op": "not built"}
    lock.with_name("deepspeed_shm_comm.so").touch()
    assert extensions.comm_op()["comm op"].startswith("built")
    assert extensions.unbuilt_op() == []


def with_packages(folder: Path, check: str, **versions: str) -> list[dict[str, str]]:
    """A check's findings in a process that sees these packages first."""
    for name, version in versions.items():
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    code = (
        "import json; from dataclasses import asdict; from saccade.cluster.doctor import packages; "
        f"print(json.dumps([asdict(f) for f in packages.{check}()]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    findings: list[dict[str, str]] = json.loads(done.stdout)
    return findings


def test_both_fbgemm_builds_are_a_problem(tmp_path: Path) -> None:
    versions = {"torch": "2.13.0+cpu", "fbgemm_gpu": "1.8.0", "fbgemm_gpu_cpu": "1.8.0"}
    (finding,) = with_packages(tmp_path, "both_fbgemm", **versions)
    assert finding["level"] == "problem"
    assert (
        "pip uninstall -y fbgemm-gpu fbgemm-gpu-cpu && pip install --no-deps fbgemm-gpu-cpu==1.8.0" in finding["mend"]
    )


@pytest.mark.parametrize(
    ("versions", "mend"),
    [
        ({"torch": "2.12.1+cpu", "torchrec": "1.8.0", "fbgemm_gpu_cpu": "1.8.0"}, "'torch==2.13.*'"),
        ({"torch": "2.13.0+cpu", "torchrec": "1.7.0", "fbgemm_gpu_cpu": "1.8.0"}, "'torchrec==1.8.*'"),
        ({"torch": "2.13.0+cpu", "torchrec": "1.8.0", "fbgemm_gpu_cpu": "1.80.0"}, "'fbgemm-gpu-cpu==1.8.*'"),
    ],
)
def test_releases_that_do_not_fit_are_a_problem(tmp_path: Path, versions: dict[str, str], mend: str) -> None:
    (finding,) = with_packages(tmp_path, "mismatched_versions", **versions)
    assert finding["level"] == "problem"
    assert mend in finding["mend"]


def test_releases_that_fit(tmp_path: Path) -> None:
    versions = {"torch": "2.13.1+cpu", "torchrec": "1.8.1", "fbgemm_gpu_cpu": "1.8.0"}
    assert with_packages(tmp_path, "mismatched_versions", **versions) == []


def test_missing_packages_name_their_extra() -> None:
    # Without site-packages nothing but the standard library and our own folders are there.
    code = (
        "import sys, saccade.cluster.doctor.packages as p; "
        "sys.path[:] = [f for f in sys.path if not f.endswith('site-packages')]; "
        "print(*[f.level + ' ' + f.what + ' ' + f.mend for f in p.missing_packages()], sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "problem torch isn't installed" in done.stdout
    assert "warning not installed: ray, deepspeed, torchrec, fbgemm-gpu-cpu" in done.stdout
    assert "pip install 'saccade[text]'" in done.stdout


def test_silent_ray_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "127.0.0.1:" + str(server.getsockname()[1])
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert services.silent_ray() == []
        assert services.services()["ray"] == address
    assert services.silent_ray()[0].level == "problem"
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert services.silent_ray() == []


def test_ray_cluster_that_was_started_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert services.services()["ray"] == "none: a local one is started"
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    assert services.silent_ray()[0].level == "warning"


def test_machine_limits_are_no_larger_than_the_machine(tmp_path: Path) -> None:
    assert 0 < machine.cores() <= (os.cpu_count() or 1)
    assert 0 < machine.memory_gib() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    assert machine.free_gib(tmp_path / "not" / "yet") > 0
    assert any("/dev/shm" in f.what or "absent" in f.what for f in machine.little_space(shm=tmp_path / "absent"))


def test_worst_finding_decides() -> None:
    warning, problem = Finding("warning", "a", "b"), Finding("problem", "c", "d")
    assert Diagnosis({}, []).level == "ok"
    assert Diagnosis({}, [warning]).level == "warning"
    assert not Diagnosis({}, [warning]).has_problem
    assert Diagnosis({}, [warning, problem]).has_problem
    assert "problem: c\n  mend: d" in Diagnosis({"x": {"y": "z"}}, [warning, problem]).as_text()


def test_doctor_shows_this_machine(tmp_path: Path) -> None:
    done = doctor(TORCH_EXTENSIONS_DIR=str(tmp_path))
    assert done.returncode == (1 if "problem:" in done.stdout else 0)
    for word in (
        "python",
        "torch",
        "accelerator",
        "products",
        "comm op",
        "reference",
        "ray",
        "wandb",
        "cores",
        "free at /dev/shm",
    ):
        assert word in done.stdout
    assert packages.versions()["torch"] in done.stdout
