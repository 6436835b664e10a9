"""docs/importing-media.md: its sources are made and imported in its order, and it names every format and option."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from saccade.cluster.cli.data_import import imports
from saccade.cluster.cli.main import run
from saccade.pipelines.importing.formats import FORMATS
from saccade.pipelines.importing.parts import Division

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "importing-media.md").read_text(encoding="utf-8")
STEP = re.compile(r"^```python\n(.*?)^```|^    saccade (data import [a-z].*?)$", flags=re.DOTALL | re.MULTILINE)
OWN = {name for name, form in FORMATS.items() if issubclass(form.options, Division)}


def test_the_commands_import_what_the_examples_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"Path": Path}
    imported = set()
    for code, command in STEP.findall(TEXT):
        if code:
            exec(compile(code, "importing-media.md", "exec"), names)
        else:
            words = shlex.split(command)
            assert run([*words, "--strict"]) == 0, command
            imported.add(words[2])
    assert imported == OWN


def test_every_format_has_its_section() -> None:
    assert set(re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE)) == OWN


def test_options_are_those_of_the_commands() -> None:
    parameters = [parameter for name in OWN for parameter in imports.entries[name].params]
    known = {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", TEXT)) <= known


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (DOCS / target).exists(), target
