import subprocess
import sys

import pytest

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.session import check, cpus_here


def session_elsewhere(workers: int, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A session in a process of its own: another test's Ray may run in this one."""
    code = f"""
import ray
from saccade.plugins.ray.session import ray_session
try:
    with ray_session({workers}, 1, "cpu"):
        print("a session began")
finally:
    print("started" if ray._private.worker._global_node else "not started")
"""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_more_workers_than_cpus_is_refused_before_ray_starts() -> None:
    workers, there = cpus_here() + 1, cpus_here()
    run = session_elsewhere(workers, {})
    assert run.stdout == "not started\n"
    message = f"run.workers={workers} with run.cpus_per_worker=1 needs {workers} CPUs, but this machine has {there}: "
    assert f"UserError: {message}" in run.stderr


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "ray://127.0.0.1:10001"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    run = session_elsewhere(1, {"RAY_ADDRESS": address})
    assert run.stdout == "not started\n"
    assert f"UserError: RAY_ADDRESS={address} is not a cluster's own address (host:port)" in run.stderr


def test_check_names_cpus_and_gpus() -> None:
    check(4, 2, {"CPU": 8.0, "GPU": 4.0}, use_gpu=True, where="the Ray cluster has")
    with pytest.raises(UserError, match=r"needs 10 CPUs, but the Ray cluster has 8: lower run.workers or"):
        check(5, 2, {"CPU": 8.0}, use_gpu=False, where="the Ray cluster has")
    with pytest.raises(UserError, match=r"run.workers=2 on engine.device=cuda needs 2 GPUs, but this machine has 0"):
        check(2, 1, {"CPU": 8.0}, use_gpu=True, where="this machine has")


def test_of_elastic_workers_the_least_must_fit() -> None:
    check((1, 64), 2, {"CPU": 2.0, "GPU": 1.0}, use_gpu=True, where="the Ray cluster has")
    with pytest.raises(UserError, match=r"run.workers=\[3, 8\] with run.cpus_per_worker=2 needs at least 6 CPUs, but"):
        check((3, 8), 2, {"CPU": 4.0}, use_gpu=False, where="this machine has")
    with pytest.raises(UserError, match=r"run.workers=\[3, 8\] on engine.device=cuda needs at least 3 GPUs, but"):
        check((3, 8), 1, {"CPU": 8.0, "GPU": 2.0}, use_gpu=True, where="this machine has")
