"""What has a limit costs in proportion: twice the input at most 2.5 times the time and memory.

There is a case for each row of the table of limits in docs/bad-input.md, or the test that has it is named here.
"""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest

from airflow_provider_genesys.cloud.exports.base import check_cursor
from airflow_provider_genesys.cloud.exports.elements import check_records, check_values
from airflow_provider_genesys.cloud.exports.progress import Progress
from airflow_provider_genesys.cloud.http.errors import error_from
from airflow_provider_genesys.cloud.http.paths import path_step
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.outside import message, shown
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.unpack.unpacked import Unpacked
from tests.docs.test_limits_docs import rows
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

KB = 1000
GOOD = b'{"recordingId": "r", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1}\n'


def loaded(archive: bytes, **options: Any) -> None:
    """Load it, whether that succeeds or not."""
    chosen = {"max_dead_letter_ratio": None, "allow_empty": True, "batch_size": 500, **options}
    with suppress(GenesysError):
        run(
            a_load(contract=resolve(None, kind="recordings")), InMemory(archive), MemorySink(Shelf()), Options(**chosen)
        )


def refused(status: int, body: bytes) -> None:
    request = httpx.Request("GET", "https://api.example.com/x")
    error_from(httpx.Response(status, content=body, request=request), "GET /x")


def unpacked(size: int) -> None:
    packed = gzip.compress(b" " * size)
    with suppress(GenesysError):
        for _ in Unpacked(iter([packed]), where="It"):
            pass


def walked(pages: int) -> None:
    """Read pages with ever new records."""
    walk = Progress("the results", "")
    for page in range(pages):
        walk.check([f"{page}/{number}" for number in range(20)], str(page), str(page + 1))


def attempted(refusing: Callable[[], object]) -> None:
    with suppress(GenesysError):
        refusing()


SCALED: dict[str, tuple[int, Callable[[int], object]]] = {
    "MAX_RECORD_BYTES": (
        400 * KB,
        lambda n: loaded(GOOD + b'{"recordingId": "' + b"x" * n + b'"}\n', max_record_bytes=KB),
    ),
    "KEPT_OF_OVERSIZE": (400 * KB, lambda n: loaded(b"[" + b"x" * n + b"]", max_record_bytes=KB)),
    "MAX_SLICE_BYTES": (4 * KB, lambda n: loaded(GOOD * n, batch_size=10**6)),
    "MAX_UNPACKED": (4000 * KB, unpacked),
    "MAX_RATIO": (4000 * KB, unpacked),
    "PIECE": (4000 * KB, unpacked),
    "LONGEST_ERROR": (400 * KB, lambda n: refused(400, b'{"message": "' + b"a:b:" * (n // 4) + b'"}')),
    "LONGEST_ID": (400 * KB, lambda n: attempted(partial(path_step, "a/" * n, "an id"))),
    "LONGEST_IDS": (400 * KB, lambda n: attempted(partial(path_step, "a," * n, "an id"))),
    "LONGEST_CURSOR": (4000 * KB, lambda n: attempted(partial(check_cursor, "a=" * n))),
    "MOST_PAGES": (KB, walked),
    "MOST_RECORDS": (1000 * KB, lambda n: attempted(partial(check_records, b"[" + b"{}," * n + b"{}]"))),
    "MOST_VALUES": (4000 * KB, lambda n: attempted(partial(check_values, b"0," * n))),
    "LONGEST": (4000 * KB, lambda n: shown("a=b&signature=c https://" * (n // 20))),
    "LONGEST_MESSAGE": (4000 * KB, lambda n: message("a\x1b[31m" * (n // 5))),
    "MOST_NAMES": (KB // 2, lambda n: loaded(b"".join(json.dumps({f"f{i}": 1}).encode() + b"\n" for i in range(n)))),
    "LONGEST_NAME": (400 * KB, lambda n: loaded(GOOD[:-2] + b', "' + b"x" * n + b'": 1}\n')),
}
"""By the limit's name: the size of the input, and what takes an input of a size."""
ELSEWHERE = {
    "MOST_EMPTY": "tests/faults/test_page_faults.py",
    "MOST_STORE_PAGES": "tests/unit/stores/test_endless_lists.py",
    "MOST_HELD": "tests/unit/cloud/test_endless_walks.py",
    "LONGEST_HEAD": "tests/faults/test_hostile_http.py",
    "LONGEST_ANSWER": "tests/unit/cloud/test_cloud_limits.py",
    "LONGEST_PAGE": "tests/unit/cloud/test_page_limits.py",
    "LONGEST_TOKEN": "tests/unit/cloud/test_cloud_limits.py",
    "LONGEST_ETAG": "tests/unit/cloud/test_cloud_limits.py",
    "LONGEST_URL": "tests/unit/cloud/test_cloud_limits.py",
    "MOST_LISTED_PAGES": "tests/unit/cloud/test_cloud_limits.py",
    "FOREIGN_RETRIES": "tests/unit/source/test_download.py",
    "MOST_NEW_NAMES": "tests/unit/contracts/test_many_names.py",
    "LONGEST_PATH": "tests/unit/contracts/test_many_names.py",
    "MOST_COLUMNS": "tests/unit/contracts/test_many_names.py",
    "LONGEST_KEY": "tests/unit/contracts/test_many_names.py",
    "LONGEST_LETTER": "tests/sinks/test_postgres_replay.py",
}


def test_every_limit_of_the_table_is_scaled() -> None:
    assert {row["name"] for row in rows()} == SCALED.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", SCALED)
def test_twice_the_input_costs_at_most_two_and_a_half_times_as_much(name: str) -> None:
    size, take = SCALED[name]

    def seconds(of: int) -> float:
        began = time.process_time()
        take(of)
        return time.process_time() - began

    def held(of: int) -> int:
        tracemalloc.start()
        try:
            take(of)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    take(size)  # what is made once is made before
    once, twice = (min(seconds(times * size) for _ in range(3)) for times in (1, 2))
    assert twice <= 2.5 * once + 0.05
    assert twice < 5
    assert held(2 * size) <= 2.5 * held(size) + 2**20
