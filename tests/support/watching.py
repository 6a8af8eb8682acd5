"""What tests of a running Airflow look at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

COLUMNS = "recording_id, conversation_id, timestamp, duration_ms, queue_id, participants, media, metadata"
"""What is the same however often and by whom a record was loaded."""


def query(dsn: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql, values).fetchall()


def reading_ahead() -> list[threading.Thread]:
    """Return the threads that read archives."""
    return [thread for thread in threading.enumerate() if thread.name == "genesys-read-ahead"]


def until(found: Callable[[], Any], *, seconds: float = 600, pause: float = 0.1, what: str) -> Any:
    """Return the first result of ``found`` that is true; ask again after each ``pause``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(pause)
    pytest.fail(f"{what} did not happen within {seconds} s")
