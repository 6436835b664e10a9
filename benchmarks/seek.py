"""What it costs to go on in the middle of an epoch: time and memory to the first micro-batches from there.

Writes behaviour histories of about 20 items to several Parquet files, and reads them as training does: seeks to a place
in a fresh process and waits for the step that follows it. Memory is the growth of the process's peak over what the
interpreter takes with everything imported; with ``--steps 0`` the rest of the epoch is read, which shows that memory
doesn't grow with the data.

    python benchmarks/seek.py --json
    python benchmarks/seek.py --row-group 1048576 --files 1 --compression zstd
    python benchmarks/seek.py --rows 5000000 --places 0 --steps 0
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.order.reader import LanePosition, Reader
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem

ITEMS = 50_000


def write(folder: Path, rows: int, files: int, row_group: int, compression: str) -> None:
    """Random histories of 5 to 35 items, in files of equal rows."""
    rng = np.random.default_rng(0)
    for number, size in enumerate(len(part) for part in np.array_split(np.empty(rows, bool), files)):
        lengths = rng.integers(5, 36, size)
        offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
        items = rng.integers(1, ITEMS, offsets[-1])
        history = pa.ListArray.from_arrays(pa.array(offsets), pa.array(items))
        file = folder / f"part-{number:05d}.parquet"
        pq.write_table(pa.table({"history": history}), file, row_group_size=row_group, compression=compression)


def measure(folder: Path, place: float, steps: int, lanes: int, window: int) -> dict[str, float]:
    """Read ``steps`` steps (0: all that are left) from a place (0 .. 1) of an epoch on, on one worker of one."""
    torch.set_num_threads(1)  # a reader works beside training, which has the cores
    before = _memory("VmRSS")
    began = time.perf_counter()
    task = NextItem(
        history="history",
        max_length=50,
        items=ITEMS,
        build=partial(SASRec, dim=8, blocks=1, heads=1, hidden=8, dropout=0.0, max_length=50),
        dim=8,
        standard_deviation=0.1,
        loss=ScoredLoss(256, True, sampled_softmax),
        ks=[10],
    )
    source = Source.open(str(folder), None, task.columns)
    opened = time.perf_counter()
    reader = Reader(
        source, task, "train", seed=0, lanes=lanes, window=window, tokens=8192, rank=0, world_size=1, ahead=1
    )
    windows = -(-source.rows // lanes // window)
    start = LanePosition(min(int(place * windows), windows - 1), 2)
    rows = first = 0.0
    with closing(reader.steps(1, dict.fromkeys(range(lanes), start))) as stream:
        for item in islice(stream, steps or None):
            first = first or time.perf_counter()
            found = sum(len(batch.rows) for batch in item.batches)
            if not found:
                break
            rows += found
    return {
        "place": place,
        "open_seconds": opened - began,
        "seek_seconds": first - opened,
        "read_seconds": time.perf_counter() - first,
        "rows": rows,
        "growth_mib": _memory("VmHWM") - before,
    }


def _memory(key: str) -> float:
    """A line of /proc/self/status in MiB. Not ``getrusage``, whose peak is partly the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))


def main() -> None:
    """Write the data, and measure each place in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--row-group", type=int, default=20_000, help="rows")
    parser.add_argument("--compression", default="snappy")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--window", type=int, default=4096)
    parser.add_argument("--places", type=float, nargs="+", default=[0.0, 0.5, 0.99])
    parser.add_argument("--steps", type=int, default=1, help="how many to read from there; 0: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # in the process that is measured
    options = parser.parse_args()
    if options.measure:
        (place,) = options.places
        print(json.dumps(measure(options.measure, place, options.steps, options.lanes, options.window)))
        return
    found = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.rows, options.files, options.row_group, options.compression)
        for place in options.places:
            command = [sys.executable, *sys.argv, "--places", str(place), "--measure", folder]
            found.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    if options.json:
        print(json.dumps({**{k: v for k, v in vars(options).items() if k != "measure"}, "places": found}))
        return
    print(f"{options.rows:,} rows in row groups of {options.row_group:,}, {options.lanes} lanes of one worker\n")
    print("   place   open     seek     rest of the steps   peak memory")
    for one in found:
        print(
            f"  {one['place']:5.0%}  {one['open_seconds']:5.3f} s  {one['seek_seconds']:6.3f} s"
            f"  {one['read_seconds']:8.3f} s  {one['rows']:10,.0f} rows  +{one['growth_mib']:.0f} MiB"
        )


if __name__ == "__main__":
    main()
