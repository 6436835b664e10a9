"""The job file: one YAML file, typed and checked, that says everything about a run.

A section a file; ``load_job`` reads one, ``Job`` holds it. Importing this package imports pydantic, so the command line
does it only inside its commands.
"""

from saccade.cluster.job.job import CtrJob, Job, NextItemJob, SpeechClassificationJob, TextClassificationJob
from saccade.cluster.job.load import load_job
from saccade.cluster.job.parse import parse_job
from saccade.cluster.job.resume import resume_differences
from saccade.cluster.job.show import job_schema, job_to_yaml

__all__ = [
    "CtrJob",
    "Job",
    "NextItemJob",
    "SpeechClassificationJob",
    "TextClassificationJob",
    "job_schema",
    "job_to_yaml",
    "load_job",
    "parse_job",
    "resume_differences",
]
