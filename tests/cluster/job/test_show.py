"""What ``job show`` and ``job schema`` print."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from saccade.cluster.job import job_schema, job_to_yaml, load_job, parse_job
from saccade.cluster.job.job import TASKS
from saccade.cluster.job.yaml_text import dump_yaml, parse_yaml

TEXT = st.text(
    st.characters(min_codepoint=32, exclude_characters="\x7f\x85\ufeff", exclude_categories=("C",)), min_size=1
)


def least(task: str) -> dict[str, Any]:
    """The shortest job of a task."""
    needed: dict[str, Any] = {"path": "x"}
    if task == "ctr":
        event = {"column": "items", "target": "item"}
        needed |= {"features": [{"column": "item"}], "history": {"events": [event]}}
    return {"task": task, "data": needed}


MODELS: list[dict[str, Any]] = [
    {},
    {"block": {"name": "hstu", "time_buckets": 3}},
    {"attention": {"masks": ["causal", {"name": "any", "of": ["first", {"name": "window"}]}], "positions": []}},
    {"name": "gru", "options": {"layers": 2, "name": "deep", "widths": [1, {"a": None}]}},
]


@pytest.mark.parametrize("task", TASKS)
def test_shown_job_loads_equal(task: str, tmp_path: Path) -> None:
    job = parse_job({**least(task), "run": {"name": "1e3"}, "wandb": {"tags": ["null", "1"]}})
    path = tmp_path / "other-name.yaml"
    path.write_text(job_to_yaml(job))
    again = load_job(path)
    assert again == job
    assert job_to_yaml(again) == job_to_yaml(job)
    assert path.read_text().startswith(f"task: {task}\nrun:\n  name: '1e3'\n")


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "data": st.fixed_dictionaries({"path": TEXT.filter(lambda t: "${" not in t)}),
            "optimizer": st.fixed_dictionaries({"learning_rate": st.floats(1e-30, 1e6)}),
            "loss": st.sampled_from([{"name": "bce"}, {"name": "gbce", "calibration": 1}, {"temperature": 0.5}]),
            "wandb": st.fixed_dictionaries({"tags": st.lists(TEXT)}),
            "run": st.fixed_dictionaries({"seed": st.integers(0, 2**32 - 1)}),
            "model": st.sampled_from(MODELS),
        }
    )
)
def test_any_values_survive(values: dict[str, Any]) -> None:
    job = parse_job({"task": "next_item", **values})
    assert parse_job(parse_yaml(job_to_yaml(job))) == job


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    )
)
def test_yaml_reads_back_what_it_writes(values: Any) -> None:
    assert parse_yaml(dump_yaml(values)) == values
    assert yaml.safe_load(dump_yaml(values)) == values


def test_schema_is_valid_and_agrees_with_the_loader() -> None:
    schema = job_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for task in TASKS:
        job = parse_job(least(task))
        validator.validate(job.model_dump(mode="json"))
        validator.validate(least(task))
        for model in MODELS if task != "ctr" else [{}, {"name": "bst", "block": {"name": "hstu"}}]:
            validator.validate({**least(task), "model": model})
        assert not validator.is_valid({**least(task), "model": {"attention": {"score": 5}}})
        assert not validator.is_valid({**least(task), "trian": {}})
        assert not validator.is_valid({**least(task), "train": {"epochs": "five"}})


def test_reading_jobs_and_their_schema_takes_no_torch(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("task: next_item\ndata: {path: x}\nmodel: {attention: {score: dot}}\n")
    code = (
        "import sys; from pathlib import Path; from saccade.cluster.job import job_schema, job_to_yaml, load_job; "
        f"job_schema(); job_to_yaml(load_job(Path({str(tmp_path / 'job.yaml')!r}))); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_key_is_described() -> None:
    def properties(node: Any) -> list[dict[str, Any]]:
        if isinstance(node, dict):
            own = list(node.get("properties", {}).items()) if isinstance(node.get("properties"), dict) else []
            return [{"name": k, **v} for k, v in own] + [p for v in node.values() for p in properties(v)]
        return [p for v in node for p in properties(v)] if isinstance(node, list) else []

    schema = job_schema()
    for prop in properties(schema):
        reference = prop.get("$ref", "").rsplit("/", 1)[-1]
        described = prop.get("description") or schema["$defs"].get(reference, {}).get("description")
        assert described or "oneOf" in prop, prop["name"]
