"""GRU4Rec: the next item of a history by a recurrent network, the baseline without attention."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import PackedSequence

from saccade.models.dropout import Dropout
from saccade.models.jagged import Jagged
from saccade.models.packed import packing
from saccade.models.products import Linear


class GRU4Rec(nn.Module):
    """Gated recurrent units over packed histories, and a projection back to the items' width.

    ("Session-based Recommendations with Recurrent Neural Networks", Hidasi et al. 2016; embedded items in the place of
    their one-hot input, scored against the same table, as in "Recurrent Neural Networks with Top-k Gains …", Hidasi and
    Karatzoglou 2018.) The steps of a history can't be computed side by side, so a batch takes as many small matrix
    products as its longest history has items: short histories are this model's.

    The item table is not here: items come in embedded, and the output is scored against the same table.
    """

    def __init__(self, dim: int, hidden: int, layers: int, dropout: float) -> None:
        """``hidden`` units a layer; ``dropout`` acts on items, between layers and on what is projected."""
        super().__init__()
        self.scale = dim**0.5
        self.dropout = Dropout(dropout)
        self.gru = nn.GRU(dim, hidden, layers, dropout=dropout if layers > 1 else 0.0)
        self.output = Linear(hidden, dim)

    def forward(self, items: Jagged) -> Tensor:
        """Embedded items [T, D] -> [T, D], at each token what predicts the item after it."""
        inputs = items.with_values(self.dropout(items.values * self.scale))
        if items.layout.total:
            plan = items.layout.derive(packing)
            found = plan.unpack(self.gru(plan.pack(inputs))[0])
        else:  # torch packs no empty batch, but every parameter must take part in each backward pass
            one_token = PackedSequence(pad(inputs.values, (0, 0, 0, 1)), items.layout.lengths.new_ones(1))
            found = self.gru(one_token)[0].data[:0]
        projected: Tensor = self.output(self.dropout(found))
        return projected
