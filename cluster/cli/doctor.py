"""``saccade doctor``."""

from __future__ import annotations

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.output import json_option, print_json, quiet_stdout


@click.command(epilog=examples("saccade doctor", "saccade doctor --json | python -m json.tool"))
@json_option
def doctor(as_json: bool) -> None:
    """Say what this machine has, and what is wrong with it.

    Prints versions, devices, attention backends, Ray, W&B, disk and memory, then every finding with the way to mend it.
    Exits with 1 if there is a problem, with 0 otherwise.
    """
    from saccade.cluster.doctor.diagnosis import diagnose

    with quiet_stdout(as_json):
        diagnosis = diagnose()
    if as_json:
        print_json(diagnosis.as_dict())
    else:
        click.echo(diagnosis.as_text())
    if diagnosis.has_problem:
        click.get_current_context().exit(1)
