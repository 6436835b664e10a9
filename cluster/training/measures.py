"""What a next-item job measures."""

from __future__ import annotations

import math
from pathlib import Path

from saccade.cluster.job import Job, NextItemJob
from saccade.cluster.training.popularity import find_counts
from saccade.pipelines.errors import UserError
from saccade.pipelines.tasks.holdout import ByTime, Holdout
from saccade.pipelines.tasks.next_item import LEAVE_ONE_OUT
from saccade.pipelines.tasks.ranked_evaluation import Measures, sample_suffix


def measures_of(job: NextItemJob, artifacts: Path) -> Measures:
    """The job's measures.

    Args:
        job: its section ``evaluate`` counts.
        artifacts: the folder that holds the items' counts.

    Raises:
        UserError: a measure needs counts, and the run has none.
    """
    evaluate, counts = job.evaluate, find_counts(artifacts)
    needs: list[str] = list(evaluate.lists)
    if evaluate.protocol == "sampled_popularity":
        needs.append(evaluate.protocol)
    if needs and counts is None:
        raise UserError(
            f"evaluate: {', '.join(needs)} needs to know how popular items are, and this run began before Saccade "
            "counted them: start a new run, or leave that out"
        )
    return Measures(
        ks=evaluate.ks,
        at_k=evaluate.metrics,
        of_lists=evaluate.lists,
        protocol=evaluate.protocol,
        negatives=evaluate.negatives,
        sliced=evaluate.slices,
        resamples=evaluate.resamples,
        seed=job.run.seed,
        counts=counts,
    )


def holdout_of(job: NextItemJob) -> Holdout:
    """How the job's histories are cut into what is learned from and what is to be found."""
    data = job.data
    if data.valid_from is None or data.test_from is None or data.times is None:
        return LEAVE_ONE_OUT
    return ByTime(data.times, data.valid_from, data.test_from)


def check_fraction(job: Job, rows: int) -> str | None:
    """What must be said of metrics that are measured on a part of the valid split's ``rows``, if on a part.

    Raises:
        UserError: the part is none of them.
    """
    fraction = job.evaluate.fraction
    chosen = math.floor(fraction * rows)
    if rows and not chosen:
        raise UserError(
            f"evaluate.fraction={fraction:g} leaves none of the valid split's {rows} rows: "
            f"choose {1 / rows:.2g} or more"
        )
    if chosen == rows:
        return None
    return f"evaluate.fraction={fraction:g}: metrics named valid/* are of {chosen} rows of {rows}, always the same"


def caution(job: Job) -> str | None:
    """What must be said of a job's measures before anyone reads them."""
    if not isinstance(job, NextItemJob) or job.evaluate.protocol == "full":
        return None
    suffix = sample_suffix(job.evaluate.protocol, job.evaluate.negatives)
    return (
        f"evaluate.protocol={job.evaluate.protocol}: metrics named *{suffix} rank against "
        f"{job.evaluate.negatives} sampled items, which inflates them and can turn comparisons around. They are for "
        "comparison with older papers only; the others are of the full ranking"
    )
