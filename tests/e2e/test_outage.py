"""The archive cannot be reached for a while: the load pauses outside the worker and goes on in the same try."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from airflow_provider_genesys.source import download
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from tests.support.airflow_home import states, xcoms

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GenesysExportTransferOperator, "outage_pause", (0.1, 0.2))
    monkeypatch.setattr(download, "_BACKOFF", (0.02, 0.02))


@pytest.mark.outcome(
    "processes", "the archive cannot be reached for a while: the task pauses without a worker", "recovers"
)
@pytest.mark.parametrize("deferrable", [True, False])
def test_an_outage_is_waited_out_in_the_same_try(warehouse: Warehouse, *, deferrable: bool) -> None:
    # one download spends six requests before it gives up: the first three downloads fail
    warehouse.genesys.fail_next("/archive/", status=503, times=18)
    run = warehouse.run(DAY, loads={"deferrable": deferrable})
    assert states(run)["certificate"] == "success"
    tries = {ti.task_id: ti.try_number for ti in run.get_task_instances()}
    assert tries["load_into_postgres"] == tries["load_into_s3"] == 1
    assert xcoms(run, "certificate")["return_value"]["read"] == warehouse.genesys.records


@pytest.mark.outcome(
    "processes", "the archive cannot be reached for longer than `max_outage`", "SourceUnavailableError"
)
def test_an_outage_that_lasts_too_long_ends_the_try(warehouse: Warehouse) -> None:
    warehouse.genesys.fail_next("/archive/", status=503, times=10_000)
    # dag.test() of Airflow 3.3 loses when the outage began: a task that defers itself would do so for ever.
    run = warehouse.run(DAY, loads={"max_outage": 0.3, "deferrable": False})
    assert states(run)["load_into_postgres"] == "failed"
    assert not warehouse.query("SELECT 1 FROM genesys_ledger WHERE state = 'complete'")
