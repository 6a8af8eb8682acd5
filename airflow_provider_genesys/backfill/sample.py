"""Exports one day and measures it, before the rest is exported."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState, QueryFamily
from airflow_provider_genesys.cloud.exports.progress import Progress
from airflow_provider_genesys.cloud.exports.waiting import Watch, seconds_left
from airflow_provider_genesys.contracts.child_rows import ChildRows
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.exceptions import ExportFailedError, ExportTimeoutError
from airflow_provider_genesys.times import now

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.exports.base import Page
    from airflow_provider_genesys.cloud.http.client import CloudClient

log = logging.getLogger(__name__)


@dataclass
class Sample:
    """Counts of what was read of one export, the ``rows`` of each child, and whether all of it was read."""

    polls: int = 0
    records: int = 0
    bytes: int = 0
    whole: bool = False
    rows: Counter[str] = field(default_factory=Counter)

    def take(self, page: Page, children: Sequence[ChildRows]) -> None:
        """Count the records of ``page``, and what they have of ``children``."""
        self.records += len(page.records)
        self.bytes += sum(record.nbytes for record in page.records)
        self.whole = page.cursor is None
        for record in page.records if children else []:
            members: dict[str, msgspec.Raw] = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
            for made in children:
                text = members.get(made.child.source)
                self.rows[made.child.name] += sum(1 for _ in made.rows(bytes(text) if text else None))


def read_sample(
    client: CloudClient,
    found: QueryFamily,
    request: ExportRequest,
    *,
    page_size: int,
    most_pages: int | None,
    timeout: float,
    poll_interval: float,
) -> Sample:
    """Create the export of ``request`` and read it.

    :param most_pages: largest number of pages to read of one job; None for all.
    :param timeout: seconds that the export may take. After them, it is cancelled.
    :raises ExportFailedError: it ended without results.
    :raises ExportTimeoutError: it did not end in time.
    """
    export_id = found.create(client, request)
    sample = Sample(polls=_wait(client, found, export_id, timeout=timeout, poll_interval=poll_interval))
    children = list(map(ChildRows, resolve(None, kind=found.kind).children))
    jobs = found.jobs(export_id)
    for number, job in enumerate(jobs):
        cursor, pages = None, 0
        walk = Progress(f"job {job}", "The plan has no sample.")
        while most_pages is None or pages < most_pages:
            page = found.page(client, job, cursor, page_size)
            walk.check(page.ids, cursor, page.cursor)
            sample.take(page, children)
            cursor, pages = page.cursor, pages + 1
            if cursor is None:
                break
        if cursor is not None:
            sample.whole = False
            return sample
        sample.whole = number == len(jobs) - 1
    return sample


def _wait(client: CloudClient, found: QueryFamily, export_id: str, *, timeout: float, poll_interval: float) -> int:
    """Poll until the export has ended; return the number of polls."""
    watch = Watch(export_id, poll_interval, 12 * poll_interval, log)
    deadline, polls = now() + timedelta(seconds=timeout), 1
    while not watch.ended(status := found.status(client, export_id)):
        if seconds_left(deadline) <= 0:
            found.cancel(client, export_id)
            raise ExportTimeoutError(f"The sampled day's export {export_id} did not end within {timeout:g} s.")
        time.sleep(min(watch.pause(), max(0.0, seconds_left(deadline))))
        polls += 1
    if status.state is not ExportState.COMPLETED:
        raise ExportFailedError(f"The sampled day's export {export_id} ended {status.raw_state}: {status.message}.")
    return polls
