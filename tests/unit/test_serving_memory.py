"""What was freed goes back to the system."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from consilium.models.serving.memory import return_free_memory

STATUS = Path("/proc/self/status")


def _resident_kib() -> int:
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux")
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_freed_blocks_below_one_that_is_held_go_back_to_the_system() -> None:
    blocks = [np.ones(10_000) for _ in range(800)]
    held = blocks[-1]
    del blocks
    before = _resident_kib()
    return_free_memory()
    assert before - _resident_kib() > 20_000
    assert held.sum() == 10_000
