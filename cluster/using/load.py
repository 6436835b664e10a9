"""``saccade.load``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from saccade.cluster.cli.run_folder import existing_run
from saccade.cluster.using.model import is_model, open_model
from saccade.pipelines.inference.recommender import Recommender


def load(path: str | PathLike[str]) -> Recommender:
    """A trained next-item model in this process; see ``saccade.load``.

    Raises:
        UserError: no model is there, it is damaged, or its task recommends nothing.
    """
    path = Path(path)
    model = open_model(path if is_model(path) else existing_run(path))
    return Recommender(model.task, model.weights, model.transforms, model.job.model_dump(mode="json"))
