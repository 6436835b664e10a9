"""What is done with a finished run: evaluate, predict, report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.cluster.training.program import REFERENCE, Done, read, saccade, weights

from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.sasrec import SASRec

pytestmark = pytest.mark.slow


def test_evaluate_gives_the_runs_numbers(undisturbed: tuple[Path, Done]) -> None:
    run, trained = undisturbed
    metrics = trained.json["metrics"]
    for split, overrides in (("test", []), ("test", [REFERENCE]), ("valid", [REFERENCE])):
        done = saccade("evaluate", run, *overrides, "--split", split, "--json")
        expected = {name: value for name, value in metrics.items() if name.startswith(split)}
        assert done.json["metrics"] == (pytest.approx(expected, abs=1e-3) if overrides else expected)
        assert done.json["run"] == str(run)
        assert done.json["events_per_second"] > 0
        assert done.json == read(run / "evaluations" / f"{split}.json")
        assert len(done.err.splitlines()) < 10
    assert read(run / "result.json") == trained.json


def test_predictions_match_brute_force(undisturbed: tuple[Path, Done], histories: Path, tmp_path: Path) -> None:
    run, output = undisturbed[0], tmp_path / "next.parquet"
    done = saccade("predict", run, "--data", histories, "--output", output, "--top-k", 5, "--json")
    assert done.json["rows"] == 800
    predicted = pq.read_table(output)
    data = pq.read_table(sorted(histories.glob("train/*.parquet")))
    assert predicted["row"].to_pylist() == list(range(800))
    assert predicted["user_id"].to_pylist() == data["user_id"].to_pylist()

    best = weights(run)
    network = SASRec(dim=16, blocks=1, heads=1, hidden=32, dropout=0.1, max_length=20).eval()
    network.load_state_dict({n.removeprefix("weight/"): t for n, t in best.items() if n.startswith("weight/")})
    table = best["items/weight"]
    lines = zip(
        data["history"].to_pylist(), predicted["items"].to_pylist(), predicted["scores"].to_pylist(), strict=True
    )
    for history, items, scores in lines:
        assert len(set(items)) == min(5, 100 - len(set(history)))  # some have seen nearly all there is
        assert not set(items) & {0, *history}
        assert scores == sorted(scores, reverse=True)
        recent = history[-20:]
        with torch.no_grad():
            last = network(Jagged(table[recent], Layout(torch.tensor([len(recent)]))))[-1]
        expected = table @ last
        expected[[0, *history]] = float("-inf")
        np.testing.assert_allclose(scores, expected.topk(len(items)).values, atol=1e-4)
        np.testing.assert_allclose(scores, expected[items], atol=1e-4)


def test_explain_opens_what_two_workers_wrote(undisturbed: tuple[Path, Done], tmp_path: Path) -> None:
    run, trained = undisturbed
    assert read(run / "attention" / "heat_maps.json")["step"] == trained.json["best_step"]
    assert "WARNING no heat maps" not in (run / "log.txt").read_text()
    done = saccade("explain", run, "--row", 5, "--output", tmp_path, "--json")
    assert done.json["files"] == ["valid-row-5-layer-0.png", "weights.npz", "heat_maps.json"]
    weights = np.load(tmp_path / "weights.npz")["row-5/layer-0"]
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_report_writes_one_page(undisturbed: tuple[Path, Done]) -> None:
    run, trained = undisturbed
    done = saccade("report", run, "--json")
    assert done.json == {"run": str(run), "report": str(run / "report.html")}
    page = (run / "report.html").read_text()
    assert f"{trained.json['metrics']['test/ndcg@10']:.4f}" in page
    assert "<svg" in page
    assert "<h2>Attention</h2>" in page
    for address in ('src="http', 'href="http', "@import"):
        assert address not in page
