"""A source imported, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from saccade.pipelines.importing.formats import FORMATS
from saccade.pipelines.importing.run import Settings, run_import


@dataclass(frozen=True)
class Imported:
    folder: Path
    about: dict[str, Any]

    def rows(self, split: str = "train") -> list[dict[str, Any]]:
        folder = self.folder / split
        return pq.read_table(folder).to_pylist() if folder.is_dir() else []

    @property
    def splits(self) -> dict[str, int]:
        return {split: facts["rows"] for split, facts in self.about["splits"].items()}

    @property
    def rejects(self) -> list[dict[str, Any]]:
        path = self.folder / "rejects.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def reasons(self) -> dict[str, str]:
        return {Path(reject["file"]).name: reject["reason"] for reject in self.rejects}

    @property
    def labels(self) -> list[str]:
        """Of the schema file; the Parquet files have the same."""
        names: list[str] = self.about["label_names"]
        for file in self.folder.rglob("*.parquet"):
            assert json.loads(pq.read_schema(file).metadata[b"label_names"]) == names
        return names


def import_(form_name: str, source: Path, folder: Path, /, *, strict: bool = False, **options: Any) -> Imported:
    form = FORMATS[form_name]
    about = run_import(form_name, form, source, folder, form.options(**options), Settings(strict=strict))
    return Imported(folder, about)
