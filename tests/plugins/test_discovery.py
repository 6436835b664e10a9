"""Other people's parts: installed packages, modules of the working directory, and what can be wrong with them."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from saccade.models.registry import entry
from saccade.pipelines.errors import UserError
from saccade.plugins.discovery import load_module

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "saccade-laplace"
PROGRAM = Path(sys.executable).with_name("saccade")
JOB = """\
task: next_item
data: {path: nowhere, max_length: 20}
model:
  dim: 16
  blocks: 1
  heads: 2
  hidden: 32
  attention: {score: laplace, normalizer: {name: softmax_or_none, none: -1}}
train: {epochs: 1, micro_batches: 2, tokens: 512}
engine: {name: reference, device: cpu}
wandb: {mode: disabled}
"""


def install(target: Path, source: Path) -> None:
    """What pip makes of a package, without looking for anything elsewhere."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    copy = shutil.copytree(source, target.with_name(f"{target.name}-{source.name}"))  # the build leaves files there
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(copy)]
    subprocess.run(command, check=True)


def package(folder: Path, name: str, modules: dict[str, str], points: dict[str, str]) -> Path:
    """The source of a package with these modules (name -> text) and entry points (name -> value)."""
    folder.mkdir()
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    lines = "\n".join(f'{point} = "{value}"' for point, value in points.items())
    project = (EXAMPLE / "pyproject.toml").read_text().replace("saccade-laplace", name)
    project = project.replace('laplace = "saccade_laplace"', lines)
    (folder / "pyproject.toml").write_text(project.replace('["saccade_laplace"]', json.dumps(list(modules))))
    return folder


def saccade(*arguments: object, installed: Path | None = None, cwd: Path | None = None) -> tuple[int, str, str]:
    """Run the program as it is installed; code, stdout and stderr."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PYTHONPATH")}
    environment |= {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(installed)} if installed else {})
    command = [PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=280, check=False)
    return done.returncode, done.stdout, done.stderr


def listed(installed: Path, *options: object, cwd: Path | None = None) -> dict[str, Any]:
    code, out, err = saccade("plugins", "list", "--json", *options, installed=installed, cwd=cwd)
    assert code == 0, err
    return dict(json.loads(out.splitlines()[-1]))


@pytest.fixture(scope="module")
def laplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package of the documentation is installed in."""
    folder = tmp_path_factory.mktemp("installed")
    install(folder, EXAMPLE)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with some histories, and a job that needs the package."""
    folder = tmp_path_factory.mktemp("work")
    code, _, err = saccade("data", "synthesize", folder / "data", "--users", 80, "--items", 40)
    assert code == 0, err
    (folder / "job.yaml").write_text(JOB.replace("nowhere", "data"))
    return folder


def test_a_part_takes_at_most_15_lines() -> None:
    tree = ast.parse((EXAMPLE / "saccade_laplace.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len(classes) == 2
    for node in classes:
        assert node.end_lineno is not None
        assert node.end_lineno - node.decorator_list[0].lineno < 15


def test_list_shows_installed_parts(laplace: Path) -> None:
    found = listed(laplace)
    assert found["broken"] == []
    parts = {(part["kind"], part["name"]): part for part in found["plugins"]}
    assert parts["score", "laplace"] == {
        "kind": "score",
        "name": "laplace",
        "package": "saccade-laplace",
        "version": "0.1.0",
        "class": "saccade_laplace.Laplace",
        "signature": "",
        "options": [],
        "description": "-|q - k|₁ / D: the nearer, the better.",
    }
    assert parts["normalizer", "softmax_or_none"]["signature"] == "none: float = 0.0"
    assert parts["score", "cosine"]["package"] == "saccade"
    # What the layer supplies is no option.
    assert [option["name"] for option in parts["score", "additive"]["options"]] == ["hidden"]

    code, out, _ = saccade("plugins", "list", installed=laplace)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "scores"
    assert any(line.split()[:3] == ["softmax_or_none", "saccade-laplace", "0.1.0"] for line in lines)
    assert "options: none: float = 0.0" in out


@pytest.mark.slow
def test_train_and_use_a_run_with_an_installed_part(laplace: Path, folder: Path, tmp_path: Path) -> None:
    code, out, err = saccade("train", "job.yaml", "--json", installed=laplace, cwd=folder)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["steps"] == 2
    run = folder / "runs" / "job"
    assert "laplace" in (run / "job.yaml").read_text()
    assert json.loads((run / "run.json").read_text())["plugins"] == {"saccade-laplace": "0.1.0"}
    code, out, err = saccade("evaluate", run, "--json", installed=laplace)
    assert code == 0, err
    code, _, err = saccade("checkpoint", "export", run, tmp_path / "exported", installed=laplace)
    assert code == 0, err
    assert json.loads((tmp_path / "exported" / "model.json").read_text())["plugins"] == ["saccade_laplace"]

    for command in (["evaluate", run], ["predict", run, "--data", folder / "data", "--output", tmp_path / "x.parquet"]):
        code, out, err = saccade(*command)  # the package is gone
        assert (code, out) == (2, "")
        assert err.startswith("error: model.attention.score: no score 'laplace': choose one of additive, ")
        assert err.count("\n") == 1


def test_an_unknown_part_suggests_a_plugins_name(laplace: Path, folder: Path) -> None:
    code, _, err = saccade("job", "show", "job.yaml", "model.attention.score=laplac", installed=laplace, cwd=folder)
    assert code == 2
    assert err.endswith("did you mean laplace?\n")


CLASH = """\
from saccade.models.attention.scores.dot import Dot
from saccade.models.registry import register

register("score", "mine_before_the_clash")(type("Mine", (Dot,), {}))

@register("score", "dot")
class Clashing(Dot):
    pass
"""
BROKEN = {
    "absent": ("import missing_of_broken\n", "", "ModuleNotFoundError: No module named 'missing_of_broken' ({file}:1)"),
    "clash": (
        CLASH,
        "",
        "the score 'dot' of broken_clash (broken_clash.Clashing) has a name that saccade uses already",
    ),
    "exits": ("import sys; sys.exit(3)\n", "", "SystemExit: 3 ({file}:1)"),
    "no_attribute": ("", ":begin", "AttributeError: module 'broken_no_attribute' has no attribute 'begin'"),
    "no_function": ("begin = 3\n", ":begin", "TypeError: 'int' object is not callable"),
    "raises": ("x = 1\nx / 0\n", "", "ZeroDivisionError: division by zero ({file}:2)"),
    "syntax": ("def f(:\n", "", "SyntaxError: invalid syntax ({file}:1)"),
}
"""Entry point -> its module's text, what its value has after the module, and the reason that is told."""


def test_broken_packages_are_named(laplace: Path, folder: Path, tmp_path: Path) -> None:
    target = Path(shutil.copytree(laplace, tmp_path / "installed"))
    modules = {f"broken_{name}": text for name, (text, _, _) in BROKEN.items()}
    points = {name: f"broken_{name}{rest}" for name, (_, rest, _) in BROKEN.items()}
    install(target, package(tmp_path / "source", "broken-plugin", modules, points))
    found = listed(target)
    assert [broken["name"] for broken in found["broken"]] == list(BROKEN)
    for broken in found["broken"]:
        assert (broken["package"], broken["version"]) == ("broken-plugin", "0.1.0")
        file = target / f"broken_{broken['name']}.py"
        assert broken["reason"].startswith(BROKEN[broken["name"]][2].format(file=file))
    names = [part["name"] for part in found["plugins"]]
    assert "laplace" in names
    assert "mine_before_the_clash" not in names

    code, out, err = saccade("train", "job.yaml", "run.name=never", installed=target, cwd=folder)
    assert (code, out) == (2, "")
    first = found["broken"][0]["reason"]
    assert err == (
        f"error: the installed plug-in broken-plugin 0.1.0 can't be loaded: {first}: mend it, or remove it with "
        "`pip uninstall broken-plugin`\n"
    )
    assert not (folder / "runs" / "never").exists()
    code, out, _ = saccade("doctor", installed=target)
    assert code == 1
    assert "problem: the plug-in broken-plugin 0.1.0 can't be loaded: SystemExit: 3" in out


def test_a_function_of_an_installed_package_registers(laplace: Path, tmp_path: Path) -> None:
    text = CLASH.replace("\n@register", "\ndef begin():\n  @register").replace('"dot"', '"dot_again"')
    text = text.replace("class Clashing(Dot):\n    pass", "  class Later(Dot):\n    pass")
    target = tmp_path / "installed"
    source = package(tmp_path / "source", "later-plugin", {"later": text}, {"later": "later:begin"})
    install(target, source)
    found = listed(target)
    assert found["broken"] == []
    assert {part["name"] for part in found["plugins"]} > {"dot_again", "mine_before_the_clash"}


MODULE = """\
from saccade.models.attention.scores.dot import Dot
from saccade.models.registry import register

@register("score", "NAME")
class Own(Dot):
    '''Our own.'''

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
"""


def test_list_with_a_jobs_modules(laplace: Path, folder: Path) -> None:
    (folder / "own_score.py").write_text(MODULE.replace("NAME", "own"))
    (folder / "own.yaml").write_text(f"plugins: [own_score]\n{JOB}")
    found = listed(laplace, "--job", "own.yaml", cwd=folder)
    (own,) = [part for part in found["plugins"] if part["name"] == "own"]
    assert (own["package"], own["version"], own["description"]) == ("own_score", None, "Our own.")
    assert own["signature"] == "strength: float = 1.0"


def test_a_module_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other" / "package_in_folder").mkdir(parents=True)
    (tmp_path / "other" / "package_in_folder" / "__init__.py").write_text("")
    (tmp_path / "other" / "package_in_folder" / "score.py").write_text(MODULE.replace("NAME", "in_folder"))
    load_module("package_in_folder.score", [tmp_path / "empty", tmp_path / "other"])
    assert entry("score", "in_folder").package == "package_in_folder"
    load_module("package_in_folder.score", [tmp_path / "other"])  # once is enough


def error_of(name: str, *directories: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_module(name, directories)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_modules_that_are_missing(tmp_path: Path) -> None:
    assert error_of("nowhere_to_be_found", tmp_path, tmp_path / "other") == (
        f"plugins: there is no module nowhere_to_be_found in {tmp_path}, {tmp_path / 'other'}, nor is one installed"
    )
    (tmp_path / "nearly_there.py").write_text("")
    assert error_of("nearly_their", tmp_path).endswith("; did you mean nearly_there?")
    assert "there is no module nearly_there.inside in" in error_of("nearly_there.inside", tmp_path)
    (tmp_path / "just_a_folder").mkdir()
    assert error_of("just_a_folder", tmp_path).endswith("without an __init__.py: there is no module in it")
    (tmp_path / "with_modules").mkdir()
    (tmp_path / "with_modules" / "score.py").write_text("")
    assert error_of("with_modules", tmp_path).endswith("name one of its modules (with_modules.score)")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("raises_something", "\nraise ValueError('two\\nlines')\n", "ValueError: two ({file}:2)"),
        ("lacks_another", "import not_there_at_all\n", "No module named 'not_there_at_all' ({file}:1)"),
        ("is_no_python", "class\n", "SyntaxError: invalid syntax ({file}:1)"),
        ("ends_everything", "raise SystemExit\n", "SystemExit ({file}:1)"),
        ("takes_a_name", MODULE.replace("NAME", "cosine"), "has a name that saccade uses already (saccade.models."),
        ("of_no_kind", MODULE.replace('register("score", ', "register("), "register() missing 1 required"),
    ],
)
def test_modules_that_fail(name: str, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text(text)
    message = error_of(name, tmp_path)
    assert message.startswith(f"plugins: {name} can't be imported: ")
    assert says.format(file=tmp_path / f"{name}.py") in message


def test_a_module_that_an_installed_one_hides_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text(MODULE.replace("NAME", "hidden"))
    message = error_of("colorsys", tmp_path)
    assert message.startswith(f"plugins: colorsys of {tmp_path} is hidden by ")
    assert message.endswith("rename it")
