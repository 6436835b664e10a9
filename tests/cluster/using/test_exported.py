"""An export, loaded where nothing but torch can be imported, answers as the run does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.cluster.using.conftest import Films

import saccade
from saccade.models.exported import load_exported

ALONE = """\
import json, sys
from importlib.abc import MetaPathFinder

ABSENT = {"numpy", "pyarrow", "pydantic", "ray", "deepspeed", "torchrec", "fbgemm_gpu", "safetensors", "wandb", "yaml"}


class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
import warnings; warnings.simplefilter("ignore")
from saccade.models.exported import load_exported

model = load_exported(sys.argv[1])
histories = json.load(open(sys.argv[2]))
items, scores = model.recommend(histories, 6)
some, _ = model.recommend(histories, 6, exclude_seen=False, allowed=["film 1", "film 2"])
print(json.dumps([items, scores, model.embed(histories).tolist(), some]))
"""


def test_torch_alone_answers_as_the_run(films: Films, tmp_path: Path) -> None:
    histories = [*films.histories[:100], ["film 999"], []]
    (tmp_path / "histories.json").write_text(json.dumps(histories))
    done = subprocess.run(
        [sys.executable, "-c", ALONE, films.exported, tmp_path / "histories.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    items, scores, embedded, some = json.loads(done.stdout)
    model = saccade.load(films.run)
    expected = model.recommend(histories, 6)
    assert items[-1] == expected.items[-1] == []
    for mine, theirs in zip(scores, expected.scores, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    assert sum(mine == theirs for mine, theirs in zip(items, expected.items, strict=True)) >= len(histories) - 2
    torch.testing.assert_close(torch.tensor(embedded)[:-1], model.embed(histories)[:-1], rtol=0, atol=1e-5)
    assert {tuple(sorted(each)) for each in some[:-1]} == {("film 1", "film 2")}


def test_a_file_from_elsewhere_runs_no_code_of_its_own(films: Films, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    shutil.copytree(films.exported, folder)
    description = json.loads((folder / "model.json").read_text())
    for change in ({"network": {"class": "subprocess.Popen", "arguments": {}}}, {"plugins": ["antigravity"]}):
        (folder / "model.json").write_text(json.dumps(description | change))
        with pytest.raises(ValueError, match=r"pass plugins=\['(subprocess|antigravity)'\] if you trust it"):
            load_exported(folder)
    assert "antigravity" not in sys.modules


def test_what_is_missing_is_named(films: Films, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model.json can't be read \(No such file"):
        load_exported(tmp_path)
    shutil.copyfile(films.exported / "model.json", tmp_path / "model.json")
    with pytest.raises(ValueError, match=r"model.safetensors can't be read"):
        load_exported(tmp_path)
