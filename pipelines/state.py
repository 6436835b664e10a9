"""How far a training has come: all that a resumed run needs besides weights and optimizer state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from saccade.pipelines.order.reader import LanePosition


@dataclass
class TrainingState:
    """The loop's own variables; the same on every rank but for ``positions``, of which a rank knows its own lanes.

    Attributes:
        step: optimizer steps taken.
        epoch: epochs finished.
        rows: source rows used in the epoch so far, over all ranks.
        positions: lane -> where it stands in the epoch; an absent lane is at its start.
        events: tokens trained on, over all epochs and ranks.
        seconds: of training, over all starts, evaluation and saving left out.
        best: (metric, step) of the best evaluations, best first.
        stale: evaluations since the best one.
        metrics: of the latest evaluation.
        finished: training has ended before its last epoch, out of patience.
    """

    step: int = 0
    epoch: int = 0
    rows: int = 0
    positions: dict[int, LanePosition] = field(default_factory=dict)
    events: int = 0
    seconds: float = 0.0
    best: list[tuple[float, int]] = field(default_factory=list)
    stale: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON values; :meth:`from_json` reads them back."""
        values = asdict(self)
        values["positions"] = {str(lane): [p.window, p.micro_batch] for lane, p in self.positions.items()}
        return values

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> TrainingState:
        """The state that was written."""
        positions = {int(lane): LanePosition(*place) for lane, place in values["positions"].items()}
        best = [(float(metric), int(step)) for metric, step in values["best"]]
        return TrainingState(**{**values, "positions": positions, "best": best})
