"""A task without an Airflow around it: for what a test wants to say of tries, clears and events."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

EXPORTS = "/api/v2/recordings/exports"
DAY_START = datetime(2026, 11, 22, tzinfo=timezone.utc)
DAY_END = datetime(2026, 11, 23, tzinfo=timezone.utc)


class Store:
    """Airflow's ``task_state_store``: JSON under keys."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.texts[key]) if key in self.texts else default

    def set(self, key: str, value: Any) -> None:
        self.texts[key] = json.dumps(value)


@dataclass
class Ti:
    """A task instance in one try."""

    max_tries: int = 2
    dag_id: str = "a_dag"
    run_id: str = "scheduled__2026-11-23T00:00:00+00:00"
    task_id: str = "create"
    map_index: int = -1
    try_number: int = 1
    start_date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    pushed: dict[str, Any] = field(default_factory=dict)
    upstream: dict[str, Any] = field(default_factory=dict)
    """XCom ``export`` by task id."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.upstream.get(task_ids) if key == "export" else None


def context(store: Store | None = None, *, max_tries: int = 2, clear_number: int = 0, **ti: Any) -> dict[str, Any]:
    """Return a context whose data interval is 22 November 2026; without ``store``, that of an Airflow before 3.3."""
    run = SimpleNamespace(conf={}, clear_number=clear_number, data_interval_start=DAY_START, data_interval_end=DAY_END)
    run.run_after = run.start_date = DAY_END
    given = {"ti": Ti(max_tries, **ti), "dag_run": run, "params": {}}
    return given if store is None else {**given, "task_state_store": store}


def run(operator: Any, context: dict[str, Any], event: dict[str, Any] | None = None) -> Any:
    """Execute ``operator``, or resume it with ``event``, and close its connections as the end of a worker does."""
    try:
        return operator.resume(context, event) if event else operator.execute(context)
    finally:
        operator.hook.get_conn().close()
        del operator.hook


def new_export() -> str:
    """Create an export, past the operator; return its id."""
    hook = GenesysCloudHook()
    with closing(hook.get_conn()):
        return hook.create_export("recordings", ExportRequest(DAY_START, DAY_END))


def posts(genesys: FakeGenesys) -> int:
    """Return how often an export was asked for."""
    return sum(seen.method == "POST" and seen.path == EXPORTS for seen in genesys.requests)


def looks(genesys: FakeGenesys) -> int:
    """Return how often the state of an export was asked for."""
    return sum(seen.method == "GET" and seen.path.startswith(EXPORTS) for seen in genesys.requests)
