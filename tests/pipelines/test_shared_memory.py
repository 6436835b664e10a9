import platform
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.pipelines.sums import (
    DTYPES,
    EACH,
    SIZES,
    combined,
    gathered,
    many,
    of_other_layouts,
    rank_of,
    rows_of,
    shares,
    tensor,
)
from tests.processes import ROOT, run_ranks
from torch import Tensor

RANKS, ROUNDS = 3, 2000

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="ranks share memory on Linux and x86 alone"
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[list]:
    calls = [shares, combined, of_other_layouts, partial(many, ROUNDS), gathered]
    return run_ranks(RANKS, calls, tmp_path_factory.mktemp("ranks") / "sums")


def test_ranks_of_one_machine_share_memory(found: list[list]) -> None:
    assert found[0] == [True] * RANKS


def test_every_rank_gets_what_adding_in_rank_order_gives(found: list[list]) -> None:
    expected: list[Tensor] = []
    for size in SIZES:
        for dtype in DTYPES:
            first, *others = [tensor(rank, size, dtype) for rank in range(RANKS)]
            total, highest = first.clone(), first.clone()
            for other in others:
                total, highest = total + other, torch.maximum(highest, other)
            expected += [total, highest]
    for of_rank in found[1]:
        for ours, wanted in zip(of_rank, expected, strict=True):
            assert torch.equal(ours, wanted)


def test_views_scalars_and_nothing_are_summed_in_place(found: list[list]) -> None:
    for matrix, scalar, nothing in found[2]:
        assert matrix[:, 1].tolist() == [3.0, 6.0, 9.0, 12.0]
        assert matrix[:, [0, 2]].eq(0).all()
        assert scalar.item() == 7.5
        assert nothing.shape == (0, 3)


def test_every_rank_gets_all_rows_in_rank_order(found: list[list]) -> None:
    parts = [[rows_of(rank, each, dtype) for rank in range(RANKS)] for each in EACH for dtype in DTYPES]
    for of_rank in found[4]:
        for (rows, sizes), wanted in zip(of_rank, parts, strict=True):
            assert torch.equal(rows, torch.cat(wanted))
            assert sizes == [len(part) for part in wanted]


def test_no_sum_meets_another_one(found: list[list]) -> None:
    wanted = [sum(rank_of(rank, number) for rank in range(RANKS)) for number in range(ROUNDS)]
    for sums in found[3]:
        assert sums.tolist() == wanted


def test_a_rank_that_is_killed_is_not_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.pipelines.sums", str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(rank)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for rank in range(2)]
    said, _ = ranks[0].communicate(timeout=60)
    assert ranks[1].wait() == -9
    assert said.strip() == "the process of rank 1 ended while this one waited for it"
