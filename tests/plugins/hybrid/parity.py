"""Trains the same job on every engine that must agree, and prints by how much they differ.

    python -m tests.plugins.hybrid.parity            the whole matrix, about 15 minutes on two cores
    python -m tests.plugins.hybrid.parity --growth   how rounding differences grow with the steps

Every figure is the largest difference of any number in the final checkpoint - weights and optimizer state of tables and
network - to the float32 ReferenceEngine's, which takes the same micro-batches one after the other in one process.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.plugins.hybrid.training import Settings, call, differences, opened, train, write_histories
from tests.processes import run_ranks

from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer

WORKERS, ZERO_STAGES = (1, 2, 4), (0, 1, 2, 3)
SHARDINGS = ("row", "table", "column", "replicated")
ACCUMULATIONS = (1, 4)
OPTIMIZERS: Mapping[str, tuple[TableOptimizer, NetworkOptimizer]] = {
    "SGD": (TableOptimizer("sgd", 0.5), NetworkOptimizer("sgd", 0.05, weight_decay=0.01)),
    "Adam": (TableOptimizer("adam", 1e-3), NetworkOptimizer("adam", 1e-3)),
    "row-wise Adagrad": (TableOptimizer("rowwise_adagrad", 0.05), NetworkOptimizer("adamw", 1e-3, weight_decay=0.01)),
}
Case = tuple[int, int, str, int, str]
"""Workers, ZeRO stage, sharding, accumulation, optimizer."""

MATRIX: Sequence[Case] = list(itertools.product(WORKERS, ZERO_STAGES, SHARDINGS, ACCUMULATIONS, OPTIMIZERS))


def settings_of(case: Case, steps: int = 20) -> Settings:
    """The training of a case."""
    workers, zero_stage, sharding, accumulation, optimizer = case
    table, network = OPTIMIZERS[optimizer]
    lanes = workers * accumulation
    return Settings("hybrid", zero_stage, sharding, lanes=lanes, table=table, network=network, steps=steps)


class Comparison:
    """Trainings in a folder of their own, each reference trained once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir()
        write_histories(self.data)
        self._references: dict[Settings, Path] = {}
        self._starts = 0

    def run(self, workers: int, trainings: Sequence[Settings]) -> list[float]:
        """Train all of them with one start of so many ranks; for each, its largest difference to its reference."""
        self._starts += 1
        here = self.folder / f"start-{self._starts}"
        outputs = [here / f"training-{number}" for number in range(len(trainings))]
        calls = [call(s, self.data, output) for s, output in zip(trainings, outputs, strict=True)]
        run_ranks(workers, calls, here / "ranks", timeout=1200)
        return [
            max(differences(opened(output), opened(self.reference(s))).values())
            for s, output in zip(trainings, outputs, strict=True)
        ]

    def reference(self, settings: Settings) -> Path:
        """Where the reference's checkpoint of a training is."""
        recipe = settings.recipe
        if recipe not in self._references:
            self._references[recipe] = self.folder / f"reference-{len(self._references)}"
            train(recipe, self.data, self._references[recipe])
        return self._references[recipe]


def matrix(comparison: Comparison, cases: Iterable[Case] = MATRIX) -> dict[Case, float]:
    """Every case's largest difference; one start of ranks for each number of workers and ZeRO stage."""
    found: dict[Case, float] = {}
    for (workers, stage), group in itertools.groupby(cases, key=lambda case: case[:2]):
        chosen = list(group)
        found |= dict(zip(chosen, comparison.run(workers, [settings_of(case) for case in chosen]), strict=True))
        worst = max(found[case] for case in chosen)
        print(f"{workers} workers, ZeRO {stage}: {len(chosen)} trainings, at most {worst:.1e}", file=sys.stderr)
    return found


def matrix_table(found: Mapping[Case, float]) -> str:
    """A Markdown table: a line for each number of workers, stage and sharding."""
    columns = list(itertools.product(ACCUMULATIONS, OPTIMIZERS))
    names = [f"{optimizer}, {accumulation}×" for accumulation, optimizer in columns]
    lines = ["| workers | ZeRO | sharding | " + " | ".join(names) + " |", "|---" * (3 + len(columns)) + "|"]
    for case in itertools.product(WORKERS, ZERO_STAGES, SHARDINGS):
        cells = [f"{found[(*case, *column)]:.1e}" for column in columns]
        lines.append("| " + " | ".join([*map(str, case), *cells]) + " |")
    return "\n".join(lines)


def growth_table(comparison: Comparison) -> str:
    """A Markdown table of the largest difference after more and more steps, by optimizer, for 1, 2 and 4 workers."""
    counts = (10, 20, 50, 100, 200)
    lines = ["| workers | optimizer | " + " | ".join(f"{n} steps" for n in counts) + " |", "|---" * 7 + "|"]
    for workers in WORKERS:
        trainings = [
            Settings("hybrid", 2, "row", lanes=4, table=table, network=network, decay=math.inf, steps=n)
            for table, network in OPTIMIZERS.values()
            for n in counts
        ]
        found = iter(comparison.run(workers, trainings))
        for optimizer in OPTIMIZERS:
            cells = [f"{next(found):.1e}" for _ in counts]
            lines.append("| " + " | ".join([str(workers), optimizer, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", action="store_true", help="differences after 10 to 200 steps instead of the matrix")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(Path(folder))
        if arguments.growth:
            print(growth_table(comparison))
            return
        found = matrix(comparison)
        print(matrix_table(found))
        print(f"\n{len(found)} trainings of 20 steps; largest difference {max(found.values()):.1e}")


if __name__ == "__main__":
    main()
