"""``saccade predict``: a trained model over Parquet rows, in one process of plain torch."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from saccade.cluster.job import Job, NextItemJob, load_job
from saccade.cluster.parts.check import check_parts
from saccade.cluster.training.best import best_checkpoint
from saccade.cluster.training.engines import choose_device, make_engine
from saccade.cluster.training.tasks import make_task
from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.errors import UserError
from saccade.pipelines.order.reader import Reader
from saccade.pipelines.parquet.files import splits
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.parquet.statistics import check_ids
from saccade.pipelines.records.record import read_json


def predict(run: Path, data: str, output: Path, top_k: int) -> dict[str, Any]:
    """Write a model's predictions for every row of ``data`` to one Parquet file, in the rows' order.

    Args:
        run: the run's folder; its best checkpoint is used.
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
    job = load_job(run / "job.yaml", ["engine.name=reference"])
    check_parts(job, run)
    facts = read_json(run / "run.json")["facts"]
    task = make_task(job, facts, run / "artifacts")
    engine = make_engine(job, task, choose_device(job))
    engine.load(CheckpointReader(best_checkpoint(run)))
    split = next((name for name in ("predict", "test", "train") if name in splits(data)), None)
    columns = [column for column in task.columns if column.name != getattr(job.data, "label", None)]
    source = Source.open(data, split, columns)
    if isinstance(job, NextItemJob):
        check_ids(source, job.data.history, facts["items"])
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
    try:
        count = _write(output, users, rows, found)
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror or error})") from None
    return {
        "run": str(run),
        "output": str(output),
        "rows": count,
        "seconds": round(seconds, 3),
        "rows_per_second": round(count / seconds, 1),
    }


def _users(job: Job, data: str, split: str | None) -> tuple[str, torch.Tensor] | None:
    """The column of user ids by name, where the task knows users and the data has them."""
    if not isinstance(job, NextItemJob):
        return None
    try:
        source = Source.open(data, split, [Column(job.data.user, "integer")])
    except UserError:
        return None
    users = source.read(0, source.rows).columns[job.data.user]
    assert isinstance(users, torch.Tensor)
    return job.data.user, users


def _write(
    output: Path,
    users: tuple[str, torch.Tensor] | None,
    rows: list[torch.Tensor],
    found: list[dict[str, torch.Tensor]],
) -> int:
    """Put the rows back in order, beside the user's id where there is one."""
    numbers = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)
    order = numbers.argsort()
    columns: dict[str, pa.Array] = {"row": pa.array(numbers[order].numpy())}
    if users is not None:
        columns[users[0]] = pa.array(users[1][numbers[order]].numpy())
    answers = {name: torch.cat([part[name] for part in found])[order] for name in (found[0] if found else ())}
    if answers:
        possible = answers["scores"] > float("-inf")  # a row that has seen nearly all items has fewer than k left
        offsets = pa.array(torch.nn.functional.pad(possible.sum(1).cumsum(0), (1, 0)).int().numpy())
        for name, values in answers.items():
            columns[name] = pa.ListArray.from_arrays(offsets, pa.array(values[possible].numpy()))
    temporary = output.with_name(f".{output.name}.writing")
    try:
        pq.write_table(pa.table(columns), temporary)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return len(numbers)
