"""The job's transforms: fitted once by the driver, kept with the run and its checkpoints, and never fitted again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from saccade.cluster.job import Job
from saccade.cluster.job import transforms as sections
from saccade.cluster.job.transforms import step_name
from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.batches import record_batches
from saccade.pipelines.parquet.filter import Condition
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.records.record import read_json, write_json
from saccade.pipelines.transforms.bucketise import Bucketise
from saccade.pipelines.transforms.chain import Chain, Step
from saccade.pipelines.transforms.fill import Fill
from saccade.pipelines.transforms.fit import Unfitted, fit
from saccade.pipelines.transforms.hashing import Hash
from saccade.pipelines.transforms.join import Join, side_table
from saccade.pipelines.transforms.last import Last
from saccade.pipelines.transforms.log import Log
from saccade.pipelines.transforms.lookup import Lookup, LookupFit
from saccade.pipelines.transforms.quantiles import Quantiles
from saccade.pipelines.transforms.standardise import Moments, Standardise
from saccade.pipelines.transforms.take import Take
from saccade.pipelines.transforms.time_deltas import TimeDeltas
from saccade.pipelines.transforms.transform import Accumulator, Transform
from saccade.pipelines.vocabulary import Vocabulary

DEFINITIONS = "transforms.json"
"""The artifact that says which transforms the others belong to."""


def fit_transforms(job: Job, artifacts: Path, before: Path | None = None) -> Chain:
    """Fit the job's transforms on its training rows, or take over what was fitted, and keep it.

    Args:
        job: with resolved paths.
        artifacts: the folder to keep it in.
        before: the artifacts of a run or checkpoint that this one goes on from.

    Raises:
        UserError: they can't be fitted or don't fit those of ``before``.
    """
    transforms = job.data.transforms
    if before is not None and (before / DEFINITIONS).exists():
        load_transforms(job, before)  # complains of differences
        for file in [before / DEFINITIONS, *(before / _file(*each) for each in enumerate(transforms))]:
            if file.exists():
                shutil.copyfile(file, artifacts / file.name)
        for place, each in enumerate(transforms):
            if isinstance(each, sections.Lookup) and each.file is not None:
                _grow(place, each, each.file, artifacts)
        return load_transforms(job, artifacts)
    if not transforms:
        return Chain(())
    states = {place: found for place, each in enumerate(transforms) if (found := _from_file(place, each)) is not None}
    steps: list[Step | Unfitted] = []
    for place, each in enumerate(transforms):
        name, learns = step_name(place, each), _learns(each)
        if learns is not None and isinstance(each, sections.OneColumn):
            (to,) = each.writes
            steps.append(Unfitted(name, each.column, to, learns, partial(_build, each)))
        else:
            steps.append(Step(name, _build(each, states.get(place))))
    states |= fit(steps, lambda chain: Source.open(job.data.path, "train", [], filter=conditions(job), prepare=chain))
    for place, state in states.items():
        pq.write_table(state, artifacts / _file(place, transforms[place]), compression="zstd", write_page_checksum=True)
    write_json(artifacts / DEFINITIONS, {"transforms": _definitions(transforms)})
    return load_transforms(job, artifacts)


def load_transforms(job: Job, artifacts: Path) -> Chain:
    """The job's transforms as they were fitted.

    Raises:
        UserError: others were fitted, or a file is missing or damaged.
    """
    kept = read_json(artifacts / DEFINITIONS)["transforms"] if (artifacts / DEFINITIONS).exists() else []
    now = _definitions(job.data.transforms)
    if kept != now:
        place = next((n for n, (one, other) in enumerate(zip(kept, now, strict=False)) if one != other), None)
        place = min(len(kept), len(now)) if place is None else place
        was, says = (repr(each[place]) if place < len(each) else "nothing" for each in (kept, now))
        raise UserError(
            f"data.transforms.{place}: the job says {says}, but what {artifacts} was fitted for is {was}: leave "
            "data.transforms as it was, or train a new run"
        )
    steps = []
    for place, each in enumerate(job.data.transforms):
        file = artifacts / _file(place, each)
        try:
            state = pq.read_table(file, page_checksum_verification=True) if file.exists() else None
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{file} can't be read ({str(error).splitlines()[0]}): restore the file") from None
        if state is None and (_learns(each) is not None or isinstance(each, sections.Lookup | sections.Join)):
            raise UserError(f"{file} is missing, and {step_name(place, each)} was fitted: restore the file")
        steps.append(Step(step_name(place, each), _build(each, state)))
    return Chain(tuple(steps))


def _grow(place: int, transform: sections.Lookup, file: str, artifacts: Path) -> None:
    """Take a vocabulary that numbers more values than the kept one; the file may also be gone, its content is kept.

    Raises:
        UserError: it numbers values otherwise, so that rows of a table would change their meaning.
    """
    kept = artifacts / _file(place, transform)
    try:
        new = Vocabulary.load(file)
    except UserError:
        return
    old = Vocabulary.load(kept)
    if not (new.extends(old) or old.extends(new)):
        raise UserError(
            f"{step_name(place, transform)}: {file} numbers values otherwise than the vocabulary that the model was "
            f"trained with: extend that one with `saccade data index … --extend {kept.name}`, or train a new run"
        )
    if len(new) > len(old):
        new.save(kept)


def conditions(job: Job) -> Sequence[Condition]:
    """The job's filter as a source takes it."""
    return [Condition(each.column, each.operator, each.value) for each in job.data.filter]


def _definitions(transforms: Sequence[sections.Transform]) -> list[dict[str, Any]]:
    """What was fitted, for comparison; where a file lay doesn't matter, since its content is kept."""
    return [each.model_dump(mode="json", exclude={"file"}) for each in transforms]


def _file(place: int, transform: sections.Transform) -> str:
    return f"transform-{place}-{transform.name}.parquet"


def _learns(transform: sections.Transform) -> Callable[[], Accumulator] | None:
    """What makes the accumulator of a transform that is fitted on the training rows."""
    match transform:
        case sections.Lookup(file=None, min_count=min_count):
            return partial(LookupFit, min_count)
        case sections.Bucketise(quantiles=int(ranges)):
            return partial(Quantiles, ranges)
        case sections.Standardise():
            return Moments
    return None


def _from_file(place: int, transform: sections.Transform) -> pa.Table | None:
    """What a transform has from a file of its own."""
    match transform:
        case sections.Lookup(file=str(file)):
            return Vocabulary.load(file).table
        case sections.Join(file=file, key=key, value=value):
            try:
                batches = record_batches(Source.open(file, None, []), (key, value))
                return side_table(pa.Table.from_batches(batches), key, value, file)
            except UserError as error:
                raise UserError(f"{step_name(place, transform)}: {error}") from None
            except pa.ArrowException as error:
                raise UserError(f"{step_name(place, transform)}: {file}: the files differ ({error})") from None
    return None


def _build(transform: sections.Transform, state: pa.Table | None) -> Transform:
    """The transform of a section, with what it knows from data or a file."""
    if isinstance(transform, sections.Last):
        return Last(transform.columns, transform.events)
    column, (to,) = transform.column, transform.writes
    match transform:
        case sections.Take():
            return Take(column, to, transform.first, transform.last)
        case sections.Hash():
            return Hash(column, to, transform.buckets, transform.seed)
        case sections.Log():
            return Log(column, to)
        case sections.Fill():
            return Fill(column, to, transform.value)
        case sections.TimeDeltas():
            return TimeDeltas(column, to, transform.buckets)
        case sections.Bucketise(boundaries=tuple(boundaries)):
            return Bucketise(column, to, boundaries)
    assert state is not None
    match transform:
        case sections.Lookup():
            return Lookup(column, to, Vocabulary.from_table(state, column), transform.unknown, transform.first)
        case sections.Join():
            return Join(column, to, state, transform.missing)
        case sections.Bucketise():
            return Bucketise(column, to, tuple(state["boundary"].to_pylist()))
        case sections.Standardise():
            return Standardise(column, to, state["mean"][0].as_py(), state["deviation"][0].as_py())
