"""Every key of every task: a typo in it is refused with its name and the right one."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.cluster.job import parse_job
from saccade.cluster.job.job import TASKS
from saccade.cluster.job.keys import key_paths
from saccade.pipelines.errors import UserError


def least(task: str) -> dict[str, Any]:
    """The shortest job of a task."""
    if task == "ctr":  # its default model needs a history
        return {"task": task, "data": {"path": "x", "features": [{"column": "item"}]}, "model": {"name": "dlrm"}}
    return {"task": task, "data": {"path": "x"}}


DEFAULTS = {task: parse_job(least(task)) for task in TASKS}
DEFAULT_KEYS = {task: key_paths(type(job)) for task, job in DEFAULTS.items()}


def of_default(task: str, key: str) -> bool:
    """Whether the section that is chosen without a name, and that stands without others, has this key."""
    section, *inner = key.split(".")
    if key.startswith("data.history."):
        return task != "ctr"
    return section not in ("model", "loss") or not inner or inner[0] in getattr(DEFAULTS[task], section).model_dump()


# Keys of losses and models other than the default ones belong to other sections; the sections' own names can be
# mistyped too.
CASES = [
    (task, key)
    for task, keys in DEFAULT_KEYS.items()
    for key in dict.fromkeys([*keys, *(".".join(k.split(".")[:-1]) for k in keys if "." in k)])
    if key != "task" and of_default(task, key)
]


def with_key(task: str, path: list[str], value: Any) -> dict[str, Any]:
    values = least(task)
    section = values
    for key in path[:-1]:
        section = section.setdefault(key, {})
    section[path[-1]] = value
    return values


@st.composite
def typo(draw: st.DrawFn, word: str) -> str:
    """A dropped, doubled, swapped or replaced letter."""
    at = draw(st.integers(0, len(word) - 1))
    kind = draw(st.sampled_from(["drop", "double", "swap", "replace"]))
    if kind == "drop" and len(word) > 3:
        return word[:at] + word[at + 1 :]
    if kind == "swap" and at + 1 < len(word):
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "replace" and len(word) > 3:
        return word[:at] + draw(st.sampled_from("qxz")) + word[at + 1 :]
    return word[: at + 1] + word[at:]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_typo_names_the_key_and_the_right_one(data: st.DataObject) -> None:
    task, key = data.draw(st.sampled_from(CASES))
    *parents, last = key.split(".")
    wrong = data.draw(typo(last))
    path = [*parents, wrong]
    if ".".join(path) in {k for t, k in CASES if t == task}:
        return
    with pytest.raises(UserError) as caught:
        parse_job(with_key(task, path, 1))
    message = str(caught.value)
    assert "\n" not in message
    assert f"unknown key {'.'.join(path)};" in message
    assert key in message.split(";")[1]


@pytest.mark.parametrize(("task", "key"), CASES)
def test_wrong_kind_of_value_is_named(task: str, key: str) -> None:
    path = key.split(".")
    with pytest.raises(UserError) as caught:
        parse_job(with_key(task, path, [{"no": "key takes this"}]))
    message = str(caught.value)
    assert message.startswith(key)
    assert "expected" in message or "is missing" in message
