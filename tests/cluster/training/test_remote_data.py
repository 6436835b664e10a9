"""A whole job whose data lies on an S3 server, reached through a bad line."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.training.program import REFERENCE, saccade
from tests.servers import KEYS, S3, Proxy, s3

__all__ = ["s3"]


def metrics(folder: Path) -> dict[str, Any]:
    """What a run measured, without what it took."""
    found: dict[str, Any] = json.loads((folder / "small/result.json").read_text())["metrics"]
    return found


@pytest.mark.slow
def test_training_from_s3_gives_the_numbers_of_local_files(
    s3: S3, histories: Path, job: Path, short: Path, tmp_path: Path
) -> None:
    s3.put(histories, "training")
    line = Proxy(s3.address, 0.05, seed=1)
    uri = s3.uri("training", line.address)
    done = saccade(
        "train", job, f"data.path={uri}", f"run.storage={tmp_path}", "train.epochs=1", REFERENCE, "--json", extra=KEYS
    )
    assert done.code == 0, done.err
    assert metrics(tmp_path) == metrics(short.parent)
    assert len(line.faults) > 1
    line.stop()
