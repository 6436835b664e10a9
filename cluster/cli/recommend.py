"""``saccade recommend``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.model_path import trained_model
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout
from saccade.pipelines.errors import UserError


@click.command(
    epilog=examples(
        "saccade recommend runs/demo --data data/demo --output next.parquet",
        "saccade recommend runs/films --data new --output next.parquet --items films.parquet --only genre=Drama",
        "saccade recommend runs/demo --data data/demo --output next --workers 8",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", required=True, metavar="PATH", help="Parquet file, folder, glob or address of the histories.")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write; with --workers a folder."
)
@click.option("--top-k", type=click.IntRange(min=1), default=10, show_default=True, help="Items a row.")
@click.option("--keep-seen", is_flag=True, help="Recommend what is in a row's own history, too.")
@click.option("--items", metavar="PATH", help="Parquet of the only items to choose from.")
@click.option("--item-column", default="item_id", show_default=True, metavar="NAME", help="Its column of items.")
@click.option(
    "--only",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Of --items, only those whose column has this value, or a list with it. Several times: all of it.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Split the rows among so many Ray workers, each with the whole model; --output becomes a folder of parts, and "
    "the same command goes on where an earlier one stopped.",
)
@click.option(
    "--part-rows",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    help="With --workers: rows of a part, rounded up to whole windows of the job.",
)
@json_option
def recommend(
    run: Path,
    data: str,
    output: Path,
    top_k: int,
    keep_seen: bool,
    items: str | None,
    item_column: str,
    only: tuple[str, ...],
    workers: int | None,
    part_rows: int,
    as_json: bool,
) -> None:
    """Recommend items for histories, with scores.

    RUN is the folder of a next_item run, of which the best checkpoint is used, or of a checkpoint or an export. Writes
    the best items of each row and their scores, best first, without those that the row's history has. A row without
    any history to go by is left out.
    """
    conditions = tuple(_condition(each) for each in only)
    if conditions and items is None:
        raise UserError(f"--only {only[0]} says which items, but not where that stands: name a table with --items")
    with quiet_stdout(as_json):
        folder = trained_model(run)
        from saccade.cluster.using.request import Choice, Request

        request = Request(str(folder), data, top_k, Choice(keep_seen, items, item_column, conditions))
        if workers is None:
            from saccade.cluster.using.apply import answer

            result = answer(request, output)
        else:
            from saccade.cluster.using.apply_in_parts import answer_in_parts

            result = answer_in_parts(request, output, workers, part_rows)
    result["run"] = str(run)
    if as_json:
        print_json(result)
    else:
        print_table(result)


def _condition(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not (column and equals):
        raise UserError(f"--only {text}: write COLUMN=VALUE, as in --only genre=Drama")
    return column, value
