"""A trained run, exported, gives the answers that `saccade predict` gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tests.cluster.training.program import saccade

DOCS = Path(__file__).parents[3] / "docs" / "checkpoints.md"


def test_an_export_answers_as_the_run_does(short: Path, histories: Path, tmp_path: Path) -> None:
    answers = tmp_path / "next.parquet"
    assert saccade("predict", short, "--data", histories, "--output", answers).code == 0
    assert saccade("checkpoint", "verify", short).code == 0
    assert saccade("checkpoint", "export", short, tmp_path / "exported").code == 0
    model = json.loads((tmp_path / "exported" / "model.json").read_text())
    assert model["network"]["class"] == "saccade.models.recommendation.sasrec.SASRec"

    rows = pq.read_table(sorted(histories.rglob("*.parquet"))[0]).column("history").to_pylist()
    answered = pq.read_table(answers).slice(0, len(rows)).to_pylist()
    pairs = [(row, answer) for row, answer in zip(rows, answered, strict=True) if len(answer["items"]) == 10][:40]
    rows = [row for row, _ in pairs]
    longest = model["job"]["data"]["max_length"]
    script = DOCS.read_text().split("<!-- A test runs this script. -->\n```python\n")[1].split("```")[0]
    script = script.replace("([3, 17, 42], [5])", str([row[-longest:] for row in rows]))
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\ntorch.save(scores, 'scores.pt')"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    scores = torch.load(tmp_path / "scores.pt", weights_only=True)
    scores[:, 0] = -torch.inf
    for row, seen in enumerate(rows):
        scores[row, seen] = -torch.inf
    items = torch.tensor([answer["items"] for _, answer in pairs])
    expected = torch.tensor([answer["scores"] for _, answer in pairs])
    # Items that score alike to the last digits may change places: other batch-mates round otherwise.
    assert torch.allclose(scores.gather(1, items), expected, atol=1e-5)
    assert torch.allclose(scores.topk(10, dim=1).values, expected, atol=1e-5)
