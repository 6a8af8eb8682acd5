"""Memory does not grow with the archive. Each load runs in a fresh process, and the system says what it held."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.__main__ import served

ALLOWED_MIB = 40
GROWTH_MIB = 8


def load(megabytes: int, **settings: Any) -> dict[str, float]:
    with served(megabytes, settings) as url:
        command = [sys.executable, "-m", "benchmarks.load", url]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert found["bytes"] > megabytes * 990_000
    return found


@pytest.mark.parametrize(
    "settings", [{"file_format": "ndjson"}, {"file_format": "json"}, {"file_format": "ndjson", "compression": "gzip"}]
)
def test_the_peak_is_the_same_for_a_small_and_a_large_archive(settings: dict[str, Any]) -> None:
    small, large = load(20, **settings), load(200, **settings)
    assert large["growth_mib"] < ALLOWED_MIB
    assert large["growth_mib"] - small["growth_mib"] < GROWTH_MIB
