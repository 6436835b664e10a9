"""The text classification task, from rows to loss and metrics."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from saccade.models.text.classifier import TextClassifier
from saccade.pipelines.batch import Batch
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.tasks.text_classification import TextClassification
from saccade.pipelines.text.tokenizer import Tokenizer, fit_tokenizer

TEXTS = ["is it red?", "", "where is it", "who was it, and who else and why", "is it"] * 4
CLASS = [0, 1, 2, 0, 0] * 4


@pytest.fixture
def source(tmp_path: Path) -> Source:
    pq.write_table(pa.table({"text": TEXTS, "label": CLASS}), tmp_path / "x.parquet", row_group_size=3)
    return Source.open(str(tmp_path / "x.parquet"), None, [Column("text", "string"), Column("label", "integer")])


@pytest.fixture
def task(source: Source, tmp_path: Path) -> TextClassification:
    tokenizer = Tokenizer.load(fit_tokenizer(source, "text", 60, tmp_path / "tokenizer.json"))
    network = {"classes": 3, "dim": 8, "blocks": 1, "heads": 2, "hidden": 16, "dropout": 0.1, "token_dropout": 0.1}
    return TextClassification(
        text="text",
        label="label",
        labels=("yes-no", "none", "wh"),
        tokenizer=tokenizer,
        max_length=5,
        build=partial(TextClassifier, reach=1, max_length=5, **network),
        dim=8,
        standard_deviation=0.1,
        label_smoothing=0.1,
    )


def engine(task: TextClassification) -> ReferenceEngine:
    return ReferenceEngine(
        task,
        optimizer=NetworkOptimizer("adamw", 1e-2),
        table_optimizers={"tokens": TableOptimizer("adagrad", 0.1)},
        seed=0,
        device=torch.device("cpu"),
    )


def batch(task: TextClassification, source: Source, first: int, last: int, split: str = "train") -> Batch:
    examples = task.encode(source.read(first, last), split)  # type: ignore[arg-type]
    return task.collate(examples, split, torch.Generator())  # type: ignore[arg-type]


def test_a_row_costs_its_tokens_and_none_is_dropped(task: TextClassification, source: Source) -> None:
    examples = task.encode(source.read(0, 5), "train")
    assert examples.rows.tolist() == [0, 1, 2, 3, 4]
    assert examples.lengths.tolist() == [4, 0, 3, 5, 2]
    made = batch(task, source, 0, 5)
    assert (made.targets, made.events) == (5, 14)
    assert made.inputs["label"].tolist() == CLASS[:5]  # type: ignore[union-attr]


def test_predicting_reads_no_label(task: TextClassification, source: Source) -> None:
    assert set(batch(task, source, 0, 5, "predict").inputs) == {"layout"}


def test_an_empty_batch_costs_nothing_and_keeps_the_graph(task: TextClassification, source: Source) -> None:
    empty = batch(task, source, 0, 0)
    assert (empty.targets, empty.events) == (0, 0)
    network = task.network()
    embeddings: Mapping[str, Tensor] = {"tokens": torch.zeros(0, 8, requires_grad=True)}
    output = task.forward(network, embeddings, empty)
    loss = task.loss(output, embeddings, empty)
    loss.backward()
    assert output.shape == (0, 3)
    assert loss.item() == 0.0
    assert all(p.grad is not None and not p.grad.any() for p in network.parameters())
    assert embeddings["tokens"].grad is not None


def test_training_learns_to_tell_the_classes_apart(task: TextClassification, source: Source) -> None:
    trained = engine(task)
    made = batch(task, source, 0, 20)
    for _ in range(30):
        trained.step([made], 20, 1.0)
    evaluation = task.evaluation("valid", Collective(), trained.shards)
    for first, last in ((0, 7), (7, 7), (7, 20)):
        held = batch(task, source, first, last, "valid")
        evaluation.update(trained.evaluate([held])[0], held)
    assert evaluation.result()["accuracy"] == 1.0
    assert set(evaluation.result()) == {"accuracy", "macro_f1", "loss"}
    report = evaluation.report()
    assert report["report"]["wh"]["support"] == 4
    assert report["label_names"] == ["yes-no", "none", "wh"]
    unlabelled = batch(task, source, 1, 4, "predict")
    predicted = task.predict(trained.evaluate([unlabelled])[0], unlabelled, trained.shards, top_k=2)
    assert predicted["labels"][:, 0].tolist() == CLASS[1:4]
    assert predicted["scores"].shape == (3, 2)
    assert (predicted["scores"][:, 0] > predicted["scores"][:, 1]).all()
