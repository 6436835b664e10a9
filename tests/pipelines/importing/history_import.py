"""Interactions imported, and the histories that came of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from saccade.pipelines.importing.formats import FORMATS
from saccade.pipelines.importing.run import Settings, run_import
from saccade.pipelines.vocabulary import Vocabulary


@dataclass(frozen=True)
class Imported:
    folder: Path
    about: dict[str, Any]

    def rows(self, split: str = "train") -> list[dict[str, Any]]:
        return list(pq.read_table(self.folder / split).to_pylist())

    @property
    def statistics(self) -> dict[str, Any]:
        return dict(self.about["statistics"])

    @property
    def rejects(self) -> list[dict[str, Any]]:
        file = self.folder / "rejects.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def histories(self) -> dict[Any, list[Any]]:
        """User -> items, by their names in the source."""
        users, items = (Vocabulary.load(self.folder / f"{name}.parquet").values for name in ("users", "items"))
        return {
            users[row["user_id"] - 1].as_py(): [items[item - 1].as_py() for item in row["history"]]
            for row in self.rows()
        }


def import_file(form: str, source: Path, folder: Path, settings: Settings | None = None, **options: Any) -> Imported:
    about = run_import(form, FORMATS[form], source, folder, FORMATS[form].options(**options), settings or Settings())
    assert about == json.loads((folder / "schema.json").read_text())
    return Imported(folder, about)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
