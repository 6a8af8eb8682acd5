"""Fixtures of the unit tests. airflow_home comes first: it decides which Airflow the tests import."""

from __future__ import annotations

from tests.support.airflow_home import airflow_db

# isort: split
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support import task_context

__all__ = ["airflow_db"]


@pytest.fixture(autouse=True)
def end_supervisors() -> Iterator[None]:
    """End the supervisors of the test's tasks: none serves another test."""
    yield
    task_context.supervised.close()


@pytest.fixture
def start_genesys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeGenesys]]:
    """Start a fake Genesys Cloud with the given settings, and let ``genesys_default`` lead to it."""
    # A fake on a port that an earlier one had must not meet that one's token and request budget.
    shared._known.clear()
    with ExitStack() as stack:

        def start(**settings: Any) -> FakeGenesys:
            genesys = stack.enter_context(FakeGenesys(**{"records": 5, "requests_per_minute": 100_000} | settings))
            connection = genesys.connection()
            connection["extra"]["requests_per_minute"] = 100_000
            monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", json.dumps(connection))
            return genesys

        yield start


@pytest.fixture
def genesys(start_genesys: Callable[..., FakeGenesys]) -> FakeGenesys:
    """A fake Genesys Cloud whose exports are complete at the first look."""
    return start_genesys()
