"""The layers of a network that weigh tokens: attention and pooling by attention."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from saccade.models.attention.attention import Attention
from saccade.models.pooling import AttentionPooling
from saccade.pipelines.errors import UserError


@dataclass(frozen=True)
class Layer:
    """An attention layer, or a pooling by attention, of a network.

    Attributes:
        label: the number of an attention layer, from 0 in the network's order; a pooling's name.
        name: its name in the network.
        pools: whether it is a pooling.
    """

    label: str
    name: str
    pools: bool = False

    def __str__(self) -> str:
        return self.label if self.pools else f"layer {self.label}"


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """What a layer weighs in one row.

    Attributes:
        layer: which.
        heads: their numbers.
        weights: [heads, queries, keys] float32; a pooling has one head and one query.
    """

    layer: Layer
    heads: Sequence[int]
    weights: Tensor


def find_layers(network: nn.Module) -> list[Layer]:
    """All of a network's: its attention layers in their order, then what pools."""
    attention = [name for name, module in network.named_modules() if isinstance(module, Attention)]
    pooling = [name for name, module in network.named_modules() if isinstance(module, AttentionPooling)]
    numbered = [Layer(str(number), name) for number, name in enumerate(attention)]
    short = (lambda name: name.rpartition(".")[2]) if len(pooling) == 1 else str
    return numbered + [Layer(short(name) or "pooling", name, pools=True) for name in pooling]


def choose_layers(network: nn.Module, wanted: Collection[str]) -> list[Layer]:
    """Those of a network's layers that go by the wanted numbers or names; all, if none is wanted.

    Raises:
        UserError: the network has no layer, or not a wanted one.
    """
    layers = find_layers(network)
    if not layers:
        raise UserError(f"the run's model ({type(network).__name__}) has no attention layer to look into")
    known = {key for layer in layers for key in (layer.label, layer.name)}
    for one in wanted:
        if one not in known:
            there = ", ".join(f"{layer.label} ({layer.name})" for layer in layers)
            raise UserError(f"--layer {one}: the model's layers are {there}")
    return [layer for layer in layers if not wanted or layer.label in wanted or layer.name in wanted]


def spread(layers: Sequence[Layer], most: int) -> list[Layer]:
    """At most so many of the layers, from the first to the last."""
    if len(layers) <= most:
        return list(layers)
    return [layers[round(place * (len(layers) - 1) / (most - 1))] for place in range(most)]


def heads_of(weights: Tensor, layer: Layer, wanted: Sequence[int]) -> LayerWeights:
    """What was recorded, as float32 on the host; a pooling's one head is there whatever heads are wanted."""
    weights = weights.detach().float().cpu()
    if layer.pools:
        return LayerWeights(layer, [0], weights[None, None])
    for head in wanted:
        if not 0 <= head < len(weights):
            raise UserError(f"--head {head}: layer {layer.label} ({layer.name}) has heads 0 to {len(weights) - 1}")
    heads = list(wanted) or list(range(len(weights)))
    return LayerWeights(layer, heads, weights[heads])
