"""What a load makes of the memory of its process."""

from __future__ import annotations

import subprocess
import sys

FAULTS = """
import resource
from airflow_provider_genesys.pipeline.memory import keep_freed_memory
{begin}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(100):
    blocks = [bytearray(b"x") * (600_000 + 1_000 * size) for _ in range(4)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""A process that takes and frees what batches do, a little more each time, and tells how many pages it asked for."""


def faults(begin: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(begin=begin)], capture_output=True, check=True)
    return int(done.stdout)


def test_what_batches_free_is_kept_for_the_next_ones() -> None:
    assert faults("keep_freed_memory()") < faults("") / 10
