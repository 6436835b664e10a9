"""What it costs to import interactions: time, and the process's peak memory.

Writes a CSV file of users, items (by a power law), times and ratings, in no order, and imports it in a fresh process:

    python benchmarks/importing.py --json
    python benchmarks/importing.py --rows 50000000 --users 2000000 --items 500000
    python benchmarks/importing.py --format jsonl
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from saccade.pipelines.importing.formats import FORMATS
from saccade.pipelines.importing.run import Settings, run_import

COLUMNS = {"user": "user_id", "item": "item_id", "time": "timestamp", "rating": "rating"}
_AT_ONCE = 1_000_000


def write(file: Path, rows: int, users: int, items: int, form: str) -> None:
    """Users and items as text, times within three years."""
    rng = np.random.default_rng(0)
    with file.open("wb") as stream:
        for first in range(0, rows, _AT_ONCE):
            count = min(_AT_ONCE, rows - first)
            user = rng.integers(0, users, count)
            item = (items * rng.random(count) ** 3).astype(np.int64)
            table = pa.table(
                {
                    "user_id": pc.binary_join_element_wise("u", pa.array(user).cast(pa.string()), ""),
                    "item_id": pc.binary_join_element_wise("i", pa.array(item).cast(pa.string()), ""),
                    "timestamp": rng.integers(1_500_000_000, 1_600_000_000, count),
                    "rating": rng.integers(1, 6, count).astype(np.float32),
                }
            )
            if form == "csv":
                options = pyarrow.csv.WriteOptions(include_header=first == 0, quoting_style="none")
                pyarrow.csv.write_csv(table, stream, options)
            else:
                stream.writelines(json.dumps(row).encode() + b"\n" for row in table.to_pylist())


def measure(source: Path, form: str, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Import the file, in this process."""
    began = time.perf_counter()
    about = run_import(
        form, FORMATS[form], source, folder, FORMATS[form].options(**COLUMNS, **options), Settings(), show=print
    )
    return {
        "seconds": time.perf_counter() - began,
        "peak_mib": _peak(),
        "interactions": about["statistics"]["interactions"],
        "users": about["statistics"]["users"],
        "items": about["statistics"]["items"],
        "rejected": about["rejected"],
    }


def _peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Write the file, and import it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--format", choices=["csv", "jsonl"], default="csv")
    parser.add_argument("--core", type=int, default=1, help="--min-user and --min-item of the import")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # in the process that is measured
    options = parser.parse_args()
    if options.measure:
        core = {"min_user": options.core, "min_item": options.core}
        source = options.measure / f"events.{options.format}"
        print(json.dumps(measure(source, options.format, options.measure / "imported", core)))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"events.{options.format}"
        write(source, options.rows, options.users, options.items, options.format)
        size = source.stat().st_size
        command = [sys.executable, *sys.argv, "--measure", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    found = {**found, "rows": options.rows, "bytes": size, "rows_per_second": options.rows / found["seconds"]}
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{options.rows:,} rows of {options.format} ({size / 2**20:,.0f} MiB) in {found['seconds']:.1f} s: "
        f"{found['rows_per_second']:,.0f} rows/s, peak {found['peak_mib']:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
