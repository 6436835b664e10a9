from __future__ import annotations

import pytest

from saccade.cluster.training.run import workers_line


@pytest.mark.parametrize(
    ("micro_batches", "workers", "line"),
    [
        (4, 1, "1 worker starts"),
        (4, 2, "2 workers start"),
        (4, 3, "3 workers for 4 micro-batches: 2 of 6 places a step stay empty"),
        (2, 4, "4 workers for 2 micro-batches: 2 of 4 places a step stay empty"),
    ],
)
def test_uneven_workers_are_told(micro_batches: int, workers: int, line: str) -> None:
    assert workers_line(micro_batches, workers) == line
