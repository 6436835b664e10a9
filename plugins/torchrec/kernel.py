"""A TorchRec kernel that looks rows up and keeps their gradients, and leaves the optimizer's step to its owner.

TorchRec's fused kernel steps in every backward pass, knows only three optimizers on CPUs, and adds a table's state to
its own format; its dense kernel is broken for unpooled look-ups on CPUs (torchrec 1.8).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchrec.distributed.batched_embedding_kernel import BaseBatchedEmbedding
from torchrec.distributed.embedding import EmbeddingCollectionSharder, ShardedEmbeddingCollection
from torchrec.distributed.embedding_lookup import GroupedEmbeddingsLookup
from torchrec.distributed.embedding_types import GroupedEmbeddingConfig
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor


class Kernel(BaseBatchedEmbedding[Tensor]):  # type: ignore[misc]  # torchrec has no types here
    """The parts of some tables that this rank holds.

    Attributes:
        looked_up: for each part, the (ids, leaf) pairs of the latest look-up with gradients: [n] int64 rows of the
            part, and what was found there [n, columns], whose ``grad`` backward fills.
    """

    def __init__(self, config: GroupedEmbeddingConfig, group: Any, device: torch.device | None) -> None:
        super().__init__(config, group, device)
        self._emb_module = _Weights(list(zip(self._local_rows, self._local_cols, strict=True)), device)
        self.looked_up: list[list[tuple[Tensor, Tensor]]] = []
        # The collection's own state_dict and parameters are not used: checkpoints are made from the weights.
        self._param_per_table: dict[str, Any] = {}

    @property
    def emb_module(self) -> nn.Module:
        """Where TorchRec looks for the weights."""
        return self._emb_module

    @property
    def weights(self) -> list[Tensor]:
        """[rows, columns] of each part."""
        return self._emb_module.split_embedding_weights()

    def forward(self, features: KeyedJaggedTensor) -> Tensor:
        """The rows of all features, one feature after the other."""
        training = torch.is_grad_enabled()
        self.looked_up = [[] for _ in self.weights]
        found = []
        parts = features.values().long().split(features.length_per_key())
        for table, ids in zip(self._feature_table_map, parts, strict=True):
            rows = self.weights[table].index_select(0, ids).requires_grad_(training)
            found.append(rows)
            if training:
                self.looked_up[table].append((ids, rows))
        return torch.cat(found)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        """None: nothing outside steps these weights."""
        yield from ()

    def named_buffers(self, *args: Any, **kwargs: Any) -> Any:
        """None."""
        yield from ()


class _Weights(nn.Module):
    def __init__(self, shapes: list[tuple[int, int]], device: torch.device | None) -> None:
        super().__init__()
        self._weights = [torch.empty(shape, device=device) for shape in shapes]

    def split_embedding_weights(self) -> list[Tensor]:
        return self._weights


class _Lookup(GroupedEmbeddingsLookup):  # type: ignore[misc]
    def _create_embedding_kernel(
        self, config: GroupedEmbeddingConfig, pg: Any, device: torch.device | None, env: Any = None
    ) -> Kernel:
        return Kernel(config, pg, device)


class _Collection(ShardedEmbeddingCollection):  # type: ignore[misc]
    """TorchRec's sharded collection over :class:`Kernel`."""

    def _create_lookups(self) -> None:
        for sharding in self._sharding_type_to_sharding.values():
            self._lookups.append(
                _Lookup(
                    grouped_configs=sharding._grouped_embedding_configs,
                    pg=sharding._pg,
                    device=self._device,
                    env=sharding._env,
                )
            )

    def _initialize_torch_state(self, *args: Any, **kwargs: Any) -> None:
        """TorchRec would wrap the weights into ShardedTensors for a state_dict that nobody reads."""


class Sharder(EmbeddingCollectionSharder):  # type: ignore[misc]
    """Makes such collections."""

    def shard(
        self, module: Any, params: Any, env: Any, device: Any = None, module_fqn: str | None = None
    ) -> _Collection:
        """A collection cut as ``params`` says, with its weights not yet set."""
        return _Collection(module, params, env, self.fused_params or {}, device)


def kernels(collection: _Collection) -> list[Kernel]:
    """All kernels of a sharded collection."""
    return [module for lookup in collection._lookups for module in lookup.modules() if isinstance(module, Kernel)]
