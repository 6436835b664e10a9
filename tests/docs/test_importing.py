"""docs/importing.md: its files are imported by its commands, and its tables name what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from saccade.cluster.cli.data_import import imports
from saccade.cluster.cli.main import run
from saccade.pipelines.importing.formats import FORMATS

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "importing.md").read_text(encoding="utf-8")
SAMPLE = re.compile(r"^`([^`]+)`:\n\n```\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^    saccade (data import [a-z].*)$", flags=re.MULTILINE)


def test_the_commands_import_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in SAMPLE.findall(TEXT):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    line = "1\t" + "\t".join(str(number) for number in range(13)) + "\t" + "\t".join(["68fd1e64"] * 26) + "\n"
    (tmp_path / "train.txt").write_text(line * 50)
    commands = COMMAND.findall(TEXT)
    assert len(commands) > 7
    for command in commands:
        assert run([*shlex.split(command), "--strict"]) == 0, command


def test_every_format_of_interactions_has_its_section() -> None:
    own = {name for name, form in FORMATS.items() if "history" in form.columns} | {"criteo"}
    named = {name for title in re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE) for name in title.split(", ")}
    assert named == own


def test_options_are_those_of_the_command() -> None:
    parameters = [parameter for command in imports.entries.values() for parameter in command.params]
    known = {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", TEXT)) - {"--help"} <= known


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (DOCS / target).exists(), target
