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


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the public data sets that some tests read; without it those tests are skipped."""
    folder = os.environ.get("SACCADE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SACCADE_DATA names no folder with data sets")
    return Path(folder)
