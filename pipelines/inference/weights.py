"""A trained model's weights in plain torch, to look outputs up with; nothing here trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from saccade.models.attention.attention import Attention
from saccade.models.attention.backends.choose import AUTO
from saccade.models.scheduled import scheduled, set_step
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.compared import compared_shards
from saccade.pipelines.errors import UserError
from saccade.pipelines.shard import TableShard
from saccade.pipelines.task import Task


class Weights:
    """Whole tables and the network in evaluation, in float32 and without optimizer state.

    Reading them changes nothing, so any number of threads may.

    Args:
        task: whose they are.
        network: its tensors by name.
        tables: [rows, dim] by name.
        step: optimizer steps that they have taken, for parts that change as training goes on.
        device: where to compute.

    Raises:
        UserError: they are of another model.
    """

    embeds = True

    def __init__(
        self,
        task: Task,
        network: Mapping[str, Tensor],
        tables: Mapping[str, Tensor],
        step: int,
        device: torch.device,
    ) -> None:
        self.task, self.device = task, device
        with torch.random.fork_rng(devices=[]):  # a network is drawn before its weights are loaded
            self.network: nn.Module = task.network().eval()
        try:
            self.network.load_state_dict(dict(network))
        except RuntimeError as error:
            raise UserError(f"these weights are of another model: {str(error).splitlines()[-1].strip()}") from None
        self.network.to(device).requires_grad_(False)
        set_step(scheduled(self.network), step)
        for module in self.network.modules():
            if isinstance(module, Attention):  # what computed it in training may be of another machine
                module.backend = AUTO
        self.tables: dict[str, Tensor] = {}
        for table in task.tables:
            weight = tables[table.name]
            if tuple(weight.shape) != (table.rows, table.dim):
                found, wanted = (" x ".join(map(str, shape)) for shape in (weight.shape, (table.rows, table.dim)))
                raise UserError(f"these weights are of another model: table {table.name} is {found}, not {wanted}")
            self.tables[table.name] = weight.to(device, torch.float32)
        self._compared = compared_shards(
            task, lambda batches: [self(batch) for batch in batches], self._whole, Collective()
        )

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Tensor:
        """The network's output for a batch."""
        batch = batch.to(self.device)
        embeddings = {
            feature: self.tables[table.name][batch.lookups[feature]]
            for table in self.task.tables
            for feature in table.features
        }
        return self.task.forward(self.network, embeddings, batch)

    def shards(self, table: str) -> Sequence[TableShard]:
        """What outputs are compared with, as one shard: a table, or what the network makes of it at the first call."""
        return self._compared(table)

    def _whole(self, table: str) -> Sequence[TableShard]:
        weight = self.tables[table]
        return [TableShard(table, (0, weight.shape[0]), (0, weight.shape[1]), weight, {})]
