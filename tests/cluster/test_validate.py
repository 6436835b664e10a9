"""The shipped cluster files hold, and mistakes in them are named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from saccade.cluster.validate.files import validate_cluster_file
from saccade.pipelines.errors import UserError

CLUSTER = Path(__file__).parents[2] / "cluster"
FILES = sorted(path for folder in ("ray", "kubernetes") for path in (CLUSTER / folder).glob("*.yaml"))
FREE = {
    "file_mounts",
    "labels",
    "rayStartParams",
    "available_node_types",
}  # what lies below has names of the user's own


def _keys(node: Any, depth: int, parents: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all keys down to a depth, lists included, that the user can't choose."""
    if depth == 0 or (parents and parents[-1] in FREE):
        return
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(node, dict):
            yield (*parents, key)
        yield from _keys(value, depth - 1, (*parents, key))


def _cases(depth: int) -> list[Any]:
    return [
        pytest.param(path, keys, id=f"{path.name}-{'.'.join(map(str, keys))}")
        for path in FILES
        for keys in _keys(yaml.safe_load(path.read_text()), depth)
    ]


def _write(folder: Path, document: Any) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return path


def _parent(document: Any, keys: tuple[Any, ...]) -> dict[str, Any]:
    for key in keys[:-1]:
        document = document[key]
    return document  # type: ignore[no-any-return]


def test_files_are_shipped() -> None:
    assert len(FILES) >= 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_files_hold(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert validate_cluster_file(path).endswith("holds")
    assert capfd.readouterr() == ("", "")  # Ray's own remarks are kept back


@pytest.mark.parametrize(("path", "keys"), _cases(depth=3))
def test_a_misspelt_key_is_named_with_the_right_one(path: Path, keys: tuple[Any, ...], tmp_path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    parent = _parent(document, keys)
    parent[f"{keys[-1]}x"] = parent.pop(keys[-1])
    with pytest.raises(UserError) as error:
        validate_cluster_file(_write(tmp_path, document))
    message = str(error.value)
    assert "\n" not in message
    assert f"{keys[-1]}x" in message or keys[-1] in ("apiVersion", "kind")
    assert keys[-1] in message


@pytest.mark.parametrize(
    "keys",
    [
        ("spec", "rayClusterSpec", "workerGroupSpecs", 0, "groupName"),
        ("spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers"),
        ("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "resources", "limits"),
        ("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "volumes", 0, "persistentVolumeClaim"),
    ],
    ids=lambda keys: keys[-1],
)
def test_deep_keys_of_kuberay_are_checked(keys: tuple[Any, ...], tmp_path: Path) -> None:
    document = yaml.safe_load((CLUSTER / "kubernetes/rayjob.yaml").read_text())
    parent = _parent(document, keys)
    parent[f"{keys[-1]}x"] = parent.pop(keys[-1])
    with pytest.raises(UserError, match=f"did you mean {keys[-1]}"):
        validate_cluster_file(_write(tmp_path, document))


@pytest.mark.parametrize("key", ["min_workers", "resources", "node_config"])
def test_keys_of_a_node_type_are_checked(key: str, tmp_path: Path) -> None:
    document = yaml.safe_load((CLUSTER / "ray/aws.yaml").read_text())
    worker = document["available_node_types"]["worker"]
    worker[f"{key}x"] = worker.pop(key)
    with pytest.raises(UserError, match=f"available_node_types.worker.{key}x .* did you mean {key}"):
        validate_cluster_file(_write(tmp_path, document))


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "ray"], ids=lambda path: path.name)
def test_a_missing_cluster_name_is_refused(path: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    del document["cluster_name"]
    with pytest.raises(UserError, match="cluster_name is missing"):
        validate_cluster_file(_write(tmp_path, document))


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        ("ray/aws.yaml", ("max_workers",), "four", "max_workers is 'four', expected integer"),
        ("ray/aws.yaml", ("max_workers",), 1, "smaller than"),
        ("ray/aws.yaml", ("head_node_type",), "haed", "head_node_type"),
        ("ray/aws.yaml", ("provider", "type"), "moon", "moon"),
        ("ray/local.yaml", ("provider",), {"type": "local"}, "head_ip"),
        ("kubernetes/rayjob.yaml", ("kind",), "RayJop", "did you mean RayJob"),
        ("kubernetes/rayjob.yaml", ("apiVersion",), "v1", "expected one of ray.io/v1"),
        ("kubernetes/rayjob.yaml", ("spec", "entrypoint"), 3, "spec.entrypoint is 3, expected string"),
        ("kubernetes/rayjob.yaml", ("spec", "rayClusterSpec", "authOptions", "mode"), "tokn", "did you mean token"),
        ("kubernetes/raycluster.yaml", ("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0, "expected string"),
    ],
)
def test_wrong_values_are_named(file: str, keys: tuple[Any, ...], value: Any, message: str, tmp_path: Path) -> None:
    document = yaml.safe_load((CLUSTER / file).read_text())
    _parent(document, keys)[keys[-1]] = value
    with pytest.raises(UserError) as error:
        validate_cluster_file(_write(tmp_path, document))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["entrypoint", "rayClusterSpec"])
def test_what_a_rayjob_needs(missing: str, tmp_path: Path) -> None:
    document = yaml.safe_load((CLUSTER / "kubernetes/rayjob.yaml").read_text())
    del document["spec"][missing]
    with pytest.raises(UserError, match=f"spec.{missing} is missing"):
        validate_cluster_file(_write(tmp_path, document))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("a: [1, 2\nb: 3\n", "not YAML"),
        ("- 1\n- 2\n", "a mapping"),
        ("just words", "a mapping"),
        ("a: !!python/object/apply:os.system [true]\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "2 YAML documents"),
    ],
)
def test_not_a_cluster_file(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        validate_cluster_file(_write(tmp_path, text))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        validate_cluster_file(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="Is a directory"):
        validate_cluster_file(tmp_path)
    (tmp_path / "data.parquet").write_bytes(b"PAR1\xff\xfe\x00")
    with pytest.raises(UserError, match="isn't text"):
        validate_cluster_file(tmp_path / "data.parquet")
