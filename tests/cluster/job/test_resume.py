"""Which changes a run survives."""

import pytest

from saccade.cluster.job import Job, parse_job, resume_differences


def job(**sections: dict[str, object]) -> Job:
    return parse_job({"task": "next_item", "data": {"path": "x"}, **sections})


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"run": {"workers": 2, "cpus_per_worker": 4, "max_failures": 0, "storage": "/mnt", "name": "other"}},
        {"plugins": ["mine"], "model": {"attention": {"backend": "reference"}}},
        {"engine": {"name": "reference", "zero_stage": 0, "sharding": "row", "device": "cpu"}},
        {"run": {"start_from": "runs/other"}},
        {"train": {"epochs": 99, "log_every": 1, "on_not_finite": "skip"}},
        {
            "evaluate": {"every": 2, "ks": [1, 10]},
            "checkpoint": {"every_seconds": 5, "on_error": "continue"},
            "wandb": {"project": "p"},
        },
    ],
)
def test_free_changes(sections: dict[str, dict[str, object]]) -> None:
    assert resume_differences(job(), job(**sections)) == []


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"run": {"seed": 1}}, ["run.seed: 0 -> 1"]),
        ({"train": {"micro_batches": 8}}, ["train.micro_batches: 4 -> 8"]),
        ({"model": {"dim": 128}, "data": {"path": "y"}}, ["data.path: x -> y", "model.dim: 64 -> 128"]),
        (
            {"loss": {"name": "bce", "negatives": 256}},
            [
                "loss.name: sampled_softmax -> bce",
                "loss.temperature: 1.0 -> unset",
                "loss.label_smoothing: 0.0 -> unset",
            ],
        ),
        ({"tables": {"items": {"rows": 9}}}, ["tables.items.rows: auto -> 9"]),
        (
            {"model": {"attention": {"normalizer": {"name": "softmax", "temperature": 2}}, "block": "hstu"}},
            ["model.block.name: transformer -> hstu", "model.attention.normalizer.temperature: unset -> 2"],
        ),
    ],
)
def test_changes_of_the_result(sections: dict[str, dict[str, object]], expected: list[str]) -> None:
    assert resume_differences(job(), job(**sections)) == expected


def test_a_blocks_backend_may_change() -> None:
    old, new = (job(model={"block": block}) for block in ("hstu", {"name": "hstu", "backend": "reference"}))
    assert resume_differences(old, new) == []


def table(**keys: object) -> Job:
    return job(tables={"items": keys})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"grow": True}, []),
        ({"rows": 9}, {"rows": 10, "grow": True}, []),
        ({"rows": 9, "grow": True}, {"rows": 10}, ["tables.items.rows: 9 -> 10"]),
        ({"rows": 9}, {"rows": 8, "grow": True}, ["tables.items.rows: 9 -> 8"]),
        ({}, {"rows": 10, "grow": True}, []),
        (
            {"rows": 9},
            {"rows": 10, "grow": True, "standard_deviation": 1.0},
            ["tables.items.standard_deviation: 0.02 -> 1.0"],
        ),
        ({}, {"sharding": "row"}, []),
    ],
)
def test_tables_may_grow(old: dict[str, object], new: dict[str, object], expected: list[str]) -> None:
    assert resume_differences(table(**old), table(**new)) == expected
