import platform
import sys
from pathlib import Path

import pytest
import torch
from tests.plugins.deepspeed.backend import collectives
from tests.processes import run_ranks


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="ranks share memory on Linux and x86 alone"
)
def test_deepspeed_adds_and_gathers_as_before(tmp_path: Path) -> None:
    (ranks,) = run_ranks(2, [collectives], tmp_path / "ranks")
    mine = torch.arange(4.0).view(2, 2)
    for rank, (backend, found) in enumerate(ranks):
        assert backend == "SharedBackend"
        assert torch.equal(found["sum"], 2 * mine + 10)
        assert torch.equal(found["later"], 2 * mine + 10)
        assert torch.equal(found["highest"], mine + 10)
        assert torch.equal(found["of one"], mine + 10 * rank)
        assert torch.equal(found["gathered"], torch.cat([mine, mine + 10]).flatten())
