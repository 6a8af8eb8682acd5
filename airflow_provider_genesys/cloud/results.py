"""From a handle to the pages of an export's results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from airflow_provider_genesys.cloud.client import CloudClient
from airflow_provider_genesys.cloud.exports import ExportState, PagedFamily, family
from airflow_provider_genesys.exceptions import ConfigurationError, ExportFailedError, ExportGoneError, NotFoundError
from airflow_provider_genesys.pipeline.pages import Page, Pages

_AGAIN = "Clear the task that creates the export to make it anew."


def open_pages(handle: dict[str, Any], client: CloudClient, *, page_size: int) -> Pages | None:
    """Return the pages that ``handle`` leads to, when they are there; None where its kind has a file instead.

    :raises ConfigurationError: the export has not ended.
    :raises ExportGoneError: its results have expired.
    :raises ExportFailedError: it ended without any.
    """
    export_id, found = handle["export_id"], family(handle["kind"], client.config)
    if not isinstance(found, PagedFamily):
        return None
    _check(export_id, found, client)
    jobs = found.jobs(export_id)

    def read(job: int, cursor: str | None) -> Page:
        page = found.page(client, jobs[job], cursor, page_size)
        return _of_window(page, handle, str(job) if len(jobs) > 1 else "") if found.by_window else page

    return Pages(read, export_id, jobs=len(jobs))


def _of_window(page: Page, handle: dict[str, Any], piece: str) -> Page:
    """Put into each record which window it is of, and an id of its own: a user is in the results of every window."""
    start, end = handle.get("window_start"), handle.get("window_end")
    where = {"windowStart": start, "windowEnd": end}
    records = []
    for user, record in zip(page.ids, page.records, strict=True):
        own = msgspec.json.encode({"id": "/".join(filter(None, [user, start, piece])), **where})
        records.append(memoryview(own[:-1] + b"," + bytes(record).lstrip()[1:]))
    return replace(page, records=records)


def _check(export_id: str, found: PagedFamily, client: CloudClient) -> None:
    try:
        status = found.status(client, export_id)
    except NotFoundError as error:
        raise ExportGoneError(f"Export {export_id} is gone. {_AGAIN} ({error})") from error
    about = f"Export {export_id} is {status.raw_state}{f': {status.message}' if status.message else ''}."
    if not status.state.terminal:
        raise ConfigurationError(f"{about} Wait for it, with a GenesysExportSensor before this task.")
    if status.state is ExportState.EXPIRED:
        raise ExportGoneError(f"{about} {_AGAIN}")
    if status.state is not ExportState.COMPLETED:
        raise ExportFailedError(f"{about} It has no results. {_AGAIN}")
