"""Accelerators, and which attention backends they can run."""

from __future__ import annotations

import os
from pathlib import Path

from saccade.cluster.doctor.finding import Facts, Finding


def devices() -> Facts:
    """The devices that torch sees, the accelerator that DeepSpeed will take, and what multiplies matrices on a CPU."""
    try:
        import torch
    except Exception as error:  # a broken installation raises anything
        return {"devices": f"torch can't be imported: {_first_line(error)}"}
    from saccade.models.openblas import openblas

    library = openblas()
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    gpus = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
    chosen = "cuda" if names else "cpu"
    accelerator = os.environ.get("DS_ACCELERATOR")
    return {
        "devices": f"{gpus} (CUDA {torch.version.cuda})" if gpus else "cpu",
        "accelerator": f"{accelerator} (DS_ACCELERATOR)" if accelerator else chosen,
        "products": f"OpenBLAS, kernels for {library.kernels}; torch with more than one thread" if library else "torch",
    }


def unused_gpu(driver: Path = Path("/proc/driver/nvidia/gpus")) -> list[Finding]:
    """A GPU that the kernel knows and torch doesn't."""
    if not driver.is_dir() or not any(driver.iterdir()):
        return []
    try:
        import torch
    except Exception:
        return []
    if torch.cuda.is_available():
        return []
    if torch.version.cuda is None:
        mend = "install torch's CUDA build and saccade[gpu]"
        return [Finding("warning", f"there is a GPU, but torch {torch.__version__} is a CPU build", mend)]
    what = f"there is a GPU, but torch {torch.__version__} can't use it"
    return [Finding("warning", what, "check `nvidia-smi` and CUDA_VISIBLE_DEVICES")]


def attention_backends() -> Facts:
    """Each attention backend, and whether this machine's device can run it."""
    try:
        import torch

        from saccade.models.attention.backends.choose import available

        return dict(available("cuda" if torch.cuda.is_available() else "cpu"))
    except Exception as error:
        return {"attention": f"can't be told: {_first_line(error)}"}


def broken_torch() -> list[Finding]:
    """A torch that is installed and can't be imported."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name == "torch":
            return []  # missing_packages says so
        return [_broken(error)]
    except Exception as error:
        return [_broken(error)]
    return []


def _broken(error: Exception) -> Finding:
    return Finding("problem", f"torch can't be imported: {_first_line(error)}", "pip install --force-reinstall torch")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
