"""The file ``attention/heat_maps.json`` in a run's folder: what its heat maps show, as numbers and names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.pipelines.errors import UserError
from saccade.pipelines.records.record import plain, read_json, replace_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER, FILE = "attention", "heat_maps.json"

Weights = Sequence[Sequence[Sequence[float]]]


@dataclass(frozen=True)
class HeatMap:
    """One picture: a layer's weights for one row of a split, or the part of them that is shown.

    Attributes:
        row: its number in the split.
        layer: ``layer 0``, or what a pooling is called.
        module: the layer's name in the network.
        title: what it shows.
        unit: what a token is.
        heads: the heads' numbers.
        queries: names of the weights' rows.
        keys: names of their columns.
        weights: [heads, queries, keys].
    """

    row: int
    layer: str
    module: str
    title: str
    unit: str
    heads: Sequence[int]
    queries: Sequence[str]
    keys: Sequence[str]
    weights: Weights

    def check(self) -> None:
        """ValueError where the names don't fit the weights."""
        sizes = {(len(head), len(row)) for head in self.weights for row in head}
        if sizes != {(len(self.queries), len(self.keys))} or len(self.weights) != len(self.heads):
            raise ValueError(f"weights of {sizes} for {len(self.queries)} queries and {len(self.keys)} keys")

    def draw(self, title: str) -> Figure:
        """The picture."""
        from saccade.cluster.report.heat_map import heat_map

        labels = (f"query ({self.unit})", f"key ({self.unit})")
        return heat_map(self.weights, self.queries, self.keys, title=title, heads=self.heads, labels=labels)


@dataclass(frozen=True)
class HeatMaps:
    """All pictures of a run.

    Attributes:
        split: whose rows they show.
        step: of the checkpoint that the weights are from.
        maps: one a row and layer.
    """

    split: str
    step: int
    maps: Sequence[HeatMap]

    def write(self, folder: Path) -> Path:
        """Put the file into ``folder``."""
        path = folder / FILE
        replace_text(path, json.dumps(plain(asdict(self)), ensure_ascii=False, allow_nan=False) + "\n")
        return path

    @staticmethod
    def read(run: Path) -> HeatMaps | None:
        """Those of a run's folder; None where there are none.

        Raises:
            UserError: the file is damaged.
        """
        path = run / FOLDER / FILE
        if not path.is_file():
            return None
        try:
            values: Mapping[str, Any] = read_json(path)
            maps = [HeatMap(**entry) for entry in values["maps"]]
            for one in maps:
                one.check()
            return HeatMaps(str(values["split"]), int(values["step"]), maps)
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{path} is damaged: write it anew with `saccade explain {run}`, or delete it") from None
