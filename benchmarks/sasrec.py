"""How fast SASRec trains: Saccade and RecTools side by side, and what Saccade's distributed engine costs and gains.

Every contestant is its own training loop in a process of its own, data loading and optimizers included. They take turns
of some seconds, in one order and then in the other, so what else the machine does falls on all of them alike; only one
of them trains at a time. Figures are trained positions a second: targets in the loss, without padding. Width, depth,
heads, feed-forward width, dropout, length, threads, data and users a step are the same (Saccade cuts steps by a token
budget: as many users on average). RecTools' softmax is over all items. Saccade has two losses beside it, both shown:
`sampled_softmax` with 256 negatives that a micro-batch shares, the loss of its job files, and `full_softmax`, the very
same function. RecTools updates all weights by Adam, Saccade the network by AdamW and the rows looked up by Adagrad.

The data: histories in Parquet (``--data FOLDER`` with train/*.parquet, columns user_id and history), and synthetic
short ones, as many and as long as a small Amazon category has. RecTools runs in an environment of its own, made under
build/ the first time (benchmarks/rectools.txt).

    python benchmarks/sasrec.py --data FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from contestants import Comparison, Contestant, end, take_turns

from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.synthesize import write_histories

HERE = Path(__file__).resolve().parent

ENGINE = {"sharding": "replicated", "zero_stage": 0}
SHARDED = {"sharding": "row", "zero_stage": 1}
"""The fastest ways for a model of a megabyte on one machine, and those that take the least of a worker's memory."""

LOSSES: dict[str, dict[str, Any]] = {
    "BCE": {"name": "bce", "negatives": 1},
    "sampled softmax": {"name": "sampled_softmax", "negatives": 256},
    "full softmax": {"name": "full_softmax"},
}
NETWORK_LEARNING_RATE, TABLE_LEARNING_RATE = 1e-3, 0.05


@dataclass(frozen=True)
class Histories:
    """A data set.

    Attributes:
        name: for people.
        path: the folder.
        max_length: items of a history that the model sees.
        micro_batches: of a step of Saccade's.
        lengths: [users] of the histories' training parts, all but the last two items, where two items are left.
        items: [events] of these parts, one after the other.
        rows: of Saccade's item table.
    """

    name: str
    path: Path
    max_length: int
    micro_batches: int
    lengths: np.ndarray
    items: np.ndarray
    rows: int

    @staticmethod
    def read(name: str, path: Path, max_length: int, micro_batches: int) -> Histories:
        """Keep of each history what leave-one-out trains on."""
        source = Source.open(str(path), "train", [Column("history", "integers")])
        column = pa.Table.from_batches(record_batches(source)).column("history").combine_chunks()
        lengths = np.diff(column.offsets.to_numpy())
        place = np.arange(lengths.sum()) - (lengths.cumsum() - lengths).repeat(lengths)
        values = column.flatten().to_numpy()
        trained = (place < (lengths - 2).repeat(lengths)) & (lengths >= 4).repeat(lengths)
        rows = int(values.max()) + 1
        return Histories(name, path, max_length, micro_batches, (lengths - 2)[lengths >= 4], values[trained], rows)

    @property
    def positions(self) -> int:
        """Targets of an epoch."""
        return int((np.minimum(self.lengths, self.max_length + 1) - 1).sum())

    def tokens(self, users: int) -> int:
        """The budget of a micro-batch with which steps have so many users on average."""
        return round(self.positions / len(self.lengths) * users / self.micro_batches)


class Contest:
    """Starts contestants and ends them."""

    def __init__(self, arguments: argparse.Namespace, histories: Histories, rectools: str, stack: ExitStack) -> None:
        self.arguments, self.histories, self.rectools, self.stack = arguments, histories, rectools, stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        np.savez(self.folder / "histories.npz", lengths=histories.lengths, items=histories.items)

    def of_rectools(self, loss: str) -> Contestant:
        """RecTools' SASRec with its own loss of this name."""
        shared = {name: getattr(self.arguments, name) for name in ("dim", "blocks", "heads", "dropout", "users")}
        settings = shared | {"loss": loss, "threads": self.arguments.threads, "max_length": self.histories.max_length}
        settings["histories"] = str(self.folder / "histories.npz")
        started = self._start(self.rectools, "sasrec_of_rectools.py", settings, {})
        return Contestant(f"RecTools, {loss}", [started])

    def of_saccade(
        self,
        loss: str,
        engine: str = "reference",
        workers: int = 1,
        threads: int | None = None,
        runs: int = 1,
        *,
        sharded: bool = False,
    ) -> Contestant:
        """Saccade's SASRec; ``workers`` train it together, or ``runs`` train one each."""
        threads = threads or self.arguments.threads
        processes = []
        for _ in range(runs):
            folder = self.stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder))
            job = self._job(loss, engine, workers, SHARDED if sharded else ENGINE)
            settings = {"job": job, "items": self.histories.rows, "threads": threads, "folder": folder}
            for rank in range(workers):
                place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": workers, "LOCAL_WORLD_SIZE": workers}
                environment = {key: str(value) for key, value in place.items()} | {"DS_ACCELERATOR": "cpu"}
                processes.append(self._start(sys.executable, "sasrec_of_saccade.py", settings, environment))
        how = f", {workers} workers" if workers > 1 else f", {runs} runs of one worker at once" if runs > 1 else ""
        how += ", sharded" if sharded else ""
        return Contestant(f"Saccade, {engine}, {loss}{how}", processes, together=workers > 1)

    def _job(self, loss: str, engine: str, workers: int, cut: Mapping[str, Any]) -> dict[str, Any]:
        given, histories = self.arguments, self.histories
        model = {name: getattr(given, name) for name in ("dim", "blocks", "heads", "dropout")}
        table = {"name": "adagrad", "learning_rate": TABLE_LEARNING_RATE}
        return {
            "task": "next_item",
            "run": {"workers": workers},
            "data": {"path": str(histories.path), "max_length": histories.max_length},
            "model": {"name": "sasrec", "hidden": given.hidden or given.dim, **model},
            "tables": {"items": {"optimizer": table}},
            "loss": LOSSES[loss],
            "optimizer": {"name": "adamw", "learning_rate": NETWORK_LEARNING_RATE},
            "train": {"micro_batches": histories.micro_batches, "tokens": histories.tokens(given.users)},
            "engine": {"name": engine, **cut},
        }

    def _start(
        self, python: str, script: str, settings: Mapping[str, Any], environment: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        threads = {"OMP_NUM_THREADS": str(settings["threads"])}
        process = subprocess.Popen(
            [python, str(HERE / script), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads | environment,
        )
        self.stack.callback(end, process)
        return process


@contextmanager
def contest(arguments: argparse.Namespace, histories: Histories, rectools: str) -> Iterator[Contest]:
    """Contestants on a data set, ended at the end."""
    with ExitStack() as stack:
        yield Contest(arguments, histories, rectools, stack)


def compare(
    arguments: argparse.Namespace, histories: Histories, rectools: str, asked: tuple[float, float], engines: bool
) -> tuple[list[Contestant], list[Comparison]]:
    """All contestants on a data set; ``asked`` of BCE and of softmax, and ``engines`` for the hybrid engine too."""
    with contest(arguments, histories, rectools) as made:
        bce, softmax = made.of_rectools("BCE"), made.of_rectools("softmax")
        ours = {loss: made.of_saccade(loss) for loss in LOSSES}
        contestants = [bce, ours["BCE"], softmax, ours["sampled softmax"], ours["full softmax"]]
        comparisons = [
            Comparison(ours["BCE"], bce, asked[0]),
            Comparison(ours["sampled softmax"], softmax, asked[1]),
            Comparison(ours["full softmax"], softmax, None),
        ]
        if engines:
            hybrid = made.of_saccade("sampled softmax", "hybrid")
            contestants.append(hybrid)
            comparisons.append(Comparison(hybrid, ours["sampled softmax"], 0.9))
        take_turns(contestants, arguments.rounds, arguments.seconds)
    if engines:
        with contest(arguments, histories, rectools) as made:
            apart = made.of_saccade("sampled softmax", "hybrid", threads=1, runs=2)
            together = made.of_saccade("sampled softmax", "hybrid", workers=2, threads=1)
            sharded = made.of_saccade("sampled softmax", "hybrid", workers=2, threads=1, sharded=True)
            # Two processes on two cores are disturbed by all else that runs: single rounds are 7 % off.
            take_turns([apart, together, sharded], 3 * arguments.rounds, arguments.seconds)
        contestants += [apart, together, sharded]
        comparisons += [Comparison(together, apart, 0.9), Comparison(sharded, apart, None)]
    return contestants, comparisons


def show(histories: Histories, contestants: Sequence[Contestant], comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Lines for people."""
    yield (
        f"\n{histories.name}: {len(histories.lengths):,} histories, {histories.rows - 1:,} items, "
        f"{histories.positions:,} positions an epoch, at most {histories.max_length} of a history"
    )
    yield f"{'':<58}{'positions/s':>12}  {'users a step':>12}   turns"
    for one in contestants:
        turns = " ".join(f"{rate:,.0f}" for rate in one.rates)
        yield f"{one.name:<58}{one.rate:>12,.0f}  {statistics.fmean(one.users):>12.0f}   {turns}"
    for pair in comparisons:
        rounds = " ".join(f"{ratio:.2f}" for ratio in pair.ratios)
        asked = f", asked {pair.asked:g}" if pair.asked else ""
        ratio = statistics.median(pair.ratios)
        yield f"{pair.ours.name} / {pair.theirs.name}: {ratio:.2f} (rounds {rounds}{asked})"


def as_json(
    histories: Histories, contestants: Sequence[Contestant], comparisons: Sequence[Comparison]
) -> dict[str, Any]:
    """The same for machines."""
    return {
        "histories": len(histories.lengths),
        "items": histories.rows - 1,
        "positions": histories.positions,
        "max_length": histories.max_length,
        "micro_batches": histories.micro_batches,
        "contestants": {
            one.name: {
                "positions_per_second": round(one.rate, 1),
                "turns": [round(rate, 1) for rate in one.rates],
                "users_per_step": round(statistics.fmean(one.users), 1),
                "steps_per_turn": one.steps,
                **one.about,
            }
            for one in contestants
        },
        "comparisons": [
            {
                "ours": pair.ours.name,
                "theirs": pair.theirs.name,
                "times": round(statistics.median(pair.ratios), 3),
                "rounds": [round(ratio, 3) for ratio in pair.ratios],
                "asked": pair.asked,
            }
            for pair in comparisons
        ],
    }


def make_rectools() -> str:
    """The Python of an environment with RecTools, made unless one with these versions is there."""
    wanted = HERE / "rectools.txt"
    folder = HERE.parent / "build" / f"rectools-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    python, made = folder / "bin" / "python", folder / "made"
    if not made.exists():
        print(f"making {folder} with RecTools, a few minutes", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(wanted)], check=True)
        made.touch()
    return str(python)


def main() -> None:
    """Read the arguments, let them compete and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="long histories; only the synthetic short ones if left out")
    parser.add_argument("--rectools", help="the Python of an environment with RecTools, if there is one")
    parser.add_argument("--threads", type=int, default=2, help="of every contestant but those with two processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn, about")
    parser.add_argument("--users", type=int, default=128, help="a step")
    parser.add_argument("--max-length", type=int, default=200, help="of the histories in --data")
    parser.add_argument("--micro-batches", type=int, default=2, help="of a step of Saccade's on --data; short ones: 1")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--hidden", type=int, help="width of Saccade's feed-forward network; RecTools' is dim")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--short-users", type=int, default=20_000)
    parser.add_argument("--short-items", type=int, default=12_000)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    arguments = parser.parse_args()
    out = sys.stderr if arguments.json else sys.stdout
    rectools, results = arguments.rectools or make_rectools(), {}
    with tempfile.TemporaryDirectory() as name:
        short = Path(name)
        size = {"users": arguments.short_users, "items": arguments.short_items}
        write_histories(short, **size, clusters=100, mean_length=8, seed=0, files=1)
        sets = [(Histories.read("short histories", short, 50, 1), (6.0, 6.0), False)]
        if arguments.data:
            long = Histories.read(arguments.data.name, arguments.data, arguments.max_length, arguments.micro_batches)
            sets.insert(0, (long, (3.0, 10.0), True))
            # DeepSpeed's operation is there, and no lock of a killed build, for which contestants would wait for ever.
            subprocess.run([sys.executable, "-m", "saccade.cluster.prepare"], check=True, stdout=sys.stderr)
        for histories, asked, engines in sets:
            contestants, comparisons = compare(arguments, histories, rectools, asked, engines)
            for line in show(histories, contestants, comparisons):
                print(line, file=out, flush=True)
            results[histories.name] = as_json(histories, contestants, comparisons)
    if arguments.json:
        left_out = ("data", "rectools", "json")
        settings = {key: value for key, value in vars(arguments).items() if key not in left_out}
        print(json.dumps({"settings": settings, "sets": results}))


if __name__ == "__main__":
    main()
