"""`ray job submit` to a Ray head that wants a token."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.training.program import environment, read, saved, step

pytest.importorskip("ray")

NAMESPACES = ["unshare", "--net", "--pid", "--fork", "--mount-proc"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Ray makes sockets in it, whose paths can't be as long as pytest's folders."""
    path = Path(tempfile.mkdtemp(prefix="saccade-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.slow
def test_one_job_succeeds_one_fails_and_one_is_stopped(job: Path, folder: Path) -> None:
    possible = subprocess.run([*NAMESPACES, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    if possible.returncode:
        pytest.skip("a Ray head that leaves nothing behind needs root and namespaces")
    script = Path(__file__).with_name("ray_job.sh")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [*NAMESPACES, "bash", str(script), str(folder), str(job)],
        env=environment({"PATH": path}),
        timeout=550,
        check=True,
    )

    assert (folder / "good.code").read_text() == "0\n"
    assert "Job 'good' succeeded" in (folder / "good.out").read_text()
    log = (folder / "good.log").read_text()
    result = read(folder / "runs" / "small" / "result.json")
    assert f"test/ndcg@10 {result['metrics']['test/ndcg@10']:.4f}" in log
    # Its workers found what --working-dir sent along.
    assert read(folder / "runs" / "small" / "run.json")["directory"] != str(folder / "source")
    assert "score: from_the_directory" in (folder / "runs" / "small" / "job.yaml").read_text()
    for words in ("events/s", "% done, ETA", "done  epoch 8.0/8"):
        assert words in log
    assert "\r" not in log
    assert "arning" not in log
    assert len([line for line in log.splitlines() if "events/s" not in line]) < 80  # no noise beside the progress

    assert (folder / "bad.code").read_text() == "1\n"
    assert "Job 'bad' failed" in (folder / "bad.out").read_text()
    log = (folder / "bad.log").read_text()
    assert log.count("error: ") == 1
    assert f"error: {folder / 'nowhere'}" in log
    assert "Traceback" not in log

    run = folder / "runs" / "stopped"
    assert read(run / "progress.json")["phase"] == "stopped"
    assert saved(run) == [f"step-{step(run):08d}"]
    log = (folder / "stopped.log").read_text()
    assert "INFO asked to stop: saving first; once more stops at once" in log
    assert f"INFO stopped at step {step(run)}, saved" in log
    assert "Traceback" not in log
