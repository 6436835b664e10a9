"""Reading job files: minimal ones, overrides, YAML's corners, and what is refused."""

from pathlib import Path

import pytest

from saccade.cluster.job import (
    NextItemJob,
    SpeechClassificationJob,
    TextClassificationJob,
    job_to_yaml,
    load_job,
    resume_differences,
)
from saccade.cluster.job.model import PluginModel
from saccade.pipelines.errors import UserError

MINIMAL = "task: next_item\ndata: {path: histories}\n"


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text(MINIMAL)
    return path


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_job(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_minimal_job_is_named_after_its_file(job_file: Path) -> None:
    job = load_job(job_file)
    assert isinstance(job, NextItemJob)
    assert job.run.name == "demo"
    assert job.run.folder == Path("runs/demo")
    assert job.data.history == "history"
    assert job.loss.name == "sampled_softmax"


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("next_item", NextItemJob),
        ("text_classification", TextClassificationJob),
        ("speech_classification", SpeechClassificationJob),
    ],
)
def test_task_chooses_the_sections(job_file: Path, task: str, kind: type) -> None:
    assert type(load_job(job_file, [f"task={task}"])) is kind


def test_overrides_are_yaml_and_make_sections(job_file: Path) -> None:
    job = load_job(
        job_file,
        [
            "optimizer.learning_rate=1e-3",
            "evaluate.ks=[5, 10, 20]",
            "tables.items.optimizer.name=rowwise_adagrad",
            "tables.items.rows=3_000",
            "loss={name: gbce, calibration: 1}",
            "evaluate.at_end=false",
            "evaluate.patience=3",
            "evaluate.patience=null",
            "run.name='2024'",
            "data.path=s3://bucket/a=b",
            "wandb.tags=[a, off, 007, 2026-01-01]",
        ],
    )
    assert isinstance(job, NextItemJob)
    assert job.optimizer.learning_rate == 1e-3
    assert job.evaluate.ks == (5, 10, 20)
    assert job.tables.items.optimizer.name == "rowwise_adagrad"
    assert job.tables.items.rows == 3000
    assert job.loss.name == "gbce"
    assert job.loss.calibration == 1.0
    assert job.evaluate.at_end is False
    assert job.evaluate.patience is None
    assert job.run.name == "2024"
    assert job.data.path == "s3://bucket/a=b"
    assert job.wandb.tags == ("a", "off", "007", "2026-01-01")


def test_parts_are_names_or_sections(job_file: Path, tmp_path: Path) -> None:
    job = load_job(
        job_file,
        [
            "plugins=[mine, folder.other]",
            "model.attention.normalizer={name: softmax, temperature: 2}",
            "model.attention.masks=[causal, {name: window, before: 3}]",
            "model.block=hstu",
        ],
    )
    assert job.plugins == ("mine", "folder.other")
    attention = job.model.attention
    assert (attention.normalizer.name, attention.normalizer.options) == ("softmax", {"temperature": 2})
    assert [(part.name, part.options) for part in attention.masks] == [("causal", {}), ("window", {"before": 3})]
    assert (job.model.block.name, attention.score.name) == ("hstu", "scaled_dot")
    assert load_job(job_file, ["model.block={name: hstu}"]) == load_job(job_file, ["model.block=hstu"])
    shown = job_to_yaml(job)
    assert "  block: hstu\n" in shown
    assert "    masks: [causal, {name: window, before: 3}]\n" in shown
    (tmp_path / "again.yaml").write_text(shown)
    assert load_job(tmp_path / "again.yaml") == job


def test_a_plugins_model_has_the_usual_keys_and_options(job_file: Path) -> None:
    model = load_job(job_file, ["model={name: gru, dim: 32, options: {layers: 2}}"]).model
    assert isinstance(model, PluginModel)
    assert (model.name, model.dim, model.options) == ("gru", 32, {"layers": 2})
    assert model.attention.positions == ()


def test_an_empty_section_has_its_defaults(job_file: Path) -> None:
    job_file.write_text(MINIMAL + "train:\nrun:\n")
    assert load_job(job_file).train.epochs == 10
    assert load_job(job_file).run.name == "demo"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epochs", "write key.path=value"),
        ("=3", "write key.path=value"),
        ("train..epochs=3", "write key.path=value"),
        ("data.path=[a", "not valid YAML"),
        ("data.path.x=1", "data.path is 'histories', not a section"),
        ("train.epochs=five", "train.epochs='five': expected a whole number"),
        ("train.epochs=1.5", "train.epochs=1.5: expected a whole number"),
        ("train.epochs=0", "train.epochs=0: expected a number >= 1"),
        ("train.epochs=true", "train.epochs=true: expected a whole number"),
        ("evaluate.at_end=1", "evaluate.at_end=1: expected true or false"),
        ("optimizer.learning_rate=.nan", "expected a finite number"),
        ("optimizer.betas=[0.9, 1.5]", "optimizer.betas.1=1.5: expected a number < 1"),
        ("run.name=2024", "run.name=2024: expected text: put it in quotes"),
        ("run.name=../up", "run.name='../up': expected text of the form"),
        ("tables.items.rows=0", "tables.items.rows=0: expected auto or a number >= 1"),
        ("tables.items.rows=many", "expected auto or a whole number"),
        ("train.precision=fp61", "expected fp32, bf16 or fp16; did you mean fp16?"),
        ("train=5", "train=5: expected a section"),
        ("data.path=", "data.path=null: expected text"),
        ("data={}", "data.path is missing"),
        ("task=next_itm", "did you mean next_item?"),
        ("task=", "task is missing"),
        ("loss.name=cross_entropy", "loss.name='cross_entropy' doesn't fit task=next_item: expected one of sampled"),
        ("model.name=text_encoder", "model.name='text_encoder' doesn't fit task=next_item: expected one of sas"),
        ("model.name=5", "model.name=5 doesn't fit task=next_item: expected a name"),
        ("model={name: gru, reech: 2}", "unknown key model.reech; model with name=gru, a plug-in's, takes name, dim"),
        (
            "model={name: sasrek, reech: 2}",
            "unknown key model.reech of a plug-in's model; did you mean model.name=sasr",
        ),
        ("model.positions=learned", "unknown key model.positions; did you mean model.attention.positions?"),
        ("model.attention.score=5", "model.attention.score=5: expected a name, or a section with a name and options"),
        ("model.attention.score={hidden: 5}", 'model.attention.score={"hidden": 5}: expected a name, or a section'),
        ("model.attention.masks=causal", "model.attention.masks='causal': expected a list"),
        ("model.attention.masks=[causal, 5]", "model.attention.masks.1=5: expected a name, or a section"),
        ("model.attention.backend=flx", "expected auto, varlen, flex, grouped or reference; did you mean flex?"),
        ("model.attention.key_heads=3", "model.attention.key_heads=3 can't serve model.heads=2: choose a divisor of 2"),
        ("model.block=", "model.block=null: expected a name, or a section with a name and options"),
        ("plugins=mine", "plugins='mine': expected a list"),
        ("plugins=[folder/mine.py]", "plugins.0='folder/mine.py': expected a module's name as in `import folder."),
        ("plugins=[mine.py]", "plugins.0='mine.py': expected a module's name as in"),
        ("loss.name=5", "loss.name=5 doesn't fit"),
        ("loss=5", "loss=5: expected a section"),
        ("loss.calibration=1", "unknown key loss.calibration; loss with name=sampled_softmax takes"),
        ("run.workers=[4, 2]", "run.workers=[4, 2]: write the least number first, as in [2, 4]"),
        ("run.workers=[0, 2]", "run.workers.0=0: expected a number >= 1"),
        ("run.workers=[1, 2, 3]", "run.workers=[1, 2, 3]: expected a whole number or a list of at most 2"),
        ("run.workers=many", "run.workers='many': expected a whole number or a list"),
        ("model.heads=3", "model.dim=64 can't be split into model.heads=3"),
        ("evaluate.ks=[5]", "evaluate.select=valid/ndcg@10 isn't measured with evaluate.ks=[5]"),
        ("data.path=${HOME}/x", "job files take no environment variables"),
        ("wandb.tags=['${USER}']", "wandb.tags.0='${USER}'"),
        ("epochs=3", "unknown key epochs; did you mean train.epochs?"),
    ],
)
def test_wrong_override(job_file: Path, override: str, says: str) -> None:
    message = error_of(job_file, override)
    assert says in message
    assert message.startswith(str(job_file))


def test_workers_need_not_divide_the_micro_batches(job_file: Path) -> None:
    assert load_job(job_file, ["run.workers=3"]).run.workers == 3


def test_elastic_workers_survive_the_resolved_file(job_file: Path, tmp_path: Path) -> None:
    job = load_job(job_file, ["run.workers=[1, 4]", "run.start_from=runs/other"])
    assert job.run.workers == (1, 4)
    resolved = job.resolved(tmp_path)
    assert resolved.run.start_from == str(tmp_path / "runs" / "other")
    (tmp_path / "job.yaml").write_text(job_to_yaml(resolved))
    assert load_job(tmp_path / "job.yaml") == resolved
    assert "  workers: [1, 4]\n" in job_to_yaml(resolved)
    assert resume_differences(load_job(job_file, ["run.workers=2"]).resolved(tmp_path), resolved) == []


def test_many_mistakes_stay_one_line(job_file: Path) -> None:
    message = error_of(job_file, "train.epoch=1", "run.worker=1", "wandb.projekt=a", "data.pfad=b")
    assert "train.epochs" in message
    assert message.endswith("and 1 more")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "found empty"),
        ("- a\n", "found a list"),
        ("task: next_item\ntask: next_item\n", "line 2: the key task is there twice (first in line 1)"),
        ("task: next_item\ndata: {path: a, path: b}\n", "line 2: the key path is there twice"),
        ("task: [\n", "not valid YAML"),
        ("\ttask: next_item\n", "not valid YAML"),
        ("1: 2\n", "line 1: the key '1' isn't text"),
        ("? [a]\n: b\n", "line 1: the key"),
        ("task: !!python/name:os.system\n", "not valid YAML"),
        ("a: &x [1]\nb: *x\n", "line 2: *x: write the value out"),
        ("task: next_item\ndata: {path: !!timestamp 2026-01-01}\nx: !!binary aGk=\n", "unknown key x"),
        ("task: next_item\ndata: {path: \x01}\n", "not valid YAML"),
    ],
)
def test_wrong_file(job_file: Path, text: str, says: str) -> None:
    job_file.write_text(text)
    assert says in error_of(job_file)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.yaml") == f"job file {tmp_path / 'none.yaml'} doesn't exist"
    assert "can't be read: Is a directory" in error_of(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"task: \xff\xfe")
    assert "not UTF-8 text" in error_of(tmp_path / "latin.yaml")


def test_resolved_makes_local_paths_absolute(job_file: Path, tmp_path: Path) -> None:
    job = load_job(job_file, ["data.path=data/*.parquet"]).resolved(tmp_path)
    assert job.data.path == str(tmp_path / "data/*.parquet")
    assert job.run.storage == str(tmp_path / "runs")
    address = load_job(job_file, ["data.path=s3://bucket/x", "run.storage=/mnt/runs"]).resolved(tmp_path)
    assert address.data.path == "s3://bucket/x"
    assert address.run.storage == "/mnt/runs"
