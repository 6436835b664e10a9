"""Some items of a history are hidden, and each is predicted from all the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from saccade.models.jagged import Layout
from saccade.models.segments import segment_sum
from saccade.pipelines.tasks.objectives.objective import Exercise


@dataclass(frozen=True)
class Masked:
    """For bidirectional networks: the Cloze task of BERT4Rec (Sun et al. 2019, section 3.5).

    Prediction hides nothing but what is appended behind the last item, which training by chance alone seldom does: so
    a share of the histories has only its last item hidden.

    Attributes:
        share: of the items that are hidden, each by its own draw; at least one a history is.
        only_last: share of the histories of which only the last item is hidden.
    """

    share: float
    only_last: float

    beyond, appended = 0, 1

    def teach(self, layout: Layout, generator: torch.Generator) -> Exercise:
        """Every item is a token; the hidden ones are wanted."""
        draw = torch.rand(layout.total, generator=generator)
        which, place = torch.rand(2, len(layout), generator=generator)
        last = which < self.only_last
        hidden = (draw < self.share) & ~last[layout.example]
        none = (segment_sum(hidden.long(), layout) == 0) & (layout.lengths > 0)
        chosen = torch.where(last, layout.lengths - 1, (place * layout.lengths).long().minimum(layout.lengths - 1))
        hidden[(layout.host_offsets[:-1] + chosen)[none]] = True
        asked = hidden.nonzero().squeeze(1)
        return Exercise(layout.lengths, None, hidden, asked, wanted=asked)

    def ask(self, layout: Layout) -> Exercise:
        """A hidden token behind each history's last item, and its output."""
        lengths = layout.lengths + 1
        tokens = Layout(lengths)
        hidden = torch.zeros(tokens.total, dtype=torch.bool)
        hidden[tokens.last] = True
        source = (torch.arange(tokens.total) - tokens.example - hidden.long()).clamp(min=0)
        return Exercise(lengths, source, hidden, asked=tokens.last)
