import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from saccade.pipelines.memory import keep_freed_memory
import torch
if sys.argv[1] == "keep":
    keep_freed_memory()

def step():
    blocks = [torch.ones(1 << 18) for _ in range(32)]  # 1 MiB each

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is told anything")
def test_what_a_step_frees_is_there_for_the_next() -> None:
    assert faults("keep") < faults("leave") / 10
