"""`engine.name=reference` on a machine that has none of the cluster packages."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.training.program import REFERENCE, read, saccade

BLOCK = """\
import sys
from importlib.abc import MetaPathFinder

ABSENT = {"ray", "deepspeed", "torchrec", "fbgemm_gpu", "wandb", "wandb_workspaces", "tokenizers"}


class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


import importlib.util

sys.meta_path.insert(0, Absent())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.partition(".")[0] in ABSENT else find_spec(name, *rest)
"""


@pytest.mark.slow
def test_train_to_report_without_cluster_packages(job: Path, histories: Path, tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(BLOCK)
    absent = {"PYTHONPATH": str(tmp_path / "block")}
    command = ["train", job, f"run.storage={tmp_path}", "train.epochs=1", "--json"]
    run = tmp_path / "small"

    refused = saccade(*command, extra=absent)
    assert refused.code == 2, refused
    assert "engine.name=reference" in refused.err
    assert len(refused.err.splitlines()) == 1

    trained = saccade(*command, REFERENCE, extra=absent)
    assert "wandb isn't installed" in trained.err
    result = trained.json
    assert result == read(run / "result.json")
    assert not (run / "wandb").exists()
    measured = saccade("evaluate", run, "--json", extra=absent).json
    assert measured["metrics"]["test/ndcg@10"] == result["metrics"]["test/ndcg@10"]
    output = tmp_path / "next.parquet"
    assert saccade("predict", run, "--data", histories, "--output", output, "--json", extra=absent).json["rows"] == 800
    assert saccade("report", run, extra=absent).code == 0
    assert (run / "report.html").stat().st_size > 10_000
