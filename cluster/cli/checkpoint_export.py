"""``saccade checkpoint export``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from saccade.cluster.cli.checkpoint_path import is_counted, one_checkpoint
from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout
from saccade.pipelines.errors import UserError


@click.command(
    epilog=examples(
        "saccade checkpoint export runs/demo exported",
        "saccade checkpoint export runs/demo/checkpoints/step-00000100 exported --force",
    )
)
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@json_option
def export(path: Path, output: Path, force: bool, as_json: bool) -> None:
    """Write a model's weights to one file, for torch alone.

    PATH is a run's folder, of which the best checkpoint is taken, or the folder of a checkpoint. OUTPUT gets
    model.safetensors (the weights, without the optimizers' state, or what a model has counted) and model.json (what it
    takes to build the model).
    """
    with quiet_stdout(as_json):
        from saccade.models.exported import DESCRIPTION

        if not force and (output / DESCRIPTION).exists():
            raise UserError(f"{output} has an export already: choose another folder, or replace it with --force")
        result = write_counted(path, output) if is_counted(path) else write(one_checkpoint(path), output)
    if as_json:
        print_json(result)
    else:
        print_table(result)


def write(checkpoint: Path, output: Path) -> dict[str, Any]:
    """Export the checkpoint to the folder ``output``; the whole model passes through this process's memory.

    Raises:
        UserError: ``output`` can't be written to, or the checkpoint is damaged.
    """
    from saccade.cluster.training.trained import kept_with
    from saccade.pipelines.checkpoint.reader import CheckpointReader

    reader = CheckpointReader(checkpoint)
    reader.verify()
    tensors = {f"tables/{name}": reader.table(name, "weight") for name in reader.manifest.tables}
    for name in reader.network:
        if name.startswith("weight/"):
            tensors[f"network/{name.removeprefix('weight/')}"] = reader.network[name]
    description = {
        "checkpoint": checkpoint.name,
        "step": reader.manifest.step,
        "job": reader.manifest.job,
        "engine": dict(reader.manifest.engine),
        "tables": {
            name: {"rows": table.rows, "dim": table.dim, "features": list(table.features)}
            for name, table in reader.manifest.tables.items()
        },
    }
    artifacts = None
    if kept := kept_with(checkpoint):
        facts, artifacts = kept
        description |= _how_to_build(reader.manifest.job, facts, artifacts)
    return _place(checkpoint, output, tensors, description, artifacts)


def write_counted(run: Path, output: Path) -> dict[str, Any]:
    """Export what a run has counted, likewise.

    Raises:
        UserError: ``output`` can't be written to.
    """
    from saccade.cluster.job import NextItemJob, load_job
    from saccade.cluster.training.counting import counted_call, load_counted
    from saccade.pipelines.records.record import read_json

    job, facts, artifacts = load_job(run / "job.yaml"), read_json(run / "run.json")["facts"], run / "artifacts"
    assert isinstance(job, NextItemJob)
    description = {
        "checkpoint": artifacts.name,
        "step": 0,
        "job": job.model_dump(mode="json"),
        "engine": {},
        "tables": {},
        "facts": facts,
        "network": _call(counted_call(job, facts["items"])),
        "plugins": [],
    }
    tensors = {f"network/{name}": tensor for name, tensor in load_counted(artifacts).items()}
    return _place(artifacts, output, tensors, description, artifacts)


def _place(
    source: Path, output: Path, tensors: dict[str, Any], description: dict[str, Any], artifacts: Path | None
) -> dict[str, Any]:
    """Complete the description, write everything, and say what was written."""
    from saccade.cluster.training.counting import COUNTED
    from saccade.cluster.training.trained import FACTS
    from saccade.models.exported import DESCRIPTION, ITEMS, WEIGHTS

    shapes = {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
    }
    job = description["job"]
    description = {"format": 1, "task": job.get("task"), **description, "tensors": shapes}
    files = (
        [] if artifacts is None else sorted(file for file in artifacts.glob("*") if file.name not in (FACTS, COUNTED))
    )
    items = None if artifacts is None else _item_names(job, artifacts)
    try:
        _write_files(output, tensors, description, files, items)
    except OSError as error:
        raise UserError(f"can't write to {output} ({error.strerror or error}): mend that or choose another") from None
    count = sum(tensor.numel() for tensor in tensors.values())
    names = [WEIGHTS, DESCRIPTION, *([ITEMS] if items is not None else []), *(file.name for file in files)]
    return {"checkpoint": str(source), "output": str(output), "parameters": count, "files": ", ".join(names)}


def _write_files(
    output: Path,
    tensors: dict[str, Any],
    description: dict[str, Any],
    artifacts: list[Path],
    items: list[Any] | None,
) -> None:
    """Put the files into ``output`` under other names first, so that none is ever there in part; model.json is last."""
    from safetensors import SafetensorError

    from saccade.models.exported import DESCRIPTION, ITEMS, WEIGHTS
    from saccade.pipelines.checkpoint.share import save_readable
    from saccade.pipelines.records.record import write_json

    output.mkdir(parents=True, exist_ok=True)
    unfinished: list[Path] = []

    def place(name: str) -> Path:
        unfinished.append(output / f".{name}.writing")
        return unfinished[-1]

    try:
        save_readable(tensors, place(WEIGHTS))
        for file in artifacts:
            shutil.copyfile(file, place(file.name))
        if items is None:
            (output / ITEMS).unlink(missing_ok=True)  # of an earlier export
        else:
            write_json(place(ITEMS), items)
        (output / DESCRIPTION).unlink(missing_ok=True)
        for path in unfinished:
            path.rename(path.with_name(path.name.removeprefix(".").removesuffix(".writing")))
        write_json(output / DESCRIPTION, description)
    except SafetensorError as error:
        raise OSError(str(error)) from None
    finally:
        for path in unfinished:
            path.unlink(missing_ok=True)


def _how_to_build(job: Mapping[str, Any], facts: Mapping[str, Any], artifacts: Path) -> dict[str, Any]:
    """``facts``, ``network`` (the call that builds it) and ``plugins``.

    The call needs saccade.models, and the modules under ``plugins``, which are to be imported before: they register the
    parts that aren't Saccade's own.
    """
    from saccade.cluster.job import CtrJob, SpeechClassificationJob, parse_job
    from saccade.cluster.parts.choose import plugin_parts
    from saccade.cluster.training.ctr import ctr_call
    from saccade.cluster.training.tasks import make_task
    from saccade.models.speech.log_mel import LogMel

    parsed = parse_job(dict(job))
    task: Any = make_task(parsed, facts, artifacts)
    build: partial[Any] = task.build
    if isinstance(parsed, SpeechClassificationJob):
        settings = parsed.data.model_dump(include={"sampling_rate", "mels", "frame_ms", "hop_ms"})
        build = partial(build.func, **{**build.keywords, "features": partial(LogMel, **settings)})
    if isinstance(parsed, CtrJob):
        build = ctr_call(parsed)
    plugins = dict.fromkeys(part.cls.__module__ for part in plugin_parts(parsed.model))
    return {"facts": facts, "network": _call(build), "plugins": list(plugins)}


def _item_names(job: Mapping[str, Any], artifacts: Path) -> list[Any] | None:
    """What the ids 1, 2, … of a next-item model stand for; None where the data have ids, or a hash made them."""
    from saccade.cluster.job import NextItemJob, parse_job
    from saccade.cluster.training.transforms import load_transforms

    parsed = parse_job(dict(job))
    if not isinstance(parsed, NextItemJob):
        return None
    found = load_transforms(parsed, artifacts).vocabulary(parsed.data.history)
    names: list[Any] | None = None if found is None else found[0].values.to_pylist()
    return names


def _call(value: Any) -> Any:
    """A call of a class, as JSON: ``class`` and ``arguments``, some of which may be such calls themselves."""
    if isinstance(value, partial):
        cls, arguments = value.func, dict(value.keywords)
    elif is_dataclass(value):  # the choices of attention's parts
        cls, arguments = type(value), {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, Mapping):
        return {name: _call(inner) for name, inner in value.items()}
    elif isinstance(value, list | tuple):
        return [_call(inner) for inner in value]
    else:
        return value
    return {"class": f"{cls.__module__}.{cls.__qualname__}", "arguments": _call(arguments)}
