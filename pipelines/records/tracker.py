"""Where a run's numbers go while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Receives a run's numbers on rank 0."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics by full name (``train/loss``, ``valid/ndcg@10``) at a global step."""

    def show(self, step: int, pictures: Mapping[str, Path]) -> None:
        """Picture files by full name (``attention/valid-row-0-layer-1``), of the checkpoint at a step."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """The run ended with this result (the contents of ``result.json``)."""
