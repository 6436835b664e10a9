"""``saccade explain``: where a trained model's attention looks in chosen rows."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from saccade.cluster.job import Job, NextItemJob, load_job
from saccade.cluster.parts.check import check_parts
from saccade.cluster.report.attention import FILE, FOLDER, HeatMap, HeatMaps
from saccade.cluster.training.best import best_checkpoint
from saccade.cluster.training.facts import check_split
from saccade.cluster.training.sources import has_split, open_source
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.token_names import TokenNames, describe_row, name_tokens, read_item_names
from saccade.models.attention.attention import Attention
from saccade.models.attention.explain import recorded_weights
from saccade.models.pooling import AttentionPooling, recorded_pooling
from saccade.pipelines.batch import Batch
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.engines.frozen import FrozenModel
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.records.progress import Progress
from saccade.pipelines.records.record import read_json
from saccade.pipelines.seeds import generator
from saccade.pipelines.task import Split, Task

NUMBERS = "weights.npz"
"""All weights of the rows and layers that were asked for, also what is too long to show."""

WINDOW = 64
"""Rows that are read at a time in search of some to show."""

ROWS, LAYERS, LONGEST, FAR = 3, 4, 512, 1024
"""Of what a run leaves by itself: how many rows, of at most how many layers, of so many tokens at most, and how many
rows are looked through for them. A matrix of scores has the square of the tokens."""


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


@dataclass(frozen=True)
class Subject:
    """A run's model and a split of its data."""

    job: Job
    task: Task
    model: FrozenModel
    source: Source
    split: Split

    @property
    def step(self) -> int:
        """Of the checkpoint."""
        return self.model.checkpoint.manifest.step

    def batch(self, row: int) -> Batch:
        """One row as the model takes it; none, if the split has no use for it."""
        encoded = self.task.encode(self.source.read(row, row + 1), self.split)
        return self.task.collate(encoded, self.split, generator(self.job.run.seed, "explain", row))


def explain(
    run: Path,
    overrides: Sequence[str] = (),
    *,
    split: Split = "valid",
    rows: Sequence[int] = (),
    count: int = ROWS,
    layers: Sequence[str] = (),
    heads: Sequence[int] = (),
    tokens: int | None = None,
    names: Path | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Write heat maps of a run's attention, and the weights themselves.

    Args:
        run: the run's folder; its best checkpoint is used.
        overrides: ``key=value`` changes of its job, another data set of the same shape, say.
        split: whose rows.
        rows: their numbers in it; none for the first ``count`` that have two tokens or more.
        count: how many, where ``rows`` doesn't say which.
        layers: numbers or names; none for all.
        heads: numbers; none for all.
        tokens: that a picture shows at most; None for as many as can be read.
        names: a Parquet file with the items' ``id`` and ``name``.
        output: the folder to write to; None for ``attention`` in the run's.

    Returns:
        ``run``, ``split``, ``step``, ``rows``, ``layers`` (names by number), ``output`` and ``files``.

    Raises:
        UserError: anything that the user can mend.
    """
    job = load_job(run / "job.yaml", overrides).resolved(Path.cwd())
    check_parts(job, run)
    subject = _open(job, read_json(run / "run.json")["facts"], run / "artifacts", best_checkpoint(run), split)
    if names is not None and not isinstance(job, NextItemJob):
        raise UserError(f"--names gives the names of items, but {run} is a run of {job.task}: leave it out")
    items = read_item_names(names) if names is not None else {}
    chosen = _choose_layers(subject.model.network, layers)
    found = list(dict.fromkeys(rows)) or list(_first_rows(subject, count))
    if not found:
        raise UserError(f"no row of the {split} split has two tokens or more: choose another --split")
    output = output or run / FOLDER
    numbers: dict[str, np.ndarray[Any, Any]] = {}
    maps = []
    for number in found:
        row = look(subject, number, chosen, list(dict.fromkeys(heads)), items)
        maps += [show(row, layer, split, tokens) for layer in row.layers]
        numbers |= {f"row-{number}/{as_file_name(str(one.layer))}": one.weights.numpy() for one in row.layers}
        numbers[f"row-{number}/tokens"] = np.array(list(row.tokens.names), dtype=np.str_)
    try:
        output.mkdir(parents=True, exist_ok=True)
        pictures = save_pictures(maps, split, output)
        np.savez_compressed(output / NUMBERS, **numbers)  # type: ignore[arg-type]  # its stub knows no mapping
        HeatMaps(split, subject.step, maps).write(output)
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror or error})") from None
    return {
        "run": str(run),
        "split": split,
        "step": subject.step,
        "rows": found,
        "layers": {layer.label: layer.name for layer in chosen},
        "output": str(output),
        "files": [*(path.name for path in pictures.values()), NUMBERS, FILE],
    }


def leave_heat_maps(
    job: Job, facts: Mapping[str, Any], folder: Path, checkpoint: Path, progress: Progress, pictures: bool
) -> dict[str, Path]:
    """What a run leaves of its attention when it ends: a few rows, for its report. On one rank.

    Whatever goes wrong is a warning in the log: the run is done all the same.

    Args:
        job: the run's.
        facts: likewise.
        folder: likewise.
        checkpoint: the best one.
        progress: is told what goes wrong.
        pictures: whether to write them as files too.

    Returns:
        The pictures by the names that trackers know them by.
    """
    try:
        splits: tuple[Split, ...] = ("valid", "test", "train")
        split = next(name for name in splits if has_split(job, name))
        subject = _open(job, facts, folder / "artifacts", checkpoint, split, checked=True)
        layers = _spread(_layers(subject.model.network), LAYERS)
        numbers = _first_rows(subject, ROWS, LONGEST, FAR) if layers else iter(())
        rows = (look(subject, number, layers) for number in numbers)
        maps = [show(row, layer, split) for row in rows for layer in row.layers]
        if not maps:
            what = f"no row of {split} among the first {FAR} has 2 to {LONGEST} tokens" if layers else "there is none"
            progress.message(f"no heat maps of the attention: {what}")
            return {}
        output = folder / FOLDER
        output.mkdir(exist_ok=True)
        HeatMaps(split, subject.step, maps).write(output)
        saved = save_pictures(maps, split, output) if pictures else {}
        return {f"{FOLDER}/{name}": path for name, path in saved.items()}
    except Exception as error:  # of a model or a data set that nobody here knows
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        progress.message(f"no heat maps of the attention ({reason}): `saccade explain` makes them", "WARNING")
        return {}


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
    found = [_heads_of(kept[""][0], layer, heads) for layer, kept in recorded.items() if kept and kept[""][0].numel()]
    tokens = name_tokens(subject.job, subject.task, batch, names)
    return Row(number, describe_row(subject.task, batch, output, names), tokens, found)


def show(row: Row, layer: LayerWeights, split: str, most: int | None = None) -> HeatMap:
    """A layer's weights as a picture shows them: the first or last tokens of a long row, with their names."""
    tokens = row.tokens
    most = most or tokens.most
    part = slice(-most, None) if tokens.newest else slice(most)
    queries, keys = (_names(tokens, size)[part] for size in layer.weights.shape[1:])
    shown = layer.weights[:, part if layer.weights.shape[1] > 1 else slice(None), part]
    what = f"{split} row {row.number}, {layer.layer}"
    if layer.weights.shape[2] > most:
        what += f": the {'last' if tokens.newest else 'first'} {most} of {layer.weights.shape[2]}"
    return HeatMap(
        row=row.number,
        layer=str(layer.layer),
        module=layer.layer.name,
        title="; ".join(part for part in (what, row.about) if part),
        unit=tokens.unit,
        heads=list(layer.heads),
        queries=queries,
        keys=keys,
        weights=[[[float(f"{w:.4g}") for w in query] for query in head] for head in shown.tolist()],
    )


def save_pictures(maps: Sequence[HeatMap], split: str, folder: Path) -> dict[str, Path]:
    """A PNG for each heat map; by its name without the ending."""
    paths = {}
    for one in maps:
        name = f"{split}-row-{one.row}-{as_file_name(one.layer)}"
        paths[name] = folder / f"{name}.png"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in letters that the font doesn't have
            one.draw(one.title).savefig(paths[name], dpi=120)
    return paths


def as_file_name(layer: str) -> str:
    """``layer 0`` -> ``layer-0``."""
    return layer.replace(" ", "-")


def _open(
    job: Job, facts: Mapping[str, Any], artifacts: Path, checkpoint: Path, split: Split, checked: bool = False
) -> Subject:
    if not has_split(job, split):
        raise UserError(f"{job.data.path} has no {split} split: choose another --split or data.path")
    if not checked:
        check_split(job, split, dict(facts))
    task = make_task(job, facts, artifacts)
    model = FrozenModel(task, CheckpointReader(checkpoint), job.run.seed)
    return Subject(job, task, model, open_source(job, split, task.columns), split)


def _first_rows(subject: Subject, count: int, longest: int | None = None, far: int | None = None) -> Iterator[int]:
    """The first rows with at least two tokens, and at most ``longest``, among the first ``far``."""
    end = subject.source.rows if far is None else min(far, subject.source.rows)
    cursor = subject.source.cursor()
    for first in range(0, end, WINDOW):
        encoded = subject.task.encode(cursor.read(first, min(first + WINDOW, end)), subject.split)
        fits = encoded.lengths >= 2
        if longest is not None:
            fits &= encoded.lengths <= longest
        for row in encoded.rows[fits].tolist():
            if count == 0:
                return
            yield row
            count -= 1


def _layers(network: nn.Module) -> list[Layer]:
    attention = [name for name, module in network.named_modules() if isinstance(module, Attention)]
    pooling = [name for name, module in network.named_modules() if isinstance(module, AttentionPooling)]
    numbered = [Layer(str(number), name) for number, name in enumerate(attention)]
    short = (lambda name: name.rpartition(".")[2]) if len(pooling) == 1 else str
    return numbered + [Layer(short(name) or "pooling", name, pools=True) for name in pooling]


def _choose_layers(network: nn.Module, wanted: Collection[str]) -> list[Layer]:
    layers = _layers(network)
    if not layers:
        raise UserError(f"the run's model ({type(network).__name__}) has no attention layer to look into")
    known = {key for layer in layers for key in (layer.label, layer.name)}
    for one in wanted:
        if one not in known:
            there = ", ".join(f"{layer.label} ({layer.name})" for layer in layers)
            raise UserError(f"--layer {one}: the model's layers are {there}")
    return [layer for layer in layers if not wanted or layer.label in wanted or layer.name in wanted]


def _spread(layers: Sequence[Layer], most: int) -> list[Layer]:
    """At most so many of the layers, from the first to the last."""
    if len(layers) <= most:
        return list(layers)
    return [layers[round(place * (len(layers) - 1) / (most - 1))] for place in range(most)]


def _heads_of(weights: Tensor, layer: Layer, wanted: Sequence[int]) -> LayerWeights:
    """What was recorded, as float32 on the host; a pooling's one head is there whatever heads are wanted."""
    weights = weights.detach().float().cpu()
    if layer.pools:
        return LayerWeights(layer, [0], weights[None, None])
    for head in wanted:
        if not 0 <= head < len(weights):
            raise UserError(f"--head {head}: layer {layer.label} ({layer.name}) has heads 0 to {len(weights) - 1}")
    heads = list(wanted) or list(range(len(weights)))
    return LayerWeights(layer, heads, weights[heads])


def _names(tokens: TokenNames, size: int) -> list[str]:
    """The tokens' names, or numbers for a layer over other tokens than the row's own."""
    if size == len(tokens.names):
        return list(tokens.names)
    return [str(number) for number in range(size)]
