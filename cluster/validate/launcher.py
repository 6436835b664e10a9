"""Cluster files for ``ray up``: Ray's own schema made strict, then Ray's own checks."""

from pathlib import Path
from typing import Any

from saccade.cluster.validate.schema import check_schema
from saccade.pipelines.errors import UserError


def check_launcher(config: dict[str, Any], path: Path) -> str:
    """Check a cluster file for ``ray up``.

    Returns:
        What the file describes.

    Raises:
        UserError: The file doesn't hold, or Ray isn't installed.
    """
    try:
        from saccade.plugins.ray.cluster_schema import launcher_problem, launcher_schema
    except ModuleNotFoundError as error:
        raise UserError(f"checking a file for `ray up` needs Ray: pip install 'saccade[cpu]' ({error})") from error

    check_schema(config, launcher_schema(), path)
    if problem := launcher_problem(config):
        raise UserError(f"{path}: {problem}")
    return f"Ray cluster {config['cluster_name']} on {config['provider']['type']} holds"
