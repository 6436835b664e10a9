from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from saccade.models.safetensors_file import load_file


def test_it_reads_what_safetensors_writes(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 4),
        "b/c": torch.arange(7),
        "bits": torch.tensor([True, False, True]),
        "half": torch.randn(5).bfloat16(),
        "one": torch.tensor(2.5, dtype=torch.float64),
        "none": torch.empty(0, 8),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"made by": "a test"})
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    found["a"].zero_()
    assert torch.equal(load_file(tmp_path / "x.safetensors")["a"], tensors["a"])


def test_damage_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="can't be read"):
        load_file(file)
    save_file({"a": torch.randn(100)}, file)
    content = file.read_bytes()
    for cut in (0, 4, 20, len(content) - 1):
        file.write_bytes(content[:cut])
        with pytest.raises(ValueError, match="is damaged or no safetensors file"):
            load_file(file)
    file.write_bytes(b"\xff" * 200)
    with pytest.raises(ValueError, match="is damaged"):
        load_file(file)
