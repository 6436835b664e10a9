"""KubeRay's RayJob and RayCluster.

Their full schemas live in a Kubernetes cluster and are 2 MB long, and ``kubectl`` drops unknown keys with a warning
at most. ``kuberay.json`` has the part that training jobs use and refuses every key that it doesn't know.
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from saccade.cluster.validate.schema import check_schema

API_VERSION = "ray.io/v1"


def check_kuberay(document: dict[str, Any], path: Path) -> str:
    """Check a RayJob or a RayCluster.

    Returns:
        What the file describes.

    Raises:
        UserError: The document doesn't hold.
    """
    schema = json.loads(files("saccade.cluster.validate").joinpath("kuberay.json").read_text())
    head = {"required": ["apiVersion", "kind"], "properties": schema["head"]}
    check_schema(document, head, path)
    kind = document["kind"]
    check_schema(document, {"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]}, path)
    name = document["metadata"].get("name", "without a name")
    return f"KubeRay {kind} {name} holds"
