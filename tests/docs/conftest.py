"""Fixtures of the pages' tests. airflow_home comes first: it decides which Airflow the tests import."""

from __future__ import annotations

from tests.support.airflow_home import airflow_db

# isort: split
from tests.sinks.conftest import client, lake, new_sink, proxy, warehouse
from tests.unit.conftest import end_supervisors, genesys, start_genesys

__all__ = [
    "airflow_db",
    "client",
    "end_supervisors",
    "genesys",
    "lake",
    "new_sink",
    "proxy",
    "start_genesys",
    "warehouse",
]
