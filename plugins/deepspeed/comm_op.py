"""DeepSpeed's shared-memory communication op for CPUs: built once, and the lock that a killed build leaves behind.

DeepSpeed compiles the op at the first ``init_distributed`` of a machine, in 45 seconds. A process killed meanwhile
leaves a lock file, and every later start waits for it for ever. So ``make setup`` builds the op, and whoever starts
DeepSpeed on a CPU calls ``prepare_environment`` first and may ask for ``stale_lock``.
"""

import os
import shutil
import sys
from pathlib import Path

OP = "deepspeed_shm_comm"


def prepare_environment() -> None:
    """Choose DeepSpeed's CPU accelerator and a folder for the op; call it before ``import deepspeed``, on CPU only.

    The folder belongs to the Python environment: the default one, in the user's cache, is shared by all environments
    and the op is built anew whenever another of them was the last to start. Values that are set already are kept.
    Ninja, which PyTorch asks for even when nothing is to be built, is found beside the interpreter where the
    environment isn't activated.
    """
    if shutil.which("ninja") is None:
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if os.access(sys.prefix, os.W_OK):
        os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(Path(sys.prefix, "torch_extensions")))


def op_folder() -> Path:
    """The folder in which PyTorch builds the op; ``prepare_environment`` has a say in it."""
    from torch.utils.cpp_extension import _get_build_directory

    return Path(_get_build_directory(OP, verbose=False))


def is_built() -> bool:
    """Whether the compiled op is in its folder."""
    return (op_folder() / f"{OP}.so").exists()


def stale_lock() -> Path | None:
    """The lock file of a build that no longer runs, or None.

    A running build keeps its lock file open, so a lock that no process of this machine has open is stale.
    """
    lock = op_folder() / "lock"
    if not lock.exists() or any(_holds_open(process, lock) for process in Path("/proc").glob("[0-9]*")):
        return None
    return lock


def build() -> Path:
    """Build the op where it isn't built yet, after removing a stale lock.

    Returns:
        The folder with the op.

    Raises:
        RuntimeError: The compiler failed, or g++ or ninja is missing; the message has its output.
    """
    prepare_environment()
    if lock := stale_lock():
        lock.unlink(missing_ok=True)
    from deepspeed.ops.op_builder.cpu import ShareMemCommBuilder

    ShareMemCommBuilder().load(verbose=False)
    return op_folder()


def _holds_open(process: Path, file: Path) -> bool:
    try:
        return any(os.path.samefile(handle, file) for handle in (process / "fd").iterdir() if handle.exists())
    except OSError:  # the process has ended, or belongs to another user
        return False
