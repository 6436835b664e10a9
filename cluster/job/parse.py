"""From plain values to a job, or to one line that says what is wrong with them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from saccade.cluster.job.explain import explain
from saccade.cluster.job.job import TASKS, Job
from saccade.pipelines.errors import UserError


def parse_job(values: Mapping[str, Any]) -> Job:
    """The job of plain values, as ``job.model_dump(mode="json")`` gives them. An empty (null) section has its defaults.

    Raises:
        UserError: naming every key that is unknown or has a wrong value.
    """
    task = values.get("task")
    if task is None:
        raise UserError(f"task is missing: choose one of {', '.join(TASKS)}")
    if not isinstance(task, str) or task not in TASKS:
        near = difflib.get_close_matches(str(task), TASKS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"task={task!r}: expected one of {', '.join(TASKS)}{hint}")
    kind = TASKS[task]
    given = {key: value for key, value in values.items() if value is not None or key not in kind.model_fields}
    try:
        # Through JSON, so that lists become tuples although types are strict.
        return kind.model_validate_json(json.dumps(given, default=str))
    except ValidationError as error:
        raise UserError(explain(error, kind, given)) from None
