"""A run with `run.workers: [1, 2]` on a cluster that loses a node without warning, and gets another one."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.training.program import (
    REFERENCE,
    Going,
    assert_same_weights,
    history,
    read,
    saccade,
    saved,
    step,
    worker_process,
)

pytest.importorskip("ray")

QUICK = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3", "SACCADE_RESIZE_INTERVAL_S": "2"}
NODE = {"num_cpus": 1, "object_store_memory": 2**27}
EVERY = "checkpoint.every_seconds=1"


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head with one CPU and a node with another."""
    from ray.cluster_utils import Cluster

    # Ray makes sockets in it, whose paths can't be as long as pytest's folders.
    with tempfile.TemporaryDirectory(prefix="saccade-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False, "temp_dir": folder})
        cluster.add_node(**NODE)
        yield cluster
        cluster.shutdown()


@pytest.mark.slow
def test_a_node_is_lost_and_another_comes(job: Path, cluster: Any, tmp_path: Path) -> None:
    run = tmp_path / "small"
    plain = saccade("train", job, f"run.storage={tmp_path / 'plain'}", REFERENCE, EVERY, "--json")
    last = plain.json["steps"]
    command = ["train", str(job), f"run.storage={tmp_path}", "run.workers=[1, 2]", EVERY, "--json"]
    going = Going(*command, mark=str(tmp_path), extra=QUICK | {"RAY_ADDRESS": cluster.address})
    try:
        going.until(lambda: step(run) > 20 and saved(run))
        (node,) = cluster.worker_nodes
        cluster.remove_node(node, allow_graceful=False)
        going.until(lambda: len(read(run / "run.json")["starts"]) == 2)
        # A fast machine would be done before Ray has seen the new node.
        alone = worker_process(run, 0)
        os.kill(alone, signal.SIGSTOP)
        cluster.add_node(**NODE)
        going.until(lambda: "from 1 to 2 workers" in (run / "log.txt").read_text())
        os.kill(alone, signal.SIGCONT)
        done = going.end()
    finally:
        going.kill()
    assert done.code == 0, done
    two, one, more = read(run / "run.json")["starts"]
    assert [start["workers"] for start in (two, one, more)] == [2, 1, 2]
    assert 0 < one["step"] <= more["step"] < last
    for line in (
        "INFO 2 workers start",
        "its process died",
        "starting the workers again (1 of 3 restarts)",
        f"INFO resumed from step-{one['step']:08d}",
        "INFO 1 worker starts",
        "INFO from 1 to 2 workers: saving first",
        f"INFO stopped at step {more['step']}, saved",
        f"INFO resumed from step-{more['step']:08d}",
    ):
        assert line in done.err, done.err
    result = done.json
    assert result["steps"] == last
    assert result["metrics"] == pytest.approx(plain.json["metrics"], abs=1e-4)
    assert [line["step"] for line in history(run)] == [line["step"] for line in history(tmp_path / "plain" / "small")]
    assert_same_weights(run, tmp_path / "plain" / "small", 1e-3)
