"""The click models against the formulas of their papers, written out row by row in float64."""

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.bst import BST
from saccade.models.recommendation.dcnv2 import CrossNetwork
from saccade.models.recommendation.dice import Dice
from saccade.models.recommendation.dien import DIEN
from saccade.models.recommendation.din import DIN
from saccade.models.recommendation.dlrm import DotInteraction
from saccade.models.recommendation.gru import GRU
from saccade.models.recommendation.impressions import Contrast, Impressions
from saccade.models.recommendation.mean_pooling import MeanPooling
from saccade.models.recommendation.mlp import MLP
from saccade.models.recommendation.mmoe import MMoE
from saccade.models.recommendation.target_attention import TargetAttention

M = TypeVar("M", bound=nn.Module)
DIM = 6
LENGTHS = [3, 0, 5, 1]


@pytest.fixture
def rows() -> Impressions:
    torch.manual_seed(0)
    layout = Layout(torch.tensor(LENGTHS))

    def draw(count: int) -> Tensor:
        return torch.randn(count, DIM, dtype=torch.float64)

    history, contrast = draw(layout.total), Contrast(draw(layout.total), draw(layout.total))
    numbers = torch.randn(len(LENGTHS), 3, dtype=torch.float64)
    return Impressions([draw(4), draw(4)], numbers, draw(4), Jagged(history, layout), contrast)


def histories(rows: Impressions) -> list[tuple[Tensor, Tensor]]:
    """Each row's target [D] and events [L, D]."""
    assert rows.target is not None
    assert rows.history is not None
    return list(zip(rows.target, rows.history.unpack(), strict=True))


def drawn(module: M) -> M:
    """A module whose parameters are all random: zeros and ones at the start would hide mistakes."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return module.double().eval()


def test_dice_is_the_papers_with_the_statistics_of_a_row() -> None:
    dice, s = drawn(Dice(DIM)), torch.randn(4, DIM, dtype=torch.float64)
    for row, found in zip(s, dice(s), strict=True):
        p = 1 / (1 + torch.exp(-(row - row.mean()) / (row.var(correction=0) + 1e-8).sqrt()))
        torch.testing.assert_close(found, p * row + (1 - p) * dice.slope * row)


@pytest.mark.parametrize("normalizer", ["none", "softmax"])
def test_din(rows: Impressions, normalizer: str) -> None:
    din = drawn(DIN(DIM, [7, 5], "prelu", normalizer))  # type: ignore[arg-type]
    found = din(rows).vector
    for (q, events), vector in zip(histories(rows), found, strict=True):
        weights = [din.score(din.unit(torch.cat([q, k, q - k, q * k])[None]))[0] for k in events]
        if normalizer == "softmax" and weights:
            weights = list(torch.cat(weights).softmax(0))
        expected = sum((w * k for w, k in zip(weights, events, strict=True)), torch.zeros_like(q))
        torch.testing.assert_close(vector, expected)


def gru(cell: GRU, events: Tensor, attention: Tensor | None = None) -> Tensor:
    """The states [L, D] of one sequence, gate by gate."""
    (wu, wr, wn), (bu, br, bn) = cell.input.weight.chunk(3), cell.input.bias.chunk(3)
    (uu, ur, un), (cu, cr, cn) = cell.state.weight.chunk(3), cell.state.bias.chunk(3)
    state, states = torch.zeros(cell.dim, dtype=torch.float64), []
    for t, i in enumerate(events):
        u = torch.sigmoid(wu @ i + bu + uu @ state + cu)
        r = torch.sigmoid(wr @ i + br + ur @ state + cr)
        new = torch.tanh(wn @ i + bn + r * (un @ state + cn))
        if attention is not None:
            u = attention[t] * u
        state = (1 - u) * state + u * new
        states.append(state)
    return torch.stack(states) if states else events


def test_dien(rows: Impressions) -> None:
    dien = drawn(DIEN(DIM))
    found = dien(rows)
    assert rows.contrast is not None
    assert rows.history is not None
    happened = rows.history.with_values(rows.contrast.happened).unpack()
    others = rows.history.with_values(rows.contrast.others).unpack()
    for row, (target, events) in enumerate(histories(rows)):
        h = gru(dien.extractor, events)
        a = torch.softmax(h @ dien.match.weight @ target, 0)
        evolved = gru(dien.evolution, h, a)
        expected = evolved[-1] if len(events) else torch.zeros(DIM, dtype=torch.float64)
        torch.testing.assert_close(found.vector[row], expected)
        terms = [
            -torch.log(torch.sigmoid(h[t] @ happened[row][t + 1]))
            - torch.log(1 - torch.sigmoid(h[t] @ others[row][t + 1]))
            for t in range(len(events) - 1)
        ]
        loss = torch.stack(terms).mean() if terms else torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(found.loss[row], loss)


def test_the_plain_gru_is_torchs(rows: Impressions) -> None:
    ours, theirs = drawn(GRU(DIM, 4)), nn.GRU(DIM, 4).double()
    theirs.load_state_dict(
        {
            # torch has the gates in the order reset, update, new, and keeps 1 - u.
            "weight_ih_l0": _torchs(ours.input.weight),
            "weight_hh_l0": _torchs(ours.state.weight),
            "bias_ih_l0": _torchs(ours.input.bias),
            "bias_hh_l0": _torchs(ours.state.bias),
        }
    )
    assert rows.history is not None
    for events, states in zip(
        rows.history.unpack(), rows.history.with_values(ours(rows.history)).unpack(), strict=True
    ):
        if len(events):
            torch.testing.assert_close(states, theirs(events)[0])


def _torchs(parameter: Tensor) -> Tensor:
    update, reset, new = parameter.detach().chunk(3)
    return torch.cat([reset, -update, new])


def test_bst(rows: Impressions) -> None:
    bst = drawn(BST(DIM, 1, 2, 9, 0.1, 5))
    found = bst(rows).vector
    (position,), block = bst.positions, bst.encoder.blocks[0]
    for (target, events), vector in zip(histories(rows), found, strict=True):
        sequence = torch.cat([events, target[None]])
        # Positions count back from the target.
        x = sequence + position.weight[: len(sequence)].flip(0)
        q, k, v = block.attention.projection(block.attention_norm(x)).chunk(3, 1)
        heads = []
        for h in range(2):
            s = slice(h * 3, h * 3 + 3)
            heads.append(torch.softmax(q[:, s] @ k[:, s].T / 3**0.5, 1) @ v[:, s])
        x = x + block.attention.output(torch.cat(heads, 1))
        x = x + block.mlp(block.mlp_norm(x))
        torch.testing.assert_close(vector, bst.encoder.norm(x)[-1])


def test_target_attention(rows: Impressions) -> None:
    layer = drawn(TargetAttention(DIM, 2, 5))
    found = layer(rows).vector
    (position,), attention = layer.positions, layer.attention
    for (target, events), vector in zip(histories(rows), found, strict=True):
        k, v = attention.memory(events + position.weight[: len(events)].flip(0)).chunk(2, 1)
        q, heads = attention.query(target), []
        for h in range(2):
            s = slice(h * 3, h * 3 + 3)
            heads.append(torch.softmax(k[:, s] @ q[s] / 3**0.5, 0) @ v[:, s])
        torch.testing.assert_close(vector, attention.output(torch.cat(heads)))


def test_mean_pooling(rows: Impressions) -> None:
    for (_, events), vector in zip(histories(rows), MeanPooling()(rows).vector, strict=True):
        torch.testing.assert_close(vector, events.mean(0) if len(events) else torch.zeros_like(vector))


def test_dlrm(rows: Impressions) -> None:
    interaction = drawn(DotInteraction(2, DIM, 3, 0.1))
    assert interaction.bottom is not None
    vectors = torch.stack(list(rows.features), 1)  # type: ignore[arg-type]
    found = interaction(vectors, rows.numbers)
    assert found.shape[1] == interaction.width
    for row in range(4):
        z = interaction.bottom(rows.numbers[row])
        one, two = vectors[row]
        expected = torch.cat([z, torch.stack([z @ one, z @ two, one @ two])])
        torch.testing.assert_close(found[row], expected)


@pytest.mark.parametrize("rank", [None, 4])
def test_dcnv2(rows: Impressions, rank: int | None) -> None:
    cross = drawn(CrossNetwork(2, DIM, 3, crosses=2, rank=rank))
    found = cross(torch.stack(list(rows.features), 1), rows.numbers)  # type: ignore[arg-type]
    for row in range(4):
        x0 = torch.cat([*(feature[row] for feature in rows.features), rows.numbers[row]])  # type: ignore[list-item]
        x = x0
        for layer in cross.layers:
            if rank is None:
                x = x0 * (layer.weight @ x + layer.bias) + x
            else:
                x = x0 * (layer[1].weight @ (layer[0].weight @ x) + layer[1].bias) + x
        torch.testing.assert_close(found[row], x)


def test_mmoe() -> None:
    mmoe, x = drawn(MMoE(5, 2, 3, [4], 0.0, "relu")), torch.randn(4, 5, dtype=torch.float64)
    found = mmoe(x)
    for row in range(4):
        experts = [expert(x[row]) for expert in mmoe.experts]
        for k in range(2):
            g = torch.softmax(mmoe.gates[k].weight @ x[row], 0)
            f = sum(g[i] * experts[i] for i in range(3))
            torch.testing.assert_close(found[row, k : k + 1], mmoe.towers[k](f))


def test_an_mlp_of_no_layers_gives_what_it_got() -> None:
    x = torch.randn(3, 4)
    assert MLP(4, [], 0.5).width == 4
    assert torch.equal(MLP(4, [], 0.5)(x), x)


def test_unknown_activations_are_refused() -> None:
    with pytest.raises(ValueError, match="tanh"):
        MLP(4, [3], 0.0, "tanh")  # type: ignore[arg-type]
