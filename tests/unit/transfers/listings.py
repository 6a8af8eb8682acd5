"""Runs of the operators that load listings, whole or killed, and what they have left in PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.task_context import run, stand_in

Rows = Callable[[str], list[dict[str, Any]]]

_CLEAN = multiprocessing.get_context("forkserver")
_CLEAN.set_forkserver_preload(["tests.unit.transfers.preloaded"])
_FIRST = datetime(2026, 11, 22, tzinfo=timezone.utc)


@pytest.fixture
def genesys(start_genesys: Callable[..., FakeGenesys]) -> FakeGenesys:
    return start_genesys(users=40)


@pytest.fixture
def rows(database: str, monkeypatch: pytest.MonkeyPatch) -> Rows:
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", database)

    def query(statement: str) -> list[dict[str, Any]]:
        with psycopg.connect(database, row_factory=dict_row) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    return query


def on(day: int, **more: Any) -> dict[str, Any]:
    """Return the context of the DAG run of a day."""
    return stand_in(f"day-{day}", _FIRST + timedelta(days=day), **more)


def members(genesys: FakeGenesys) -> set[str]:
    """Return the keys of all members of queues."""
    organisation = genesys.listings.organisation
    return {
        f"{queue.id}/{member.id}"
        for queue in organisation.table("queues")
        for member in organisation.table("queue_members", queue.id)
    }


def fail_below(genesys: FakeGenesys, queue: str) -> None:
    """Let the members of one queue be refused once."""
    genesys.fail_next(f"/api/v2/routing/queues/{queue}/members", status=409)


def killed(make: Callable[[], Any], day: int, after: int) -> bool:
    """Run what ``make`` makes in a child process, killed at the step ``after``; return False where it ends before.

    The child is not forked from the tests' process, whose threads hold locks that nothing in the child would release.
    """
    connections = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
    child = _CLEAN.Process(target=_run, args=(make, day, after, connections))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def _run(make: Callable[[], Any], day: int, after: int, connections: dict[str, str]) -> None:
    os.environ.update(connections)
    left = iter(range(after))
    failpoints.hook = lambda _: None if next(left, None) is not None else os.kill(os.getpid(), signal.SIGKILL)
    run(make(), on(day))
