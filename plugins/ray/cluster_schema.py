"""What Ray knows about cluster files for ``ray up``: its schema and its checks."""

import contextlib
import copy
import io
import json
import logging
from pathlib import Path
from typing import Any

import ray.autoscaler

# Ray's schema lets any key pass below `provider`, because each provider reads some that the schema doesn't list.
# These are those that Ray's own providers read, so that a misspelt one can be told from them.
PROVIDER_KEYS = (
    "access_key",
    "access_key_secret",
    "aws_credentials",
    "cidr_block",
    "cluster_unique_id",
    "coordinator_address",
    "env_vars",
    "external_head_ip",
    "image",
    "key_name",
    "key_pair",
    "launch_multiple",
    "msi_name",
    "msi_resource_group",
    "nsg",
    "project_name",
    "security_group_id",
    "security_group_rule",
    "subnet",
    "subnet_mask",
    "unique_id",
    "use_external_head_ip",
    "v_switch_id",
    "vpc_id",
    "vsphere_config",
    "zone_id",
)


def launcher_schema() -> dict[str, Any]:
    """Ray's JSON schema for cluster files, refusing unknown keys wherever it names the known ones."""
    file = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    schema: dict[str, Any] = json.loads(file.read_text())
    schema["properties"]["provider"]["properties"].update({key: {} for key in PROVIDER_KEYS})
    # The launcher takes `min_workers` for the local provider out of the file before it asks the schema.
    schema["properties"]["min_workers"] = {"type": "integer", "minimum": 0}
    _refuse_unknown_keys(schema)
    return schema


def launcher_problem(config: dict[str, Any]) -> str | None:
    """What Ray itself finds wrong when it fills in its defaults, in one line; None where all is well."""
    import click
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    # Ray prints and logs what it finds, and raises besides.
    logging.getLogger("ray.autoscaler").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            validate_config(prepare_config(copy.deepcopy(config)))
        except jsonschema.ValidationError as error:
            place = ".".join(map(str, error.absolute_path))
            return f"{place}: {error.message}".removeprefix(": ")
        except KeyError as error:
            return f"{error} is missing"
        except (click.ClickException, ValueError, RuntimeError, AssertionError, ImportError) as error:
            return " ".join(str(error).split())
    return None


def _refuse_unknown_keys(schema: Any) -> None:
    if isinstance(schema, list):
        for part in schema:
            _refuse_unknown_keys(part)
    elif isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            schema["additionalProperties"] = False
        for part in schema.values():
            _refuse_unknown_keys(part)
