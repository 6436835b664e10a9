"""Saccade: attention models over user histories, text and speech, from one laptop to a cluster.

This file is the import package ``saccade`` itself; its subpackages are the top-level folders, as pyproject.toml maps
them. It imports nothing, so that ``import saccade.models`` needs torch alone and ``saccade --help`` imports no torch.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saccade.pipelines.inference.recommender import Recommender

__all__ = ["load"]


def load(path: str | PathLike[str]) -> Recommender:
    """A trained next-item model, to recommend with.

    ::

        model = saccade.load("runs/demo")
        model.recommend([[3, 17, 42], [5]], k=10).items

    Args:
        path: a run's folder, of which the best checkpoint is used; a checkpoint's folder; or an exported folder, or the
            ``model.safetensors`` in it.

    Raises:
        UserError: no model is there, it is damaged, or its task isn't next_item.
    """
    from saccade.cluster.using.load import load as load_model

    return load_model(path)
