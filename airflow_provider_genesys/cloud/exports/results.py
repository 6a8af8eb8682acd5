"""Reads the pages of an export's results, given its handle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_genesys.cloud.exports.base import (
    Page,
    PagedFamily,
    QueryFamily,
    Repair,
    check_usable,
    known_status,
    unrepaired,
)
from airflow_provider_genesys.cloud.exports.pieces import Piece, cut
from airflow_provider_genesys.cloud.exports.progress import Progress
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.times import parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


_CREATE_AGAIN = "The load is not complete. Clear the task that creates the export, to create it again."

Read = Callable[[int, str | None], Page]
"""Returns the page of a job. Arguments: the place of the job in the export, and the cursor (None: first page)."""


def page_reader(
    handle: dict[str, Any],
    client: CloudClient,
    *,
    page_size: int,
    repair: Repair = unrepaired,
) -> tuple[Read, int] | None:
    """Return a function that reads pages, and the number of jobs; None if the kind has a file instead of pages.

    :param repair: returns a page of which single records are broken, or raises the error.
    :raises ConfigurationError: the export has not ended.
    :raises ExportGoneError: its results have expired.
    :raises ExportFailedError: it ended without results.
    """
    export_id, found = handle["export_id"], family(handle["kind"], client.config)
    if not isinstance(found, PagedFamily):
        return None
    check_usable(known_status(found, client, export_id), "results")
    jobs = found.jobs(export_id)
    walks = [Progress(f"job {job}", _CREATE_AGAIN) for job in jobs]

    def read(job: int, cursor: str | None) -> Page:
        page = found.page(client, jobs[job], cursor, page_size, repair)
        walks[job].check(page.ids, cursor, page.cursor)
        return page

    whole = _owned(read, found, handle, len(jobs)) if isinstance(found, QueryFamily) else read
    return whole, len(jobs)


def _owned(read: Read, found: QueryFamily, handle: dict[str, Any], jobs: int) -> Read:
    """Return a function that reads pages with the records of the handle's window, each once and with a unique id."""
    pieces = _pieces(handle, jobs)

    def owned(job: int, cursor: str | None) -> Page:
        page = read(job, cursor)
        if found.by_window:
            return _of_window(page, handle, str(job) if pieces else "")
        return _of_piece(page, pieces[job], found) if pieces else page

    return owned


def _pieces(handle: dict[str, Any], jobs: int) -> list[Piece]:
    """Return the piece of the window for each job of an export; none if the export is one job."""
    if jobs == 1:
        return []
    start, end = parse_time(handle.get("window_start")), parse_time(handle.get("window_end"))
    if start is None or end is None:
        raise ConfigurationError(f"Export {handle['export_id']} consists of several jobs: its handle needs the window.")
    return cut(start, end, jobs, (handle.get("request") or {}).get("options") or {})


def _of_piece(page: Page, piece: Piece, found: QueryFamily) -> Page:
    """Return the page with only the records that belong to ``piece``. The others are in another piece as well."""
    own = [(one, record) for one, record in zip(page.ids, page.records, strict=True) if piece.owns(found.begun(record))]
    return replace(page, ids=[one for one, _ in own], records=[record for _, record in own])


def _of_window(page: Page, handle: dict[str, Any], piece: str) -> Page:
    """Add the window and a unique id to each record, because e.g. a user is in the results of every window."""
    start, end = handle.get("window_start"), handle.get("window_end")
    where = {"windowStart": start, "windowEnd": end}
    records = []
    for user, record in zip(page.ids, page.records, strict=True):
        own = msgspec.json.encode({"id": "/".join(filter(None, [user, start, piece])), **where})
        records.append(_with_members(record, own))
    return replace(page, records=records)


def _with_members(record: memoryview, own: bytes) -> memoryview:
    """Return a record with the members of ``own`` behind its others, since of equal names the last one counts."""
    text = bytes(record).strip()
    if not text.startswith(b"{"):
        return record  # it is rejected
    members = text[1:-1].strip()
    return memoryview(b"{" + members + b"," + own[1:] if members else own)
