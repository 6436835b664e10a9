"""What a rank holds of a catalogue of millions of items: training, saving, loading and evaluating it, measured.

Starts real ranks over gloo with the HybridEngine, SASRec and a table cut by rows, on synthesized histories. Each rank
goes through the phases of a run and prints, phase by phase, by how much its memory rose at most above what it had
before there was a table (libraries, mostly), next to its share: rows / ranks of the table's weights and of the
optimizer's state, and with the full softmax of the gradient. A save adds a copy of weights and state by design: it is
written while training goes on. Loading maps the checkpoint's files, whose pages the system may take back at any time.

    python benchmarks/large_catalogue.py --items 1000000
    python benchmarks/large_catalogue.py --items 5000000 --loss full_softmax --tokens 64 --json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from saccade.models.losses.full_softmax import FullSoftmax
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.saver import Saver
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.synthesize import write_histories
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem
from saccade.pipelines.training.evaluate import evaluate

MIB = 1 << 20


def resident() -> int:
    """This process's memory now, in bytes."""
    return _status("VmRSS")


def highest() -> int:
    """Its highest since :func:`forget_highest`, files that it maps included."""
    return _status("VmHWM")


def forget_highest() -> None:
    """Begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(key: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return 1024 * int(line.split()[1])


class Phases:
    """Peak memory and time of what a rank does, one after the other."""

    def __init__(self) -> None:
        self.before, self.files = resident(), _status("RssFile")
        self.found: dict[str, dict[str, float]] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block."""
        forget_highest()
        began = time.perf_counter()
        yield
        self.found[name] = {
            "mib": round((highest() - self.before) / MIB, 1),
            "files_mib": round((_status("RssFile") - self.files) / MIB, 1),
            "seconds": round(time.perf_counter() - began, 1),
        }


def make_task(arguments: argparse.Namespace) -> NextItem:
    """SASRec."""
    dim = arguments.dim
    loss = FullSoftmax() if arguments.loss == "full_softmax" else ScoredLoss(256, True, sampled_softmax)
    return NextItem(
        history="history",
        max_length=50,
        items=arguments.items + 1,
        build=partial(SASRec, dim=dim, blocks=2, heads=2, hidden=4 * dim, dropout=0.2, max_length=50),
        dim=dim,
        standard_deviation=0.02,
        loss=loss,
        ks=[10],
    )


def make_engine(task: NextItem, arguments: argparse.Namespace) -> Engine:
    """The hybrid engine with the table cut by rows."""
    from saccade.plugins.ray.quiet import silence

    silence()
    from saccade.plugins.hybrid.engine import HybridEngine

    return HybridEngine(
        task,
        optimizer=NetworkOptimizer("adamw", 1e-3),
        table_optimizers={"items": TableOptimizer(arguments.table_optimizer, 0.05)},
        seed=0,
        device=torch.device("cpu"),
        lanes=arguments.workers,
        zero_stage=1,
        shardings={"items": "row"},
    )


def rank(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything that one rank does."""
    torch.set_num_threads(1)
    place = {"rank": int(os.environ["RANK"]), "world_size": arguments.workers}
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", **place)
    collective = Collective()
    # A small training first: what libraries take once is not the table's.
    small = argparse.Namespace(**{**vars(arguments), "items": 1000, "steps": 1})
    _train(make_engine(make_task(small), small), make_task(small), folder / "small", small)
    phases, task = Phases(), make_task(arguments)
    with phases.phase("make the tables"):
        engine = make_engine(task, arguments)
    (shard,) = engine.shards("items")
    parts = [shard.weight, *shard.optimizer.values()] + [shard.weight] * (arguments.loss == "full_softmax")
    share = sum(t.numel() * t.element_size() for t in parts)
    with phases.phase("train"):
        losses = _train(engine, task, folder / "data", arguments)
    with phases.phase("evaluate"):
        metrics = evaluate(engine, task, _reader(task, folder / "data", "valid", arguments.tokens), "valid").metrics
    saver = Saver(folder / "checkpoints", job={}, tables=task.tables, collective=collective)
    with phases.phase("save"):
        saver.begin(engine.state(), step=1, training={})
        path = saver.seal()
    saver.close()
    del saver
    with phases.phase("load"):
        engine.load(checkpoint := CheckpointReader(path))
    assert checkpoint.manifest.step == 1
    torch.distributed.destroy_process_group()
    return {
        "rank": collective.rank,
        "libraries_mib": round(phases.before / MIB, 1),
        "share_mib": round(share / MIB, 1),
        "losses": [round(loss, 4) for loss in losses],
        "metrics": metrics,
        "phases": phases.found,
    }


def _reader(task: NextItem, data: Path, split: Split, tokens: int) -> Reader:
    collective = Collective()
    return Reader(
        Source.open(str(data), "train", task.columns),
        task,
        split,
        seed=0,
        lanes=collective.world_size,
        window=4096,
        tokens=tokens,
        rank=collective.rank,
        world_size=collective.world_size,
    )


def _train(engine: Engine, task: NextItem, data: Path, arguments: argparse.Namespace) -> list[float]:
    """The losses of some steps."""
    losses = []
    with closing(_reader(task, data, "train", arguments.tokens).steps(0)) as items:
        for item in islice(items, arguments.steps):
            targets = engine.collective.sum(torch.tensor(sum(batch.targets for batch in item.batches)))
            losses.append(engine.step(item.batches, int(targets), 1.0).loss)
    return losses


def start(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Synthesize, start the ranks and collect what they found."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        for path, items, users in (("small", 1000, 200), ("data", arguments.items, arguments.users)):
            clusters = min(2000, items // 10)
            write_histories(folder / path, users=users, items=items, clusters=clusters, mean_length=12, seed=0, files=1)
        command = [sys.executable, __file__, *sys.argv[1:], "--as-rank", name]
        ranks = []
        for number in range(arguments.workers):
            sizes = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": arguments.workers}
            sizes["LOCAL_WORLD_SIZE"] = arguments.workers
            environment = {key: str(value) for key, value in sizes.items()} | {"DS_ACCELERATOR": "cpu"}
            ranks.append(subprocess.Popen(command, env=os.environ | environment, stdout=sys.stderr))
        try:
            for process in ranks:
                if process.wait():
                    raise SystemExit(f"a rank ended with {process.returncode}")
        finally:
            for process in ranks:
                process.kill()
        return [json.loads((folder / f"rank-{number}.json").read_text()) for number in range(arguments.workers)]


def main() -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--users", type=int, default=600, help="histories to train on and to evaluate")
    parser.add_argument("--loss", default="sampled_softmax", choices=("sampled_softmax", "full_softmax"))
    parser.add_argument("--steps", type=int, default=5, help="of the training")
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a rank's micro-batch")
    parser.add_argument("--table-optimizer", default="adagrad", help="as in tables.items.optimizer.name")
    parser.add_argument("--folder", help="for data and checkpoint; a temporary folder if left out")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--as-rank", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_rank:
        found = rank(arguments, Path(arguments.as_rank))
        (Path(arguments.as_rank) / f"rank-{found['rank']}.json").write_text(json.dumps(found))
        sys.stdout.flush()
        os._exit(0)  # gloo's threads may still hold tensors, and then the interpreter's end aborts (pytorch#179291)
    results = start(arguments)
    out = sys.stderr if arguments.json else sys.stdout
    table = 4 * (arguments.items + 1) * arguments.dim / MIB
    print(f"{arguments.items:,} items x {arguments.dim}: the table alone is {table:,.0f} MiB", file=out)
    for found in results:
        print(
            f"rank {found['rank']}: a share of {found['share_mib']:,.0f} MiB; {found['libraries_mib']:,.0f} MiB before",
            file=out,
        )
        for name, phase in found["phases"].items():
            times, files = phase["mib"] / found["share_mib"], phase["files_mib"]
            print(
                f"  {name:<16}{phase['mib']:>8,.0f} MiB {times:>6.2f} x share, {files:>6,.0f} of it mapped files, "
                f"{phase['seconds']:>7.1f} s",
                file=out,
            )
    if arguments.json:
        print(json.dumps({"items": arguments.items, "dim": arguments.dim, "loss": arguments.loss, "ranks": results}))


if __name__ == "__main__":
    main()
