"""What recommending costs: users a second, and where the time goes.

Recommends the top items to every history of Parquet data with a SASRec that knows nothing (which takes as long as one
that does), in this process: from histories in memory to items and scores, seen items left out. The parts are measured
once more by themselves. ``--catalogue`` gives the table more rows than the data have items.

    python benchmarks/recommend.py FOLDER
    python benchmarks/recommend.py FOLDER --catalogue 1000000 --users 1000
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import pyarrow as pa
import torch

from saccade.models.jagged import Jagged, Layout
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.collective import Collective
from saccade.pipelines.inference.recommender import Recommender
from saccade.pipelines.inference.weights import Weights
from saccade.pipelines.metrics.top_k import top_k
from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.files import splits
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import integer_range
from saccade.pipelines.shard import TableShard
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem
from saccade.pipelines.transforms.chain import Chain


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data set with a list column of item ids")
    parser.add_argument("--column", default="history")
    parser.add_argument("--users", type=int, help="only so many")
    parser.add_argument("--catalogue", type=int, default=0, help="rows of the item table at least")
    parser.add_argument("--top-k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="the quickest counts")
    for name, default in (("dim", 64), ("blocks", 2), ("heads", 2), ("hidden", 256), ("max-length", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    split = "train" if "train" in splits(given.data) else None
    source = Source.open(given.data, split, [Column(given.column, "integers")])
    rows = max(integer_range(source, given.column)[1] + 1, given.catalogue)
    table = pa.Table.from_batches(record_batches(source)).slice(0, given.users)
    task = NextItem(
        history=given.column,
        max_length=given.max_length,
        items=rows,
        build=partial(
            SASRec, given.dim, given.blocks, given.heads, given.hidden, dropout=0.0, max_length=given.max_length
        ),
        dim=given.dim,
        standard_deviation=0.02,
        loss=ScoredLoss(1, True, sampled_softmax),
        ks=[given.top_k],
    )
    items = torch.randn(rows, given.dim)
    weights = Weights(task, task.network().state_dict(), {"items": items}, 0, torch.device("cpu"))
    model = Recommender(task, weights, Chain(()), {})
    everything = quickest(partial(model.recommend, table, given.top_k), given.rounds)
    network = quickest(partial(model.embed, table), given.rounds)
    queries = model.embed(table).nan_to_num()
    nothing = Jagged(torch.zeros(0, dtype=torch.int64), Layout(torch.zeros(len(queries), dtype=torch.int64)))
    shards = [TableShard("items", (0, rows), (0, given.dim), items, {})]
    choosing = quickest(
        lambda: top_k(queries, given.top_k, nothing, shards, rows, Collective(), padding_rows=1), given.rounds
    )
    result = {
        "users": len(table),
        "items": rows,
        "threads": given.threads,
        "seconds": round(everything, 3),
        "users_per_second": round(len(table) / everything),
        "network_seconds": round(network, 3),
        "top_k_seconds": round(choosing, 3),
    }
    print(json.dumps(result) if given.json else "\n".join(f"{name:17} {value:,}" for name, value in result.items()))


def quickest(call: Callable[[], object], rounds: int) -> float:
    """The least number of seconds that a call took."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
