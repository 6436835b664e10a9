"""A job as text: the resolved file, and the schema that editors complete job files from."""

from __future__ import annotations

from typing import Any

from saccade.cluster.job.job import JOB_ADAPTER, Job
from saccade.cluster.job.yaml_text import dump_yaml


def job_to_yaml(job: Job) -> str:
    """The whole job with every default written out, sections in their usual order; ``load_job`` reads it back equal."""
    return "".join(dump_yaml({key: value}) for key, value in job.model_dump(mode="json").items())


def job_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of job files."""
    schema = JOB_ADAPTER.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Saccade job", **schema}
