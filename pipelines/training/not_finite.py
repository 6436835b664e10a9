"""What becomes of a training whose loss or gradient is NaN or infinite at a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import StepResult
from saccade.pipelines.errors import UserError

NotFinitePolicy = Literal["stop", "skip", "rollback"]

MOST_IN_A_ROW = 10
"""Such steps without a good one between them after which it is no longer some rows' fault."""

SHOWN_FILES, SHOWN_ROWS, MOST_LOOKED_UP = 4, 5, 1000
"""How many files, and rows of each, a message names, and how many rows are looked up for it."""


class NotFinite:
    """Decides about steps that aren't finite. Its methods are collectives, and all ranks decide alike.

    Args:
        policy: ``stop`` with an error, ``skip`` the step, or ``rollback`` to the last checkpoint's weights.
        where: row number -> ``FILE row N``.
        collective: the ranks.
        rollback: loads the newest good checkpoint and gives its name; None where there is none.
        warn: gets one line for each step that is passed over.
    """

    def __init__(
        self,
        policy: NotFinitePolicy,
        where: Callable[[int], str],
        collective: Collective,
        rollback: Callable[[], str | None],
        warn: Callable[[str], None],
    ) -> None:
        self.policy, self.where, self.collective, self.rollback, self.warn = policy, where, collective, rollback, warn
        self.in_a_row = 0

    def judge(self, result: StepResult, batches: Sequence[Batch], step: int) -> None:
        """Look at what became of a step, and act where it wasn't finite.

        Args:
            result: the step's.
            batches: this rank's micro-batches.
            step: its number, counted from 1.

        Raises:
            UserError: training must not go on.
        """
        if result.outcome == "stepped":
            self.in_a_row = 0
        if result.outcome != "not_finite":
            return
        self.in_a_row += 1
        found = f"loss {result.loss:.4g}, gradient norm {result.gradient_norm:.4g}, in {self._rows(result, batches)}"
        if self.policy == "stop":
            raise UserError(
                f"step {step} is not finite: {found}. Set train.on_not_finite to skip or rollback, and the same "
                "command goes on from the last checkpoint; or mend those rows or lower the learning rates, and start "
                "over"
            )
        if self.in_a_row > MOST_IN_A_ROW:
            raise UserError(
                f"{self.in_a_row} steps in a row are not finite, the last one step {step}: {found}. "
                "Start over with a lower optimizer.learning_rate, tables' learning_rate or optimizer.clip, or with "
                "train.precision=fp32"
            )
        if self.policy == "skip":
            self.warn(f"step {step} skipped: {found}")
        elif loaded := self.rollback():
            self.warn(f"step {step} skipped, back to the weights of {loaded}: {found}")
        else:
            raise UserError(
                f"step {step} is not finite, and there is no checkpoint to roll back to: {found}. Set "
                "train.on_not_finite=skip; or mend those rows or lower the learning rates, and start over"
            )

    def _rows(self, result: StepResult, batches: Sequence[Batch]) -> str:
        """The rows at fault on any rank: of the micro-batches whose loss isn't finite, or else all of the step's."""
        all_rows = [row for batch in batches for row in batch.rows.tolist()]
        losses = zip(batches, result.losses, strict=True)
        at_fault = [row for batch, loss in losses if not math.isfinite(loss) for row in batch.rows.tolist()]
        gathered = self.collective.gather_objects((at_fault, all_rows))
        rows = [row for found, _ in gathered for row in found] or [row for _, every in gathered for row in every]
        return _listed(len(rows), [self.where(row) for row in sorted(rows)[:MOST_LOOKED_UP]])


def _listed(count: int, places: Sequence[str]) -> str:
    """``3 rows: A row 1, 2; B row 7``: each ``FILE row N`` put together by file, and only the first few."""
    files: dict[str, list[str]] = {}
    for place in places:
        file, _, row = place.rpartition(" row ")
        files.setdefault(file, []).append(row)
    parts = [
        f"{file} row {', '.join(rows[:SHOWN_ROWS])}{', …' if len(rows) > SHOWN_ROWS else ''}"
        for file, rows in list(files.items())[:SHOWN_FILES]
    ]
    return f"{count} row{'s' if count != 1 else ''}: {'; '.join(parts)}{'; …' if len(files) > SHOWN_FILES else ''}"
