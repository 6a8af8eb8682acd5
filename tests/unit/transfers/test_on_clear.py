"""What ``on_clear`` decides: whether a cleared load begins anew. A retry never does, a complete load always."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from tests.support.task_context import context, new_export

RECORDS, RETRIES = 100, 2
RETRY, CLEARED = (2, RETRIES), (2, 1 + RETRIES)
"""Number of the second try, and the tries that there may be: a clear raises them."""


class Failing(LocalSink):
    """Does not take its eighth batch, when two parts or more are committed."""

    taken = 0

    def write(self, batch: Batch) -> Checkpoint | None:
        self.taken += 1
        if self.taken == 8:
            raise SinkUnavailableError("the disk is gone")
        return super().write(batch)


class ToFolder(GenesysExportTransferOperator):
    """Loads into a folder, and breaks off in the first try."""

    folder: Path
    breaks_off = False

    def make_sink(self) -> Sink:
        make = Failing if self.breaks_off else LocalSink
        return make(self.folder, "ndjson", part_size=20_000, dead_letter_raw="drop")


@pytest.fixture
def load(start_genesys: Callable[..., FakeGenesys], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Make one try of the same task."""
    start_genesys(records=RECORDS, job_seconds=0)
    export_id = new_export()

    def load(on_clear: Any, of_tries: tuple[int, int], *, breaks_off: bool = False) -> dict[str, Any]:
        task = ToFolder(
            task_id="load", handle=export_id, on_clear=on_clear, retries=RETRIES, batch_size=10, drift_alias=None
        )
        task.folder, task.breaks_off = tmp_path, breaks_off
        return task.execute(context(max_tries=of_tries[1], try_number=of_tries[0]))

    return load


@pytest.mark.parametrize(
    ("on_clear", "of_tries", "attempts"),
    [("restart", RETRY, 2), ("resume", RETRY, 2), ("restart", CLEARED, 1), ("resume", CLEARED, 2)],
)
def test_a_load_goes_on_or_begins_anew(
    load: Callable[..., dict[str, Any]], on_clear: str, of_tries: tuple[int, int], attempts: int
) -> None:
    with pytest.raises(SinkUnavailableError):
        load(on_clear, (1, RETRIES), breaks_off=True)
    summary = load(on_clear, of_tries)
    assert summary["attempts"] == attempts
    assert summary["counts"]["read"] == RECORDS


@pytest.mark.parametrize("on_clear", ["restart", "resume"])
def test_a_complete_load_that_is_cleared_is_loaded_anew(load: Callable[..., dict[str, Any]], on_clear: str) -> None:
    load(on_clear, (1, RETRIES))
    summary = load(on_clear, CLEARED)
    assert summary["attempts"] == 1
    assert summary["counts"]["read"] == RECORDS
