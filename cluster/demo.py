"""The last step of ``make demo``: how near the run came to the best that its data allows, and where everything is."""

from __future__ import annotations

import sys
from pathlib import Path

from saccade.pipelines.records.record import read_json

WANTED = 0.8
"""The least share of the best reachable NDCG@10 that counts as having learned the data's structure."""


def summarize(run: Path, data: Path) -> int:
    """Print the summary; 0 if the run reached ``WANTED`` of the best, else 1."""
    result = read_json(run / "result.json")
    best = read_json(data / "truth.json")["best"]["test/ndcg@10"]
    reached = result["metrics"]["test/ndcg@10"]
    print(f"test NDCG@10   {reached:.4f}, {reached / best:.1%} of the best that any model can reach ({best:.4f})")
    print(f"trained in     {result['seconds']:.0f} s, {result['events_per_second']:,.0f} events/s")
    print(f"data           {data}")
    print(f"report         {run / 'report.html'}")
    print(f"result         {run / 'result.json'}")
    print(f"checkpoints    {run / 'checkpoints'}")
    print(f"wandb, offline {run / 'wandb'}  (wandb sync {run / 'wandb'}/offline-run-*)")
    if reached < WANTED * best:
        print(f"error: less than {WANTED:.0%} of the best NDCG@10 was reached", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(summarize(Path(sys.argv[1]), Path(sys.argv[2])))
