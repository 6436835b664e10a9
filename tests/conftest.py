"""What all tests share."""

import os
from pathlib import Path

import pytest

# A developer's own API key must not send the tests' runs anywhere.
os.environ["WANDB_MODE"] = "offline"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the public data sets that some tests read; without it those tests are skipped."""
    folder = os.environ.get("SACCADE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SACCADE_DATA names no folder with data sets")
    return Path(folder)
