from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cluster.report.folders import write_run

from saccade.cluster.report.wandb_report import publish_report
from saccade.pipelines.errors import UserError


def test_offline_the_report_is_written_as_json(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    path = publish_report(run)
    assert path == str(run / "wandb_report.json")
    report = json.loads(Path(path).read_text())
    assert (report["title"], report["project"], report["description"]) == (
        "demo",
        "saccade",
        "next_item · complete at step 1,000",
    )
    spec = json.dumps(report["spec"])
    for part in (
        "k3jq8x2p",
        "train/loss",
        "valid/ndcg@10",
        "train/events_per_second",
        "max_length: 50",
        "Run Comparer",
    ):
        assert part in spec
    result = json.loads((run / "result.json").read_text())
    assert f"{result['metrics']['test/ndcg@10']:.4f}" in spec


def test_a_run_without_a_wandb_id_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo", steps=20)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"wandb_id": None}))
    with pytest.raises(UserError, match="was not tracked by wandb"):
        publish_report(run)


def test_online_without_a_key_is_the_users_to_mend(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo", steps=20)
    with (run / "job.yaml").open("a") as job:
        job.write("wandb: {mode: online}\n")
    with pytest.raises(UserError, match="no W&B API key"):
        publish_report(run)


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="W&B did not take the report"):
        publish_report(write_run(tmp_path / "demo", steps=20))
