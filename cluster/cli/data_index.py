"""``saccade data index``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout


@click.command(
    epilog=examples(
        "saccade data index data/events data/numbered --column history",
        "saccade data index data/events data/numbered --column history=items --column user_id=users --min-count 5",
        "saccade data index data/newer data/grown --column history --extend data/numbered/vocabulary.parquet",
    )
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--column",
    "columns",
    required=True,
    multiple=True,
    metavar="NAME[=VOCABULARY]",
    help="A column of strings or integers, or lists of them, to number; columns with the same vocabulary (by default "
    "'vocabulary') share its ids.",
)
@click.option("--min-count", type=click.IntRange(min=1), default=1, show_default=True, help="Rarer values become 0.")
@click.option(
    "--extend",
    multiple=True,
    metavar="[VOCABULARY=]FILE",
    help="An earlier vocabulary, whose values keep their ids; new ones come after. A model then goes on from its old "
    "table with tables.NAME.grow=true.",
)
@click.option("--overwrite", is_flag=True, help="Replace what DST holds, once the new data is whole.")
@json_option
def index(
    source: str,
    destination: Path,
    columns: tuple[str, ...],
    min_count: int,
    extend: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Number strings or scattered integers: vocabularies and a copy.

    SRC is Parquet data. DST gets VOCABULARY.parquet (id, value and count of each value of the training rows, the most
    frequent first) and a copy of all splits with the ids 1, 2, 3, … in place of values; 0 stands for those that aren't
    among the training rows.
    """
    with quiet_stdout(as_json):
        from saccade.pipelines.indexing import index as write

        named = {name: vocabulary or "vocabulary" for name, _, vocabulary in (each.partition("=") for each in columns)}
        before = {name or "vocabulary": Path(file) for name, _, file in (each.rpartition("=") for each in extend)}
        result = write(source, destination, named, min_count=min_count, extend=before, overwrite=overwrite)
    if as_json:
        print_json(result)
        return
    print_table({name: result[name] for name in ("output", "rows", "vocabularies", "new") if result[name]})
    for split, unknown in result["unknown"].items():
        for column, count in unknown.items():
            if count:
                click.echo(f"{split}: {count:,} values of {column!r} aren't in the vocabulary and became 0")
