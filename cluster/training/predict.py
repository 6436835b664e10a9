"""``saccade predict``: a trained model over Parquet rows, in one process of plain torch."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from saccade.cluster.job import CtrJob, Job, NextItemJob
from saccade.cluster.parts.check import check_parts
from saccade.cluster.training.ctr_facts import check_ctr_ids
from saccade.cluster.training.engines import choose_device, make_engine
from saccade.cluster.training.facts import check_items
from saccade.cluster.training.tasks import make_task
from saccade.cluster.training.trained import find_trained
from saccade.cluster.training.transforms import load_transforms
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.errors import UserError
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.files import splits
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.transforms.arrays import canonical
from saccade.pipelines.vocabulary import Vocabulary


def predict(path: Path, data: str, output: Path, top_k: int) -> dict[str, Any]:
    """Write a model's predictions for every row of ``data`` to one Parquet file, in the rows' order.

    The job's transforms are applied as they were fitted; its filter isn't, because ``data`` says what is asked for.
    Items that a vocabulary numbered come out as the values that they were.

    Args:
        path: the run's folder, whose best checkpoint is used, or a checkpoint's.
        data: a Parquet file, folder, glob or URI with the columns that the job reads, labels aside.
        output: the file to write; its folder must exist.
        top_k: predictions a row.

    Returns:
        ``run``, ``output``, ``rows``, ``seconds`` and ``rows_per_second``.

    Raises:
        UserError: anything that the user can mend.
    """
    if not output.parent.is_dir():
        raise UserError(f"--output {output}: the folder {output.parent} doesn't exist")
    trained = find_trained(path, ["engine.name=reference"])
    job, facts = trained.job, trained.facts
    check_parts(job, trained.run)
    task, transforms = make_task(job, facts, trained.artifacts), load_transforms(job, trained.artifacts)
    engine = make_engine(job, task, choose_device(job))
    engine.load(CheckpointReader(trained.checkpoint))
    split = next((name for name in ("predict", "test", "train") if name in splits(data)), None)
    columns = [column for column in task.columns if column.name not in _unasked(job)]
    source = Source.open(data, split, columns, prepare=transforms.making(column.name for column in columns))
    if isinstance(job, NextItemJob):
        check_items(source, job.data.history, facts["items"], transforms)
    if isinstance(job, CtrJob):

        def opened(name: str) -> Source:
            column = next(each for each in columns if each.name == name)
            return Source.open(data, split, [column], prepare=transforms.making([name]))

        check_ctr_ids(job, opened, facts, transforms)
    reader = Reader(
        source,
        task,
        "predict",
        seed=job.run.seed,
        lanes=1,
        window=job.data.window,
        tokens=job.evaluate.tokens,
        rank=0,
        world_size=1,
    )
    began = time.monotonic()
    rows: list[torch.Tensor] = []
    found: list[dict[str, torch.Tensor]] = []
    with closing(reader.steps(0)) as steps, tqdm(total=source.rows, unit=" rows", disable=None) as bar:
        for item in steps:
            (batch,) = item.batches
            if not len(batch.rows):
                break
            (out,) = engine.evaluate([batch])
            found.append({k: v.cpu() for k, v in task.predict(out, batch, engine.shards, top_k).items()})
            rows.append(batch.rows)
            bar.update(item.rows)
    seconds = time.monotonic() - began
    users = _users(job, data, split)
    vocabulary = transforms.vocabulary(job.data.history) if isinstance(job, NextItemJob) else None
    try:
        count = _write(output, users, rows, found, vocabulary)
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror or error})") from None
    return {
        "run": str(path),
        "output": str(output),
        "rows": count,
        "seconds": round(seconds, 3),
        "rows_per_second": round(count / seconds, 1),
    }


def _unasked(job: Job) -> Collection[str]:
    """The columns that only training and evaluation read."""
    if not isinstance(job, CtrJob):
        return [str(getattr(job.data, "label", ""))]
    history = job.data.history
    searched = {history.search.target, history.search.column} if history and history.search else set()
    features = {feature.column for feature in job.data.features} | searched
    return {name for name in (*job.data.labels, job.data.user) if name is not None and name not in features}


def _users(job: Job, data: str, split: str | None) -> tuple[str, pa.Array] | None:
    """The column of user ids by name, where the task knows users and the data has integers or strings for them."""
    if not isinstance(job, NextItemJob):
        return None
    batches = record_batches(Source.open(data, split, []), [job.data.user])
    try:
        return job.data.user, pa.concat_arrays([canonical(batch.column(job.data.user)) for batch in batches])
    except (KeyError, UserError, pa.ArrowInvalid):
        return None


def _write(
    output: Path,
    users: tuple[str, pa.Array] | None,
    rows: list[torch.Tensor],
    found: list[dict[str, torch.Tensor]],
    vocabulary: tuple[Vocabulary, int] | None,
) -> int:
    """Put the rows back in order, beside the user's id where there is one; items by ``vocabulary`` and its first id."""
    numbers = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)
    order = numbers.argsort()
    columns: dict[str, pa.Array] = {"row": pa.array(numbers[order].numpy())}
    if users is not None:
        columns[users[0]] = users[1].take(columns["row"])
    answers = {name: torch.cat([part[name] for part in found])[order] for name in (found[0] if found else ())}
    if "scores" not in answers:
        columns |= {name: pa.array(values.numpy()) for name, values in answers.items()}
    else:
        possible = answers["scores"] > float("-inf")  # a row that has seen nearly all items has fewer than k left
        offsets = pa.array(torch.nn.functional.pad(possible.sum(1).cumsum(0), (1, 0)).int().numpy())
        for name, values in answers.items():
            flat = pa.array(values[possible].numpy())
            if name == "items" and vocabulary is not None:
                flat = vocabulary[0].decode(pc.subtract(flat, vocabulary[1] - 1))
            columns[name] = pa.ListArray.from_arrays(offsets, flat)
    temporary = output.with_name(f".{output.name}.writing")
    try:
        pq.write_table(pa.table(columns), temporary)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return len(numbers)
