"""A run on a cluster whose nodes come and go, with a warning each time: not a step is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

QUICK = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3",
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.5",
    "SACCADE_RESIZE_INTERVAL_S": "2",
}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head with one CPU; nodes of one CPU can be added."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": 2**27, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_warned_in_time(cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1, object_store_memory=2**27)
    driver = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("stepping.py")), str(tmp_path)],
        env=os.environ | {"RAY_ADDRESS": cluster.address} | QUICK,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def until(condition: Callable[[], object], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end, events()
            time.sleep(0.1)

    def events() -> list[str]:
        file = tmp_path / "events"
        return file.read_text().splitlines() if file.exists() else []

    def goes_on(number: int, workers: int) -> None:
        """The call of this number has taken some steps, on so many workers, from the very step that was saved."""
        until(lambda: len(events()) == 2 * number - 1)
        last = events()[-2].split()[1] if number > 1 else "0"
        assert events()[-1] == f"began {last} {workers}"
        until(lambda: int((tmp_path / "step").read_text() or 0) > int(last) + 5)

    try:
        until(lambda: (tmp_path / "step").exists())
        goes_on(1, workers=2)
        os.kill(int((tmp_path / "process-1").read_text()), signal.SIGTERM)
        goes_on(2, workers=2)
        drain(cluster, node)
        goes_on(3, workers=1)
        cluster.remove_node(node)
        cluster.add_node(num_cpus=1, object_store_memory=2**27)
        goes_on(4, workers=2)
        driver.send_signal(signal.SIGTERM)
        _, err = driver.communicate(timeout=20)
        assert driver.returncode == 130, err
    finally:
        driver.kill()
    assert events()[-1] == f"saved {(tmp_path / 'step').read_text()}"
    assert not (tmp_path / "stop").exists()
    assert not list((tmp_path / "ray").iterdir())
    log = [line.split(" ", 2)[2] for line in (tmp_path / "log.txt").read_text().splitlines()]
    # Which rank the drained node has is Ray's to say.
    drained = next(line.split()[2] for line in log if "about to be taken back" in line)
    assert log == [
        "INFO 2 workers start",
        "WARNING worker 1: told to end (SIGTERM), as when its node is taken back",
        "INFO stopped and saved: starting the workers again",
        "INFO 2 workers start",
        f"WARNING worker {drained} its node is about to be taken back; saving",
        "INFO stopped and saved: starting the workers again",
        "INFO 1 workers start",
        "INFO from 1 to 2 workers: saving first",
        "INFO 2 workers start",
        "INFO asked to stop: saving first; once more stops at once",
    ]


def drain(cluster: Any, node: Any) -> None:
    """What an autoscaler tells Ray when the cloud takes a node back: half a minute from now it is gone."""
    from ray._raylet import GcsClient
    from ray.core.generated import autoscaler_pb2

    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline = int((time.time() + 30) * 1000)
    accepted, message = GcsClient(address=cluster.address).drain_node(node.node_id, reason, "a test", deadline)
    assert accepted, message
