"""Reading safetensors files with torch alone: the format is a JSON header and the tensors' bytes one after the other.

The file is mapped, not read: opening takes no time and no memory, and only what is used is ever loaded.
"""

from __future__ import annotations

import json
import os
from math import prod
from pathlib import Path

import torch
from torch import Tensor

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_LENGTH = 8
"""Bytes of the header's length, a little-endian integer, before the header."""


def load_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. They may be written to, which doesn't change the file.

    Raises:
        ValueError: the file is missing, cut off or no safetensors file.
    """
    try:
        size = os.path.getsize(path)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH), "little")
            header = json.loads(file.read(length)) if 0 < length <= size - _LENGTH else None
        if not isinstance(header, dict):
            raise ValueError("its header is longer than the file")
        mapped = torch.UntypedStorage.from_file(str(path), False, size)
        content = torch.empty(0, dtype=torch.uint8).set_(mapped)[_LENGTH + length :]  # type: ignore[arg-type]  # torch's stub calls it by its base
        return {name: _tensor(content, entry) for name, entry in header.items() if name != "__metadata__"}
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({str(error).splitlines()[0]})") from None


def _tensor(content: Tensor, entry: dict[str, object]) -> Tensor:
    dtype, shape = _DTYPES[str(entry["dtype"])], [int(size) for size in entry["shape"]]  # type: ignore[attr-defined]
    begin, end = (int(place) for place in entry["data_offsets"])  # type: ignore[attr-defined]
    if not 0 <= begin <= end <= len(content) or end - begin != prod(shape) * dtype.itemsize:
        raise ValueError("a tensor lies outside of the file")
    values = content[begin:end]
    if values.storage_offset() % dtype.itemsize:
        values = values.clone()
    return values.view(dtype).view(shape)
