"""How far a training has come: all that a resumed run needs besides weights and optimizer state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

from saccade.pipelines.checkpoint.retention import step_name
from saccade.pipelines.order.reader import LanePosition
from saccade.pipelines.training.window import Window


@dataclass
class TrainingState:
    """The loop's own variables; the same on every rank but for ``positions``, of which a rank knows its own lanes.

    Attributes:
        step: optimizer steps taken.
        epoch: epochs finished.
        rows: source rows used in the epoch so far, over all ranks.
        positions: lane -> where it stands in the epoch; an absent lane is at its start.
        events: tokens trained on, over all epochs and ranks.
        overflows: steps not taken because a gradient was beyond fp16.
        seconds: of training, over all starts, evaluation and saving left out.
        waited: those of them in which this rank had no data.
        window: what is to be logged next.
        best: (metric, step) of all evaluations, best first.
        stale: evaluations since the best one.
        metrics: of the latest evaluation.
        finished: training has ended before its last epoch, out of patience.
    """

    step: int = 0
    epoch: int = 0
    rows: int = 0
    positions: dict[int, LanePosition] = field(default_factory=dict)
    events: int = 0
    overflows: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    window: Window = field(default_factory=Window)
    best: list[tuple[float, int]] = field(default_factory=list)
    stale: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON values; :meth:`from_json` reads them back."""
        values = asdict(self)
        values["positions"] = {str(lane): list(astuple(place)) for lane, place in self.positions.items()}
        return values

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> TrainingState:
        """The state that was written."""
        positions = {int(lane): LanePosition(*place) for lane, place in values["positions"].items()}
        best = [(float(metric), int(step)) for metric, step in values["best"]]
        window = Window(**values.get("window", {}))
        return TrainingState(**{**values, "positions": positions, "best": best, "window": window})

    def add_evaluation(self, value: float) -> bool:
        """Note the selected metric's value at this step; whether it is better than all before."""
        improved = not self.best or value > self.best[0][0]
        self.stale = 0 if improved else self.stale + 1
        # Of equally good evaluations the first one counts.
        self.best = sorted([*self.best, (value, self.step)], key=lambda found: (-found[0], found[1]))
        return improved

    def best_saved(self, checkpoints: Path) -> list[int]:
        """The steps of those evaluations whose checkpoints are in the folder, best first."""
        return [step for _, step in self.best if (checkpoints / step_name(step)).is_dir()]
