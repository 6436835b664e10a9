"""The sharding plan as a table for the run's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN_RANKS = 8
"""Up to so many ranks each get a column; of more, the least and the most are shown."""


def plan_table(plan: Sequence[Mapping[str, Any]], workers: int) -> list[str]:
    """Lines with each table's sharding and its MiB (weights and optimizer state) on each rank.

    Args:
        plan: the engine's, a line for each part of a table.
        workers: ranks.
    """
    if not plan:
        return []
    held: dict[str, list[int]] = {}
    kinds: dict[str, tuple[str, int, int]] = {}
    for line in plan:
        name = str(line["table"])
        held.setdefault(name, [0] * workers)[line["rank"]] += line["bytes"]
        sharding, parts, elements = kinds.get(name, (line["sharding"], 0, 0))
        kinds[name] = (sharding, parts + 1, elements + line["elements"])
    ranks = [f"rank {rank}" for rank in range(workers)] if workers <= SHOWN_RANKS else ["least", "most"]
    rows = [["table", "elements", "sharding", "parts", *ranks]]
    for name, (sharding, parts, elements) in kinds.items():
        rows.append([name, f"{elements:,}", sharding, str(parts), *_cells(held[name])])
    if len(kinds) > 1:
        rows.append(["all", "", "", "", *_cells([sum(column) for column in zip(*held.values(), strict=True)])])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if i in (0, 2) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return ["sharding of the tables, in MiB of weights and optimizer state:", *lines]


def _cells(held: Sequence[int]) -> list[str]:
    shown = held if len(held) <= SHOWN_RANKS else [min(held), max(held)]
    return [f"{number / 2**20:.2f}" for number in shown]
