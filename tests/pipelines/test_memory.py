import subprocess
import sys

import pytest

KEPT = """
import sys
from pathlib import Path
from saccade.pipelines.memory import keep_freed_memory
import torch
if sys.argv[1] == "keep":
    keep_freed_memory()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024

before = resident()
blocks = [torch.ones(1 << 21) for _ in range(32)]  # 8 MiB each
during = resident()
del blocks
print(during - before, resident() - before)
"""


def mebibytes(how: str) -> tuple[int, int]:
    """What 256 MiB of tensors add to a new process, while they are there and after they were freed."""
    command = [sys.executable, "-c", KEPT, how]
    during, after = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(during), int(after)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is told anything")
def test_what_is_freed_stays_for_the_next_step() -> None:
    (during, kept), (_, left) = mebibytes("keep"), mebibytes("leave")
    assert during >= 250
    assert kept >= 250
    assert left < 128
