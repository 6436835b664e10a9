"""Trying a click model on two small rows before anything starts."""

from __future__ import annotations

import torch

from saccade.cluster.job import CtrJob
from saccade.cluster.training.ctr import ctr_network
from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.impressions import Impressions
from saccade.pipelines.errors import UserError


def check_ctr(job: CtrJob) -> None:
    """Build the job's network and compute two rows, one without a history.

    Raises:
        UserError: a part is missing or can't be made, or doesn't fit the others.
    """
    dim, count = job.model.dim, min(job.data.max_length, 3)
    layout = Layout(torch.tensor([count, 0]))
    tokens = Jagged(torch.randn(count, dim), layout)
    kinds = [feature.type for feature in job.data.features]
    features = [tokens if kind == "ids" else torch.randn(2, dim) for kind in kinds if kind != "number"]
    rows = Impressions(features, torch.randn(2, kinds.count("number")), torch.randn(2, dim), tokens)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            output = ctr_network(job).eval()(rows)
        except ValueError as error:
            raise UserError(f"model: {job.model.name} can't compute a batch of ctr: {error}") from None
    assert output.shape == (2, len(job.data.labels))
