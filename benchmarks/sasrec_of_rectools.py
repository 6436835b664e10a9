"""A contestant of `benchmarks/sasrec.py`: RecTools' SASRec, trained as its documentation shows, turn by turn.

Runs in an environment with RecTools and without Saccade (benchmarks/rectools.txt).

    PYTHON benchmarks/sasrec_of_rectools.py '{"histories": "FILE.npz", "loss": "BCE", "max_length": 200, …}'
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from turns import Turns

turns = Turns()


class TakeTurns(Callback):
    """Waits for this contestant's turn between two steps of Lightning's training loop."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Model and data loader are made."""
        turns.ready(torch=torch.__version__, rectools=version("RecTools"), threads=torch.get_num_threads())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, torch.Tensor], batch_idx: int
    ) -> None:
        """Optimizer and all have stepped. Target 0 is padding, on which the losses don't train."""
        turns.step(int((batch["y"] != 0).sum()), len(batch["y"]))


def make_trainer() -> Trainer:
    """As RecTools makes its own, for as many epochs as there will be turns for."""
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[TakeTurns()],
    )


def read(file: str) -> Dataset:
    """The histories as interactions, a second apart."""
    stored = np.load(file)
    users = np.repeat(np.arange(len(stored["lengths"])), stored["lengths"])
    seconds = pd.to_datetime(np.arange(len(users)), unit="s")
    interactions = {Columns.User: users, Columns.Item: stored["items"], Columns.Weight: 1.0, Columns.Datetime: seconds}
    return Dataset.construct(pd.DataFrame(interactions))


def main() -> None:
    """Train until there are no more turns."""
    settings = json.loads(sys.argv[1])
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    model = SASRecModel(
        n_blocks=settings["blocks"],
        n_heads=settings["heads"],
        n_factors=settings["dim"],
        dropout_rate=settings["dropout"],
        session_max_len=settings["max_length"],
        loss=settings["loss"],
        n_negatives=1,
        lr=1e-3,
        batch_size=settings["users"],
        dataloader_num_workers=0,
        get_trainer_func=make_trainer,
    )
    model.fit(read(settings["histories"]))


if __name__ == "__main__":
    main()
