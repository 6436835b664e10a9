"""Each item is predicted from those before it, all of a history's in one pass."""

from __future__ import annotations

import torch

from saccade.models.jagged import Layout
from saccade.pipelines.tasks.objectives.objective import Exercise


class NextToken:
    """For causal networks: token i is asked for item i + 1 ("Self-Attentive Sequential Recommendation", 2018)."""

    beyond, appended = 1, 0

    def teach(self, layout: Layout, generator: torch.Generator) -> Exercise:
        """All items but the last are tokens, all but the first are wanted."""
        lengths = (layout.lengths - 1).clamp(min=0)
        tokens = Layout(lengths)
        shift = layout.host_offsets[:-1] - tokens.host_offsets[:-1]  # a token fewer for each history before
        source = torch.arange(tokens.total) + shift[tokens.example]
        return Exercise(lengths, source, wanted=source + 1)

    def ask(self, layout: Layout) -> Exercise:
        """The last token's output."""
        return Exercise(layout.lengths, asked=layout.last)
