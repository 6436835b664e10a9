"""An exported model, with torch alone: what ``saccade checkpoint export`` writes, built, loaded and run.

``saccade.load`` takes the same folder and reads Parquet, Arrow and transforms too; this is for places where nothing but
torch is installed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saccade.models.jagged import Jagged, Layout
from saccade.models.recommendation.top_k import SCORES, best_items
from saccade.models.safetensors_file import load_file
from saccade.models.scheduled import scheduled, set_step

WEIGHTS, DESCRIPTION, ITEMS = "model.safetensors", "model.json", "items.json"
"""The files: tensors, how to build the network, and what the items' ids stand for where a vocabulary numbered them."""

Item = int | str
TOKENS = 8192
"""Tokens of histories that are computed together."""


class ExportedModel:
    """A network in evaluation, and its tables.

    Calls don't change it: threads may share it.

    Args:
        description: the content of model.json.
        tensors: ``tables/NAME`` and ``network/NAME``.
        network: built as the description says.
        items: what the ids 1, 2, … stand for; None where the ids are the items.

    Attributes:
        network: the module.
        tables: [rows, dim] by name.
    """

    def __init__(
        self,
        description: dict[str, Any],
        tensors: dict[str, Tensor],
        network: nn.Module,
        items: Sequence[Item] | None = None,
    ) -> None:
        self.description, self.network = description, network.eval().requires_grad_(False)
        self.tables = {n.removeprefix("tables/"): t for n, t in tensors.items() if n.startswith("tables/")}
        self.network.load_state_dict(
            {n.removeprefix("network/"): t for n, t in tensors.items() if n.startswith("network/")}
        )
        set_step(scheduled(self.network), int(description.get("engine", {}).get("steps", 0)))
        self._items = items
        self._ids = None if items is None else {item: place for place, item in enumerate(items, 1)}
        parameters = inspect.signature(network.forward).parameters
        self._hides, self._has_towers = "hidden" in parameters, "candidates" in parameters
        self._counts = "histories" in parameters  # such a model takes ids and gives the scores of all items

    @torch.inference_mode()
    def recommend(
        self,
        histories: Sequence[Sequence[Item]],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allowed: Sequence[Item] | None = None,
    ) -> tuple[list[list[Item]], list[list[float]]]:
        """The best items to come next, and their scores: a list for each history, best first, none for an empty one.

        Args:
            histories: items, oldest first; unknown ones count as row 0 of the table.
            k: items for each.
            exclude_seen: whether what is in a history is left out.
            allowed: choose from these items alone; all must be known.

        Raises:
            ValueError: the model is of another task, or an allowed item isn't known.
        """
        only = None if allowed is None else torch.tensor([self._known(item) for item in allowed]).long().unique()
        items: list[list[Item]] = [[] for _ in histories]
        scores: list[list[float]] = [[] for _ in histories]
        for rows, batch, queries, table in self._scored(histories):
            found = best_items(queries, table, k, seen=batch if exclude_seen else None, allowed=only)
            for row, ids, values in zip(rows, *(answer.tolist() for answer in found), strict=True):
                real = [(self._name(i), value) for i, value in zip(ids, values, strict=True) if value > float("-inf")]
                items[row], scores[row] = [item for item, _ in real], [value for _, value in real]
        return items, scores

    @torch.inference_mode()
    def embed(self, histories: Sequence[Sequence[Item]]) -> Tensor:
        """[N, D] what the network makes of each history, to be compared with items; NaN for an empty one.

        Raises:
            ValueError: the model is of another task.
        """
        outputs = self._outputs(histories)
        width = outputs[0][2].shape[1] if outputs else self._table().shape[1]
        embedded = torch.full((len(histories), width), float("nan"))
        for rows, _, queries in outputs:
            embedded[rows] = queries
        return embedded

    def _scored(self, histories: Sequence[Sequence[Item]]) -> Iterator[tuple[list[int], Jagged, Tensor, Tensor]]:
        """Besides, the table [items, D] that outputs are compared with."""
        if not self._counts:
            yield from ((*found, self._compared) for found in self._outputs(histories))
            return
        # Their own scores are a batch's table, and unit vectors its queries.
        for rows, batch in self._packed(histories, max(1, SCORES // self._items_known)):
            yield rows, batch, torch.eye(len(rows)), self.network(batch).T

    def _packed(
        self, histories: Sequence[Sequence[Item]], most: int | None = None
    ) -> Iterator[tuple[list[int], Jagged]]:
        """Numbers of histories of similar length, ``most`` at most, and their ids."""
        ids = [torch.tensor([self._id(item) for item in history], dtype=torch.int64) for history in histories]
        for together in _batches([len(history) for history in ids], self._longest):
            size = most or len(together)
            for rows in (together[first : first + size] for first in range(0, len(together), size)):
                yield rows, Jagged.pack([ids[row] for row in rows])

    def _outputs(self, histories: Sequence[Sequence[Item]]) -> list[tuple[list[int], Jagged, Tensor]]:
        """Numbers of histories of similar length, their ids, and [B, D] what the network gives for them."""
        return [(rows, batch, self._queries(batch)) for rows, batch in self._packed(histories)]

    def _queries(self, histories: Jagged) -> Tensor:
        room = self._longest - self._hides
        recent = histories.take(torch.arange(len(histories)), last=room)
        embedded = self._table()[recent.values]
        if not self._hides:
            output: Tensor = self.network(Jagged(embedded, recent.layout.for_last()))
            return output[recent.layout.last].float()
        # Such a network finds what is hidden: the item that comes next stands hidden at each history's end.
        layout = Layout(recent.layout.lengths + 1)
        hidden = torch.zeros(layout.total, dtype=torch.bool)
        hidden[layout.last] = True
        values = embedded.new_zeros(layout.total, embedded.shape[1])
        values[~hidden] = embedded
        output = self.network(Jagged(values, layout.for_last()), hidden)
        return output[layout.last].float()

    @property
    def _longest(self) -> int:
        return int(self.description["job"]["data"]["max_length"])

    @property
    def _items_known(self) -> int:
        """Ids that the model knows, 0 included."""
        return int(self.description["facts"]["items"]) if self._counts else len(self._table())

    def _table(self) -> Tensor:
        if self._counts:
            raise ValueError("the model counts items and makes no vectors of histories: ask for recommendations")
        if set(self.tables) - {"items"}:
            raise ValueError("the model reads more than its items (side features): load it with saccade.load")
        if "items" not in self.tables:
            raise ValueError(f"a model of the task {self.description.get('task')} has no items to recommend")
        return self.tables["items"]

    @cached_property
    def _compared(self) -> Tensor:
        """[rows, D] what outputs are compared with: the items' rows, or what the network makes of them."""
        table = self._table()
        if not self._has_towers:
            return table
        nobody = Jagged(table[:0], Layout(torch.zeros(0, dtype=torch.int64)))
        return torch.cat([self.network(nobody, rows.float()) for rows in table.split(TOKENS)])

    def _id(self, item: Item) -> int:
        """An item's id; 0 for those that the model doesn't know."""
        if self._ids is not None:
            return self._ids.get(item, 0)
        return int(item) if 0 <= int(item) < self._items_known else 0

    def _known(self, item: Item) -> int:
        if found := self._id(item):
            return found
        raise ValueError(f"the model doesn't know the item {item!r}")

    def _name(self, number: int) -> Item:
        return number if self._items is None else self._items[number - 1]


def load_exported(path: Path | str, *, plugins: Sequence[str] = ()) -> ExportedModel:
    """Build and load what ``saccade checkpoint export`` wrote.

    Args:
        path: the exported folder.
        plugins: modules of other packages that the model may import, because it has parts of theirs. A file from
            elsewhere can't have any other code run than Saccade's own and what is named here.

    Raises:
        ValueError: the folder holds no whole export, or it needs a module that ``plugins`` doesn't name.
    """
    folder = Path(path)
    description, tensors = read_export(folder)
    if "network" not in description:
        raise ValueError(
            f"{folder} has weights alone, as it was exported from a checkpoint without facts: export again"
        )
    for module in description.get("plugins", []):
        if module not in plugins:
            raise ValueError(f"{folder}: the model has parts of {module}: pass plugins=[{module!r}] if you trust it")
        import_module(module)
    names = folder / ITEMS
    items = json.loads(names.read_text(encoding="utf-8")) if names.exists() else None
    return ExportedModel(description, tensors, _built(description["network"], plugins), items)


def read_export(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What model.json says, and the tensors, mapped into memory.

    Raises:
        ValueError: one of the files is missing or damaged.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        raise ValueError(f"{folder / DESCRIPTION} can't be read ({reason}): export the model again") from None
    return description, load_file(folder / WEIGHTS)


def _built(value: Any, plugins: Sequence[str]) -> Any:
    """An object from the call that model.json has for it."""
    if isinstance(value, list):
        return [_built(inner, plugins) for inner in value]
    if not isinstance(value, dict):
        return value
    if "class" not in value:
        return {name: _built(inner, plugins) for name, inner in value.items()}
    module, _, name = str(value["class"]).rpartition(".")
    if not (module.startswith("saccade.models.") or module in plugins):
        raise ValueError(f"the model needs {module}: pass plugins=[{module!r}] if you trust it")
    cls = getattr(import_module(module), name, None)
    if not isinstance(cls, type):
        raise ValueError(f"{module} has no class {name}: the model was exported by another version")
    return cls(**_built(value["arguments"], plugins))


def _batches(lengths: Sequence[int], longest: int) -> list[list[int]]:
    """Numbers of histories, those of similar length together; without empty ones."""
    batches: list[list[int]] = []
    tokens = TOKENS
    for row in sorted((row for row, length in enumerate(lengths) if length), key=lambda row: lengths[row]):
        cost = min(lengths[row], longest)
        if tokens + cost > TOKENS:
            batches.append([])
            tokens = 0
        batches[-1].append(row)
        tokens += cost
    return batches
