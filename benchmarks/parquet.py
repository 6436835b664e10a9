"""Behaviour histories from Parquet to shuffled, bucketed, jagged micro-batches: rows a second against bare decoding.

    python benchmarks/parquet.py                    # all contestants, three rounds
    python benchmarks/parquet.py --items 50000      # ids of a small catalogue, which are stored as a dictionary
    python benchmarks/parquet.py --contestants bare saccade --rounds 5
    python benchmarks/parquet.py --json             # and a JSON object as the last line

Histories of log-normal length (60 items on average, at most 1,000) of a million items, some more popular than others,
are written to eight zstd files with pyarrow's defaults. Each contestant reads all of them in a process of its own, in
which every library has one thread: once to warm up (libraries load what they need at their first call, and memory that
a process touches for the first time costs it page faults), and then for three seconds by the clock, at least once.
Opening files, starting Ray and Hugging Face's own Arrow copy come before the clock runs. The contestants take turns; a
figure is the median over a process's passes and then over the rounds, a ratio the median of the rounds' ratios. Memory
is the growth of the process's peak over what it takes with everything imported.

- bare: ``read_row_group`` of the one column, and nothing else. The bar.
- saccade: the training reader of a rank with one lane: rows in the global shuffled order, bucketed by length, cut by a
  token budget, each micro-batch a packed pair of values and lengths, as TorchRec's KeyedJaggedTensor takes it. One
  thread decodes while another one shuffles and cuts what came before: it takes more than one core's time, which the
  column of seconds of CPU shows. On one core alone (``--one-core``) it is as much slower.
- saccade, next item: the same with all that next-item training draws on top: crops, targets, negatives.
- ray data: ``iter_torch_batches`` of Ray Data, in the order of the files; its tasks and object store are processes of
  their own, whose time isn't counted.
- torch loader: ``DataLoader`` over a dataset of Python lists, shuffled, collated to values and lengths.
- hugging face: ``datasets`` in torch format, in the order of the files.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.pipelines.batch import Batch
from saccade.pipelines.examples import Examples
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem

LONGEST = 1_000
BATCH = 1024
"""Rows of a batch, for contestants without a token budget."""

WINDOW = 4096
"""Rows that are shuffled together: what job files have where they name none (``data.window``)."""

TOKENS = 60 * BATCH
MOST_ITEMS = 1 << 40
LEAST_SECONDS = 3.0
"""Of timed passes in a process."""

Pass = Iterator[int]
"""One pass over the data: 0 when all is prepared, and then the rows of each batch, as it is ready."""


def write(folder: Path, rows: int, files: int, catalogue: int) -> None:
    """The histories; the same for the same arguments."""
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, catalogue) ** 0.5
    edges = shares.cumsum() / shares.sum()
    for number, size in enumerate(len(part) for part in np.array_split(np.empty(rows, bool), files)):
        lengths = rng.lognormal(np.log(60) - 0.5 * 0.9**2, 0.9, size).round().clip(2, LONGEST).astype(np.int64)
        offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
        items = np.searchsorted(edges, rng.random(offsets[-1])) + 1
        table = pa.table({"history": pa.ListArray.from_arrays(pa.array(offsets), pa.array(items))})
        pq.write_table(table, folder / f"part-{number:05d}.parquet", row_group_size=16_384, compression="zstd")


def bare(folder: Path) -> Pass:
    """Decodes each row group."""
    files = [pq.ParquetFile(file) for file in sorted(folder.glob("*.parquet"))]
    yield 0
    for opened in files:
        for group in range(opened.num_row_groups):
            yield opened.read_row_group(group, ["history"], use_threads=False).num_rows


class Histories(NextItem):
    """Whole histories as values and lengths, and nothing drawn."""

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Rows cost what they hold."""
        history = examples.columns["history"]
        assert isinstance(history, Jagged)
        return Examples(examples.rows, {"history": history}, history.layout.lengths)

    def collate(self, examples: Examples, split: Split, generator: torch.Generator) -> Batch:
        """Values and their layout: views of the window's one gather."""
        history = examples.columns["history"]
        assert isinstance(history, Jagged)
        total = history.layout.total
        return Batch({"history": history.values}, {"layout": history.layout}, total, total, examples.rows)


def saccade(kind: type[NextItem], folder: Path) -> Pass:
    """The reader that trains."""
    task = kind(
        history="history",
        max_length=200,
        items=MOST_ITEMS,
        build=nn.Identity,
        dim=1,
        standard_deviation=0.1,
        loss=ScoredLoss(256, True, sampled_softmax),
        ks=[10],
    )
    assert list(task.columns) == [Column("history", "integers")]
    source = Source.open(str(folder), None, task.columns)
    reader = Reader(source, task, "train", seed=0, lanes=1, window=WINDOW, tokens=TOKENS, rank=0, world_size=1)
    yield 0
    with closing(reader.steps(0)) as steps:
        for step in steps:
            if not step.rows:
                return
            yield step.rows


def ray_data(folder: Path) -> Pass:
    """Ray Data's own iterator of torch batches; lists of different lengths come as a list of tensors."""
    import ray
    import ray.data

    if not ray.is_initialized():
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        ray.init(address="local", num_cpus=1, **quiet)
    ray.data.DataContext.get_current().enable_progress_bars = False
    data = ray.data.read_parquet(str(folder), columns=["history"])

    def collate(batch: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor([len(row) for row in batch["history"]])
        return torch.from_numpy(np.concatenate(list(batch["history"]))), lengths

    yield 0
    for _, lengths in data.iter_torch_batches(batch_size=BATCH, collate_fn=collate):
        yield len(lengths)


class _Lists(torch.utils.data.Dataset[list[int]]):
    def __init__(self, folder: Path) -> None:
        self.rows = pq.read_table(folder, columns=["history"]).column("history").to_pylist()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> list[int]:
        found: list[int] = self.rows[row]
        return found


def _packed(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    return torch.tensor([item for row in rows for item in row]), torch.tensor([len(row) for row in rows])


def torch_loader(folder: Path) -> Pass:
    """What many write by hand; reading all into lists is part of it."""
    yield 0
    for _, lengths in torch.utils.data.DataLoader(_Lists(folder), BATCH, shuffle=True, collate_fn=_packed):
        yield len(lengths)


def hugging_face(folder: Path) -> Pass:
    """Batches of lists of tensors, packed."""
    import datasets

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_parquet(
        [str(file) for file in sorted(folder.glob("*.parquet"))], cache_dir=str(folder.parent / "cache")
    ).with_format("torch")
    yield 0
    for batch in data.iter(BATCH):
        rows = batch["history"]
        torch.cat(list(rows))
        yield len(torch.tensor([len(row) for row in rows]))


CONTESTANTS: dict[str, Callable[[Path], Pass]] = {
    "bare": bare,
    "saccade": partial(saccade, Histories),
    "saccade, next item": partial(saccade, NextItem),
    "ray data": ray_data,
    "torch loader": torch_loader,
    "hugging face": hugging_face,
}
NEEDS = {"ray data": "ray", "hugging face": "datasets"}


def measure(name: str, folder: Path, one_core: bool) -> dict[str, float]:
    """One contestant's passes, in this process: the median of each figure, and MiB at the peak."""
    if one_core:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    warnings.simplefilter("ignore")
    gc.collect()
    before = _memory("VmRSS")
    sum(CONTESTANTS[name](folder))
    passes: list[dict[str, float]] = []
    while sum(one["seconds"] for one in passes) < LEAST_SECONDS:
        passes.append(time_pass(CONTESTANTS[name](folder)))
    figures = {key: statistics.median(one[key] for one in passes) for key in passes[0]}
    return figures | {"peak_mebibytes": _memory("VmHWM") - before}


def time_pass(batches: Pass) -> dict[str, float]:
    """One pass by the clock: rows, seconds, those to the first batch, and those of CPU in all threads."""
    next(batches)
    began, worked = time.perf_counter(), time.process_time()
    rows, first = 0, 0.0
    for count in batches:
        rows += count
        first = first or time.perf_counter() - began
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    return {
        "rows": rows,
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "first_batch_seconds": first,
        "cpu_seconds": cpu,
    }


def _memory(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def take_turns(names: list[str], folder: Path, rounds: int, one_core: bool) -> dict[str, list[dict[str, float]]]:
    """Every contestant's passes, each in a fresh process; the first ones fill the system's file cache."""
    took: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names:
            if turn == 0 and name not in ("bare", "saccade", "hugging face"):
                continue
            command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
            command += ["--one-core"] if one_core else []
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
            if turn:
                took[name].append(json.loads(done.stdout.splitlines()[-1]))
    return took


def main() -> None:
    """Parse the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items", type=int, default=1_000_000, help="of the catalogue")
    parser.add_argument("--one-core", action="store_true", help="keep each contestant's process on one core")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--measure", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.folder, arguments.one_core)))
        return
    there = [name for name in arguments.contestants if name not in NEEDS or find_spec(NEEDS[name])]
    for name in arguments.contestants:
        if name not in there:
            print(f"{name}: left out, {NEEDS[name]} isn't installed (the extra `benchmarks` brings it)")
    names = list(dict.fromkeys(["bare", "saccade", *there]))
    with tempfile.TemporaryDirectory(prefix="saccade-benchmark-") as temporary:
        folder = Path(temporary) / "data"
        folder.mkdir()
        write(folder, arguments.rows, arguments.files, arguments.items)
        stored = sum(file.stat().st_size for file in folder.glob("*.parquet")) / 2**20
        print(f"{arguments.rows:,} histories in {arguments.files} files of {stored:.0f} MiB together")
        took = take_turns(names, folder, arguments.rounds, arguments.one_core)
    results = {}
    for name in names:
        assert all(run["rows"] == arguments.rows for run in took[name]), f"{name} lost rows"
        fraction = statistics.median(
            own["rows_per_second"] / base["rows_per_second"] for own, base in zip(took[name], took["bare"], strict=True)
        )
        figures = {key: statistics.median(run[key] for run in took[name]) for key in took[name][0]}
        results[name] = figures | {"fraction_of_bare_decode": fraction}
        print(
            f"  {name:<20}{figures['rows_per_second']:>12,.0f} rows/s {fraction:8.1%} of bare   first batch "
            f"{figures['first_batch_seconds']:7.3f} s   CPU {figures['cpu_seconds']:6.2f} s   "
            f"peak +{figures['peak_mebibytes']:,.0f} MiB"
        )
    if arguments.json:
        fraction = results["saccade"]["fraction_of_bare_decode"]
        peak = results["saccade"]["peak_mebibytes"]
        found = {"fraction_of_bare_decode": round(fraction, 4), "peak_mebibytes": round(peak, 1)}
        print(json.dumps(found | {"contestants": results}))


if __name__ == "__main__":
    main()
