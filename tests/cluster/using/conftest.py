"""One small run whose items are films by name, and a table of the films, for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from saccade.cluster.cli.main import run

JOB = """\
task: next_item
data:
  path: DATA
  max_length: 12
  window: 64
  transforms:
    - {name: lookup, column: films, to: history}
model: {dim: 16, blocks: 2, heads: 2, hidden: 32, dropout: 0.1, attention: {positions: [{name: rotary}]}}
loss: {name: sampled_softmax, negatives: 32}
train: {epochs: 2, micro_batches: 2, tokens: 256}
evaluate: {tokens: 200}
engine: {name: reference, device: cpu}
run: {name: films, storage: STORAGE}
"""


@dataclass(frozen=True)
class Films:
    """Where things are, and what is in them."""

    data: Path
    run: Path
    table: Path
    exported: Path
    histories: list[list[str]]
    genres: dict[str, list[str]]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    """Trained once."""
    folder = tmp_path_factory.mktemp("films")
    made, data = folder / "made", folder / "data"
    assert run(["data", "synthesize", str(made), "--users", "300", "--items", "40", "--clusters", "4"]) == 0
    rows = pq.read_table(sorted(made.rglob("*.parquet")))
    flat = pc.binary_join_element_wise("film", pc.cast(rows["history"].combine_chunks().flatten(), pa.string()), " ")
    offsets = rows["history"].combine_chunks().offsets
    named = pa.table(
        {
            "user_id": pa.array([f"user {n}" for n in range(len(rows))]),
            "films": pa.ListArray.from_arrays(offsets, flat),
        }
    )
    data.mkdir()
    for number, first in enumerate(range(0, len(named), 110)):
        pq.write_table(named.slice(first, 110), data / f"part-{number}.parquet", row_group_size=50)
    job = folder / "films.yaml"
    job.write_text(JOB.replace("DATA", str(data)).replace("STORAGE", str(folder)))
    assert run(["train", str(job)]) == 0
    torch.set_num_threads(1)
    genres = {f"film {n}": ["even" if n % 2 == 0 else "odd"] + ["low"] * (n < 10) for n in range(1, 60)}
    pq.write_table(
        pa.table({"item_id": list(genres), "genres": list(genres.values()), "year": [1900 + n for n in range(1, 60)]}),
        folder / "items.parquet",
    )
    exported = folder / "exported"
    assert run(["checkpoint", "export", str(folder / "films"), str(exported)]) == 0
    return Films(data, folder / "films", folder / "items.parquet", exported, named["films"].to_pylist(), genres)
