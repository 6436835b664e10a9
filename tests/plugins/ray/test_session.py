import re
import subprocess
import sys

import pytest

from saccade.pipelines.errors import UserError
from saccade.plugins.ray.session import check, cpus_here, ray_session


def test_more_workers_than_cpus_is_refused_before_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    if ray.is_initialized():
        pytest.skip("another test's Ray runs in this process")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    workers, there = cpus_here() + 1, cpus_here()
    message = f"run.workers={workers} with run.cpus_per_worker=1 needs {workers} CPUs, but this machine has {there}: "
    with pytest.raises(UserError, match=re.escape(message)), ray_session(workers, 1, use_gpu=False):
        pytest.fail("a session began")
    assert not ray.is_initialized()


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "ray://127.0.0.1:10001"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    # In a process of its own: other tests' Ray may run in this one.
    code = "from saccade.plugins.ray.session import ray_session\nwith ray_session(1, 1, False): pass"
    environment = {"RAY_ADDRESS": address, "PATH": "/usr/bin:/bin"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert f"UserError: RAY_ADDRESS={address} is not a cluster's own address (host:port)" in run.stderr


def test_check_names_cpus_and_gpus() -> None:
    check(4, 2, {"CPU": 8.0, "GPU": 4.0}, use_gpu=True, where="the Ray cluster has")
    with pytest.raises(UserError, match=r"needs 10 CPUs, but the Ray cluster has 8: lower run.workers or"):
        check(5, 2, {"CPU": 8.0}, use_gpu=False, where="the Ray cluster has")
    with pytest.raises(UserError, match=r"run.workers=2 on engine.device=cuda needs 2 GPUs, but this machine has 0"):
        check(2, 1, {"CPU": 8.0}, use_gpu=True, where="this machine has")
