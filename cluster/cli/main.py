"""The program ``saccade``: its commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from saccade.cluster.cli.examples import examples
from saccade.cluster.cli.lazy import Lazy, LazyGroup
from saccade.pipelines.errors import UserError

CLI = "saccade.cluster.cli"

job = LazyGroup(
    "job",
    {
        "show": Lazy(f"{CLI}.job_show", "show", "Print a job with every default written out."),
        "schema": Lazy(f"{CLI}.job_schema", "schema", "Print the JSON schema of job files."),
    },
    help="Look at job files.",
    epilog=examples("saccade job show job.yaml train.epochs=3", "saccade job schema > saccade.schema.json"),
)
data = LazyGroup(
    "data",
    {
        "describe": Lazy(f"{CLI}.data_describe", "describe", "Describe Parquet data: rows, columns, lengths, sizes."),
        "import": Lazy(f"{CLI}.data_import", "imports", "Make Parquet data of other formats."),
        "index": Lazy(f"{CLI}.data_index", "index", "Number strings or scattered integers: vocabularies and a copy."),
        "validate": Lazy(f"{CLI}.data_validate", "validate", "Look for everything in data that a job can't use."),
        "synthesize": Lazy(f"{CLI}.data_synthesize", "synthesize", "Write behaviour histories with a known structure."),
    },
    help="Look at data, and make some.",
    epilog=examples("saccade data synthesize data/demo --users 5000", "saccade data describe data/demo"),
)
checkpoint = LazyGroup(
    "checkpoint",
    {
        "inspect": Lazy(f"{CLI}.checkpoint_inspect", "inspect", "Show what is in a checkpoint."),
        "verify": Lazy(f"{CLI}.checkpoint_verify", "verify", "Compare every file of checkpoints with its hash."),
        "export": Lazy(f"{CLI}.checkpoint_export", "export", "Write a model's weights to one file, for torch alone."),
    },
    help="Look at checkpoints, and take models out of them.",
    epilog=examples("saccade checkpoint verify runs/demo", "saccade checkpoint export runs/demo exported"),
)
plugins = LazyGroup(
    "plugins",
    {"list": Lazy(f"{CLI}.plugins_list", "show", "List the parts that a job can name, and who brings them.")},
    help="Look at scores, normalizers, masks, positions, blocks and models, other people's too.",
    epilog=examples("saccade plugins list"),
)
cluster = LazyGroup(
    "cluster",
    {"validate": Lazy(f"{CLI}.cluster_validate", "validate", "Check the YAML for `ray up` and KubeRay.")},
    help="Look at cluster files.",
    epilog=examples("saccade cluster validate cluster/ray/aws.yaml"),
)
app = LazyGroup(
    "saccade",
    {
        "train": Lazy(f"{CLI}.train", "train", "Train a job, or resume its run."),
        "evaluate": Lazy(f"{CLI}.evaluate", "evaluate", "Measure a trained run on a split of its data."),
        "predict": Lazy(f"{CLI}.predict", "predict", "Apply a trained run to new rows."),
        "recommend": Lazy(f"{CLI}.recommend", "recommend", "Recommend items for histories, with scores."),
        "explain": Lazy(f"{CLI}.explain", "explain", "Show where a trained run's attention looks."),
        "report": Lazy(f"{CLI}.report", "report", "Write a run's report: one HTML page, or a W&B report."),
        "job": job,
        "data": data,
        "checkpoint": checkpoint,
        "plugins": plugins,
        "cluster": cluster,
        "doctor": Lazy(f"{CLI}.doctor", "doctor", "Say what this machine has, and what is wrong with it."),
    },
    help="Train attention models over behaviour, speech and text, from a laptop to a cluster, with one job file.",
    epilog=examples(
        "saccade train job.yaml",
        "saccade train job.yaml data.path=data/histories run.workers=2",
        "saccade evaluate runs/job --split test",
        "saccade report runs/job",
        "saccade doctor",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(package_name="saccade", prog_name="saccade", message="%(prog)s %(version)s")(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a failure, 2 a mistake of the caller's, 130 interrupted."""
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    try:
        code = app.main(arguments, prog_name="saccade", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        return 2
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "saccade"
        click.echo(f"error: {error.format_message()} (see `{where} --help`)", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo(str(error) or "interrupted", err=True)
        return 130
    except BrokenPipeError:
        _discard_stdout()
        return 0
    except Exception as error:
        return report_failure(error)


def report_failure(error: Exception) -> int:
    """Print a failure that isn't the caller's mistake: a run's own error, or a bug of ours with its traceback."""
    import traceback

    from saccade.plugins.ray.errors import RunFailed

    if isinstance(error, RunFailed):
        click.echo(f"{error.details}\nerror: {error}".lstrip(), err=True)
    else:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        click.echo("this is a bug in saccade: please report it with the lines above and `saccade doctor`", err=True)
    return 1


def _discard_stdout() -> None:
    """Whoever read our output has gone: let the interpreter's last flush go nowhere instead of complaining."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
