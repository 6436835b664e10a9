import platform
import sys
from pathlib import Path

import pytest
import torch
from tests.plugins.torchrec.exchange import ROWS, exchanged, rows
from tests.processes import run_ranks

RANKS = 3


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="ranks share memory on Linux and x86 alone"
)
def test_every_rank_gets_what_the_others_had_for_it(tmp_path: Path) -> None:
    (found,) = run_ranks(RANKS, [exchanged], tmp_path / "ranks")
    for rank, (backend, received, numbers) in enumerate(found):
        assert backend == "saccade_shared_memory"
        for name, about in ROWS.items():
            assert torch.equal(received[name], torch.cat([rows(other, rank, about) for other in range(RANKS)]))
        assert numbers.tolist() == [10 * other + rank for other in range(RANKS)]
