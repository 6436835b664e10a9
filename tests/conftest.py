"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The tensors here are small: on a busy machine more threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long one example takes says nothing on a machine that does other things as well.
settings.register_profile("saccade", deadline=None, max_examples=40)
settings.load_profile("saccade")

# A developer's own API key must not send the tests' runs anywhere.
os.environ["WANDB_MODE"] = "offline"


# The suite runs in two processes, which take whole files in turn (pytest-xdist, `--dist loadfile`). These folders
# mostly wait for Ray and for groups of ranks: they go first, so that no process ends with a minute of waiting alone.
LONGEST_FIRST = ("cluster/training", "plugins/hybrid", "plugins/ray")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders of `LONGEST_FIRST` before all others; within a folder the order stays."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parent.as_posix()
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are no name of a test: packed ones hold the second they were made in, and two processes then disagree."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the public data sets that some tests read; without it those tests are skipped."""
    folder = os.environ.get("SACCADE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SACCADE_DATA names no folder with data sets")
    return Path(folder)
