"""Giving a text one of several labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.table import Table
from saccade.pipelines.batch import Batch
from saccade.pipelines.examples import Examples, Values
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.task import Split
from saccade.pipelines.tasks.classification import Classification
from saccade.pipelines.text.tokenizer import Tokenizer


class TextClassification(Classification):
    """Classify texts by their tokens.

    Args:
        text: the string column.
        label: the integer column with the class, 0 .. C - 1.
        labels: the classes' names.
        tokenizer: cuts texts into the ids of the token table's rows.
        max_length: only this many of a text's first tokens are used.
        build: makes the network: embedded tokens (Jagged [T, D]) -> [B, C] logits.
        dim: width of a token's embedding.
        standard_deviation: of the token table's initial values.
        label_smoothing: of the loss.
    """

    def __init__(
        self,
        *,
        text: str,
        label: str,
        labels: Sequence[str],
        tokenizer: Tokenizer,
        max_length: int,
        build: Callable[[], nn.Module],
        dim: int,
        standard_deviation: float,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(label=label, labels=labels, label_smoothing=label_smoothing)
        self.text, self.tokenizer, self.max_length, self.build = text, tokenizer, max_length, build
        self.columns: Sequence[Column] = [Column(text, "string"), Column(label, "integer")]
        self.tables: Sequence[Table] = [Table("tokens", tokenizer.size, dim, ("tokens",), standard_deviation)]

    def network(self) -> nn.Module:
        """A newly built network."""
        return self.build()

    def encode(self, examples: Examples, split: Split) -> Examples:
        """Texts as token ids; every row is kept, also one without tokens."""
        text = examples.columns[self.text]
        assert isinstance(text, Jagged)
        tokens = self.tokenizer.encode(text, self.max_length)
        columns: dict[str, Values] = {"tokens": tokens}
        if split != "predict":
            columns["label"] = examples.columns[self.label]
        return Examples(examples.rows, columns, tokens.layout.lengths)

    def collate(self, examples: Examples, split: Split, generator: torch.Generator) -> Batch:
        """The tokens to look up, their layout and the labels."""
        tokens = examples.columns["tokens"]
        assert isinstance(tokens, Jagged)
        inputs: dict[str, Tensor | Jagged | Layout] = {"layout": tokens.layout}
        if split != "predict":
            inputs["label"] = examples.tensor("label")
        return Batch({"tokens": tokens.values}, inputs, len(examples), tokens.layout.total, examples.rows)

    def forward(self, network: Callable[..., Tensor], embeddings: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """[B, C] logits."""
        layout = batch.inputs["layout"]
        assert isinstance(layout, Layout)
        return network(Jagged(embeddings["tokens"], layout))
