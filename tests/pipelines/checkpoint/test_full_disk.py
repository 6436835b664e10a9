"""A disk that is really full: a small file system in memory, mounted for the test."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tests.pipelines.checkpoint.ranks import run_two_ranks

from saccade.models.table import Table
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.checkpoint.retention import checkpoints, newest_good
from saccade.pipelines.checkpoint.writer import save
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.engine import EngineState
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard

Save = Callable[[Path, int], Path]
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = False

    def mount_it(options: str) -> Path:
        nonlocal mounted
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"mounting a small file system isn't permitted here: {done.stderr.strip()}")
        mounted = True
        return disk

    yield mount_it
    if mounted:
        subprocess.run(["umount", str(disk)], check=True)


def check_only_the_first_is_left(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["step-00000001"]
    CheckpointReader(checkpoints(folder)[0]).verify()
    assert newest_good(folder, pytest.fail) == checkpoints(folder)[0]


def test_too_little_space_is_seen_before_anything_is_written(mount: Mount, save_step: Save) -> None:
    disk = mount("size=2m")
    folder = disk / "run" / "checkpoints"
    save_step(folder, 1)
    (disk / "other").write_bytes(bytes(1_400_000))
    with pytest.raises(UserError, match=r"step-00000002 could not be written to /.*: No space left") as caught:
        save_step(folder, 2)
    assert str(folder) in str(caught.value)
    assert re.search(r"needs 1\.0 MiB, 0\.\d MiB free", str(caught.value))
    assert "\n" not in str(caught.value)
    check_only_the_first_is_left(folder)


@pytest.mark.parametrize("left", range(8))
def test_full_at_each_file_of_a_save(mount: Mount, save_step: Save, left: int) -> None:
    # Out of inodes, so that the free bytes promise more than there is. A checkpoint takes 8 of them with its folders:
    # it fails at its first, second, …, last file or folder, which is the manifest.
    disk = mount("size=8m,nr_inodes=100")
    folder = disk / "checkpoints"
    save_step(folder, 1)
    while os.statvfs(disk).f_ffree > left:
        (disk / f"other-{os.statvfs(disk).f_ffree}").touch()
    with pytest.raises(UserError, match=r"step-00000002 .* No space left on device"):
        save_step(folder, 2)
    check_only_the_first_is_left(folder)


def test_full_in_the_middle_of_writing(mount: Mount, save_step: Save) -> None:
    # Each of 400 small files takes a whole page of 4 KiB: far more than the bytes that were counted beforehand.
    folder = mount("size=1400k") / "checkpoints"
    save_step(folder, 1)
    pieces = [TableShard("items", (row, row + 1), (0, 4), torch.zeros(1, 4), {}) for row in range(400)]
    with pytest.raises(UserError, match=r"step-00000002 .* No space left on device"):
        save(
            folder,
            EngineState(pieces, {}, {}),
            step=2,
            training={},
            job={},
            tables=[Table("items", 400, 4, ("item",))],
            collective=Collective(),
        )
    check_only_the_first_is_left(folder)


def test_full_for_one_rank_in_the_background_is_an_error_on_all(mount: Mount, save_step: Save) -> None:
    # Two ranks write at the same time; 600 files of the second one take more pages than are left.
    disk = mount("size=2600k,nr_inodes=5000")
    folder = disk / "run" / "checkpoints"
    save_step(folder, 1)
    (code, output), other = run_two_ranks(folder.parent, "pages")
    assert (code, output) == other
    assert code == 2
    assert "step-00000002 could not be written" in output
    assert re.search(r"No space left on device on rank [01] ", output)
    assert "[in flight: False]" in output
    check_only_the_first_is_left(folder)
