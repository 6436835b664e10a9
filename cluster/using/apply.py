"""``saccade predict`` and ``saccade recommend``: a request answered in this process, into one file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from saccade.cluster.using.request import Request
from saccade.cluster.writing import writing
from saccade.pipelines.errors import UserError
from saccade.pipelines.inference.file import write_file


def answer(request: Request, output: Path) -> dict[str, Any]:
    """Write the answers for every row to one Parquet file, in the rows' order, while they are computed.

    Args:
        request: what is asked.
        output: the file to write; its folder must exist.

    Returns:
        ``run``, ``output``, ``rows``, ``seconds`` and ``rows_per_second``.

    Raises:
        UserError: anything that the user can mend.
    """
    if not output.parent.is_dir():
        raise UserError(f"--output {output}: the folder {output.parent} doesn't exist")
    asked = request.application(request.open())
    began = time.monotonic()
    with writing(output), tqdm(total=asked.source.rows, unit=" rows", disable=None) as bar:
        count = write_file(output, asked.batches(0, asked.windows, bar.update))
    seconds = time.monotonic() - began
    return {
        "run": request.model,
        "output": str(output),
        "rows": count,
        "seconds": round(seconds, 3),
        "rows_per_second": round(count / seconds, 1),
    }
