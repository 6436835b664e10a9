"""One row, computed again: its tokens, and what the layers weigh in it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from saccade.cluster.explaining.layers import Layer, LayerWeights, heads_of
from saccade.cluster.explaining.subject import Subject
from saccade.cluster.explaining.token_names import TokenNames, describe_row, name_tokens
from saccade.models.attention.explain import recorded_weights
from saccade.models.pooling import recorded_pooling
from saccade.pipelines.errors import UserError


@dataclass(frozen=True, eq=False)
class Row:
    """One row as the model sees it.

    Attributes:
        number: in the split.
        about: its label, or what follows it.
        tokens: what they are called.
        layers: those that were asked for, without any that the network didn't call, or called for nothing.
    """

    number: int
    about: str
    tokens: TokenNames
    layers: Sequence[LayerWeights]


def look(
    subject: Subject,
    number: int,
    layers: Sequence[Layer],
    heads: Sequence[int] = (),
    items: Mapping[int, str] | None = None,
) -> Row:
    """Compute one row, and keep what its attention layers weigh.

    Raises:
        UserError: there is no such row or head, or the split has no use for the row.
    """
    names = items or {}
    if not 0 <= number < subject.source.rows:
        raise UserError(f"--row {number}: the {subject.split} split has rows 0 to {subject.source.rows - 1}")
    batch = subject.batch(number)
    if batch.events == 0:
        raise UserError(f"--row {number}: {subject.source.where(number)} is too short for the {subject.split} split")
    network = subject.model.network
    with contextlib.ExitStack() as stack:
        recorded: dict[Layer, dict[str, list[Tensor]]] = {}
        for layer in layers:
            record = recorded_pooling if layer.pools else recorded_weights
            recorded[layer] = stack.enter_context(record(network.get_submodule(layer.name), [0]))
        output = subject.model(batch)
    found = [heads_of(kept[""][0], layer, heads) for layer, kept in recorded.items() if kept and kept[""][0].numel()]
    tokens = name_tokens(subject.job, subject.task, batch, names)
    return Row(number, describe_row(subject.task, batch, output, names), tokens, found)
