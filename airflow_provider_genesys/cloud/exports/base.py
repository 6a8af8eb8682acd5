"""Export jobs: what is asked for, what Genesys says of it, and which families of exports there are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    ExportFailedError,
    ExportGoneError,
    RecordError,
    WindowError,
)
from airflow_provider_genesys.times import iso_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


class ExportState(str, Enum):
    """The state of an export, in one vocabulary for all families."""

    QUEUED = "QUEUED"
    READY = "READY"
    """Genesys waits for us to say that it may begin: see :class:`StartedFamily`. Not terminal."""
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"
    """Genesys names a state that this release does not know; ``raw_state`` has it. Not terminal."""

    @property
    def terminal(self) -> bool:
        """Whether the export stays in this state."""
        return self not in {ExportState.QUEUED, ExportState.READY, ExportState.RUNNING, ExportState.UNKNOWN}


@dataclass(frozen=True)
class ExportStatus:
    """What Genesys says of an export. What it does not say is None."""

    export_id: str
    kind: str
    state: ExportState
    raw_state: str
    """The state in Genesys' own words."""
    file_uri: str | None = field(default=None, repr=False)
    """Presigned URL of the archive: a secret."""
    expires_at: datetime | None = None
    """When the answer says that the file goes, aware; the URL itself may say otherwise."""
    size: int | None = None
    """Bytes, as stored."""
    etag: str | None = None
    records: int | None = None
    submitted_at: datetime | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None
    progress: float | None = None
    """Percent, 0 to 100."""
    message: str | None = None
    """Why it failed, in Genesys' words; of an export that did not, what there is to know of its result."""


AGAIN = "Clear the task that creates the export to make it again."


class Outcome(str, Enum):
    """What an export that has ended is good for."""

    USABLE = "usable"
    GONE = "gone"
    """It was there, and has expired."""
    FAILED = "failed"


def ended(status: ExportStatus) -> Outcome | None:
    """Judge an export; None while it has not ended."""
    if not status.state.terminal:
        return None
    if status.state is ExportState.COMPLETED:
        return Outcome.USABLE
    return Outcome.GONE if status.state is ExportState.EXPIRED else Outcome.FAILED


def check_usable(status: ExportStatus, what: str) -> None:
    """Raise unless the export has ended well.

    :param what: what it would have, for the message: its results, or a file.
    :raises ConfigurationError: it has not ended.
    :raises ExportGoneError: it has expired.
    :raises ExportFailedError: it failed or was cancelled.
    """
    outcome = ended(status)
    about = f"Export {status.export_id} is {status.raw_state}{f': {status.message}' if status.message else ''}."
    if outcome is None:
        raise ConfigurationError(f"{about} Wait for it, with a GenesysExportSensor before this task.")
    if outcome is Outcome.GONE:
        raise ExportGoneError(f"{about} {AGAIN}")
    if outcome is Outcome.FAILED:
        raise ExportFailedError(f"{about} It has no {what}. {AGAIN}")


@dataclass(frozen=True)
class ExportRequest:
    """What to export: everything of ``window_start <= t < window_end`` (aware) that the filters let through."""

    window_start: datetime
    window_end: datetime
    filters: dict[str, Any] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    file_format: str = "ndjson"
    options: dict[str, Any] = field(default_factory=dict)
    """Further members of the request's body."""
    pieces: int = 1
    """In how many pieces the window is asked for at least, for kinds that can be asked for in pieces."""

    def __post_init__(self) -> None:
        if self.window_start.tzinfo is None or self.window_end.tzinfo is None:
            raise WindowError(f"The window {self._window} has no time zone. Give aware datetimes.")
        if self.window_start >= self.window_end:
            raise WindowError(f"The window {self._window} is empty: its start must come before its end.")

    @property
    def _window(self) -> str:
        return f"{self.window_start.isoformat()} to {self.window_end.isoformat()}"

    def fingerprint(self, kind: str) -> str:
        """Return 32 hex digits that are the same for every request for the same data."""
        asked = {
            "kind": kind,
            "window": [iso_time(self.window_start), iso_time(self.window_end)],
            "filters": self.filters,
            "include": sorted(self.include),
            "file_format": self.file_format,
            "options": self.options,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


class ExportFamily(Protocol):
    """One kind of export: how it is created, asked after and cancelled."""

    kind: str

    def create(self, client: CloudClient, request: ExportRequest) -> str:
        """Create an export and return its id. Not repeatable: anyone who asks twice has two exports."""

    def status(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Ask for the state of the export.

        :raises NotFoundError: Genesys does not know it (any more).
        """

    def cancel(self, client: CloudClient, export_id: str) -> bool:
        """Cancel the export. Return False where there is nothing to cancel, or the API cannot."""


@runtime_checkable
class StartedFamily(ExportFamily, Protocol):
    """A kind of export that first says what it would do, and does it when it is asked to."""

    def start(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Let an export that is READY begin, and return its state then: READY still where it has to wait."""


@runtime_checkable
class PagedFamily(ExportFamily, Protocol):
    """A kind of export whose result is pages rather than a file."""

    def jobs(self, export_id: str) -> list[str]:
        """Return the ids of the jobs that an export consists of."""

    def page(self, client: CloudClient, job: str, cursor: str | None, size: int) -> Page:
        """Ask for a page of at most ``size`` records; the first where there is no ``cursor``."""


@runtime_checkable
class QueryFamily(PagedFamily, Protocol):
    """Pages of what was in a window. Asking changes nothing: it can be done again, in pieces, and for a sample."""

    by_window: bool
    """Whether the same record is in the results of every window, each time with what belongs to that window."""

    def begun(self, record: memoryview) -> datetime | None:
        """Return when a record began; None where it does not say."""

    def available_until(self, client: CloudClient) -> datetime | None:
        """Ask to when Genesys has all data."""


@dataclass(frozen=True)
class Walk:
    """How far the pages of a listing can be believed. Empty until its first page was read.

    :param total: records that Genesys says there are; None where it does not say, or of a listing below parents.
    :param parents: whose listings were read; None where the listing has no parents.
    :param vanished: of these parents, those that were gone when their listing was asked for.
    :param unstable: what changed while the pages were read, each time that they were read; None where nothing did.
    """

    total: int | None = None
    parents: int | None = None
    vanished: int = 0
    unstable: str | None = None


@dataclass(frozen=True)
class Page:
    """One answer: ``ids`` and ``records`` (each a JSON object as it came) belong together.

    :param cursor: names the next page; None behind the last.
    :param available_until: to when Genesys has all data, aware; None where it does not say.
    :param refused: of records that tell of something that failed, by their place: they are set aside.
    :param listing: of a page of a listing: how far its pages can be believed so far.
    """

    ids: list[str]
    records: Sequence[memoryview]
    cursor: str | None = None
    available_until: datetime | None = None
    refused: Mapping[int, RecordError] = field(default_factory=dict)
    listing: Walk | None = None
