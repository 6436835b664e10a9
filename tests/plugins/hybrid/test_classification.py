"""Both classifiers on the hybrid engine and on the plain-torch reference: the same weights."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from saccade.pipelines.checkpoint.reader import CheckpointReader
from saccade.pipelines.parquet.schema import Column
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.text.tokenizer import fit_tokenizer

pytest.importorskip("deepspeed")
pytest.importorskip("torchrec")

SCRIPT = Path(__file__).with_name("classify_as_rank.py")
ROWS = 45


def write_text(folder: Path) -> None:
    words = ["red", "green", "blue", "ochre", "teal", "amber"]
    texts = [" ".join(words[i] for i in torch.randint(0, 6, (int(n),))) for n in torch.randint(0, 16, (ROWS,))]
    table = pa.table({"text": texts, "label": torch.randint(0, 3, (ROWS,)).tolist()})
    pq.write_table(table, folder / "data.parquet", row_group_size=20)
    source = Source.open(str(folder / "data.parquet"), None, [Column("text", "string")])
    fit_tokenizer(source, "text", 40, folder / "tokenizer.json")


def write_speech(folder: Path) -> None:
    audio = [(torch.randn(int(n)) * 0.1).tolist() for n in torch.randint(0, 2200, (ROWS,))]
    labels = torch.randint(0, 3, (ROWS,)).tolist()
    table = pa.table({"audio": pa.array(audio, pa.list_(pa.float32())), "label": labels})
    pq.write_table(table, folder / "data.parquet", row_group_size=20)


def train(kind: str, folder: Path, name: str, engine: str, zero_stage: int, workers: int) -> CheckpointReader:
    command = [sys.executable, str(SCRIPT), kind, str(folder), str(folder / name), engine, str(zero_stage)]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(workers)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for rank in range(workers)
    ]
    outputs = [process.communicate(timeout=280)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0] * workers, "\n".join(outputs)[-4000:]
    return CheckpointReader(next((folder / name).glob("step-*")))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "zero_stage"), [("text", 2), ("speech", 3)])
def test_two_ranks_end_with_the_weights_of_one_process(tmp_path: Path, kind: str, zero_stage: int) -> None:
    torch.manual_seed(0)
    write_text(tmp_path) if kind == "text" else write_speech(tmp_path)
    reference = train(kind, tmp_path, "reference", "reference", 0, 1)
    hybrid = train(kind, tmp_path, "hybrid", "hybrid", zero_stage, 2)
    assert list(hybrid.manifest.tables) == list(reference.manifest.tables) == (["tokens"] if kind == "text" else [])
    names = {name for name in reference.network if name.startswith("weight/")}
    assert names == {name for name in hybrid.network if name.startswith("weight/")}
    for name in names:
        torch.testing.assert_close(hybrid.network[name], reference.network[name], atol=1e-5, rtol=0)
    for table in reference.manifest.tables:
        torch.testing.assert_close(hybrid.table(table, "weight"), reference.table(table, "weight"), atol=1e-5, rtol=0)
