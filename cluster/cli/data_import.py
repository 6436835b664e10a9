"""``saccade data import``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.lazy import LazyGroup
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout
from saccade.pipelines.importing.format import Format
from saccade.pipelines.importing.formats import FORMATS
from saccade.pipelines.importing.run import Settings, run_import
from saccade.pipelines.importing.shards import ROWS_PER_FILE


def _command(name: str, form: Format) -> click.Command:
    """The command that imports one format."""

    def run(
        source: Path,
        destination: Path,
        strict: bool,
        overwrite: bool,
        rows_per_file: int,
        row_group_size: int,
        as_json: bool,
        **given: Any,
    ) -> None:
        settings = Settings(
            strict=strict, overwrite=overwrite, rows_per_file=rows_per_file, row_group_size=row_group_size
        )
        with quiet_stdout(as_json):
            about = run_import(
                name,
                form,
                source,
                destination,
                form.options(**given),
                settings,
                show=lambda line: click.echo(line, err=True),
            )
        if as_json:
            print_json({key: about[key] for key in ("splits", "rejected", "statistics")})
        else:
            _print(about, destination, form)

    parameters: list[click.Parameter] = [
        click.Argument(["source"], metavar="SRC", type=click.Path(path_type=Path)),
        click.Argument(["destination"], metavar="DST", type=click.Path(path_type=Path)),
        *_options(form.options),
        click.Option(
            ["--strict"], is_flag=True, help="Stop at the first row that is refused; nothing is written then."
        ),
        click.Option(["--overwrite"], is_flag=True, help="Replace what DST holds, once the new data is whole."),
        click.Option(
            ["--rows-per-file"],
            type=click.IntRange(min=1),
            default=ROWS_PER_FILE,
            show_default=True,
            help="Rows of each Parquet file.",
        ),
        click.Option(
            ["--row-group-size"],
            type=click.IntRange(min=1),
            default=form.row_group_size,
            show_default=True,
            help="Rows of each row group.",
        ),
    ]
    command = click.Command(
        name,
        callback=run,
        params=parameters,
        help=f"{form.help}\n\nSRC is what to import, DST a folder for the data set that is empty or not there.",
        short_help=form.help.splitlines()[0],
        epilog=examples(*(f"saccade data import {line}" for line in form.examples)),
    )
    return json_option(command)


def _options(options: type) -> list[click.Option]:
    """The options of the command line that a format's dataclass asks for: its own first, then those of its bases."""
    hints = get_type_hints(options)
    fields = {field.name: field for field in dataclasses.fields(options)}
    names = dict.fromkeys(name for cls in options.__mro__ for name in vars(cls).get("__annotations__", {}))
    return [_option(fields[name], hints[name]) for name in names]


def _option(field: dataclasses.Field[Any], hint: Any) -> click.Option:
    flag = "--" + field.name.replace("_", "-")
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    settings: dict[str, Any] = {"help": field.metadata["help"], "default": field.default}
    if field.default is dataclasses.MISSING:
        settings.update(required=True, default=None)
    elif field.default is not None:
        settings["show_default"] = repr(field.default) if field.default == "\t" else True
    if hint is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", field.name], **settings)
    kind = click.Choice([str(choice) for choice in get_args(hint)]) if get_origin(hint) is Literal else hint
    return click.Option([flag, field.name], type=kind, **settings)


def _print(about: Mapping[str, Any], destination: Path, form: Format) -> None:
    rows = {f"rows of {split}": facts["rows"] for split, facts in about["splits"].items()}
    print_table({**rows, "rejected": about["rejected"], **about["statistics"]})
    click.echo(f"\nin {destination}; `saccade data describe {destination}` shows more")
    if form.job:
        click.echo(f"a job that reads it begins with\n\n{form.job.format(path=destination)}")


imports = LazyGroup(
    "import",
    {name: _command(name, form) for name, form in FORMATS.items()},
    help="Make Parquet data of other formats.\n\nEach has its own options: see `saccade data import FORMAT --help`.",
    epilog=examples(
        "saccade data import csv events.csv data/events --user user_id --item item_id --time timestamp",
        "saccade data import movielens ml-1m data/ml-1m --min-user 5 --min-item 5",
        "saccade data import csv --help",
    ),
    context_settings={"max_content_width": 100},
)
