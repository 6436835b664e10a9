"""Which kind of cluster file it is, and whether it holds."""

from pathlib import Path
from typing import Any

from saccade.pipelines.errors import UserError


def validate_cluster_file(path: Path) -> str:
    """Check a cluster file for ``ray up`` or a RayJob or RayCluster for KubeRay.

    Args:
        path: A YAML file with one document.

    Returns:
        One line that says what the file describes.

    Raises:
        UserError: The file can't be read, isn't YAML, or doesn't hold; the line names the key, what was given and the
            nearest right key.
    """
    document = _read(path)
    if "apiVersion" in document or "kind" in document:
        from saccade.cluster.validate.kuberay import check_kuberay

        return f"{path}: {check_kuberay(document, path)}"
    from saccade.cluster.validate.launcher import check_launcher

    return f"{path}: {check_launcher(document, path)}"


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        documents = list(yaml.safe_load_all(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't text"
        raise UserError(f"{path}: the cluster file can't be read: {reason}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if len(documents) > 1:
        raise UserError(f"{path}: {len(documents)} YAML documents; give each cluster a file of its own")
    if not documents or documents[0] is None:
        raise UserError(f"{path}: the file is empty; cluster/ray and cluster/kubernetes have files to start from")
    if not isinstance(documents[0], dict):
        given = type(documents[0]).__name__
        raise UserError(f"{path}: a cluster file is a mapping of keys to values, this is a {given}")
    return documents[0]
