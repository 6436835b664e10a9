"""``saccade data synthesize``."""

from __future__ import annotations

from pathlib import Path

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, print_table, quiet_stdout


@click.command(
    epilog=examples(
        "saccade data synthesize data/demo",
        "saccade data synthesize data/large --users 1000000 --items 100000 --files 64 --seed 7",
    )
)
@click.argument("path", type=click.Path(file_okay=False, path_type=Path))
@click.option("--users", type=click.IntRange(min=1), default=5000, show_default=True, help="Histories to write.")
@click.option("--items", type=click.IntRange(min=2), default=1000, show_default=True, help="Different items.")
@click.option("--clusters", type=click.IntRange(min=1), default=20, show_default=True, help="Groups of like items.")
@click.option("--mean-length", type=click.IntRange(min=1), default=30, show_default=True, help="Items of a history.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same data.")
@click.option("--files", type=click.IntRange(min=1), default=4, show_default=True, help="Parquet files to spread over.")
@json_option
def synthesize(
    path: Path, users: int, items: int, clusters: int, mean_length: int, seed: int, files: int, as_json: bool
) -> None:
    """Write behaviour histories with a known structure.

    Users move between clusters of items like a Markov chain and choose popular items more often, so the best NDCG that
    any model can reach is known; it is printed. PATH is the folder to write.
    """
    with quiet_stdout(as_json):
        from saccade.pipelines.synthesize import write_histories

        facts = write_histories(
            path, users=users, items=items, clusters=clusters, mean_length=mean_length, seed=seed, files=files
        )
    if as_json:
        print_json(facts)
    else:
        print_table({name: fact for name, fact in facts.items() if name != "lengths"})
        click.echo(f"\nin {path}; `saccade data describe {path}` shows its lengths")
