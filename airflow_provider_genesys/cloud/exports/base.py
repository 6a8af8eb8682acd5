"""Export jobs: the request, the status that Genesys reports, and the protocols of the families of exports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from airflow_provider_genesys.cloud.http.paths import new_id
from airflow_provider_genesys.cloud.http.shapes import members
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    ExportFailedError,
    ExportGoneError,
    ForeignAnswerError,
    NotFoundError,
    RecordError,
    RequestRefusedError,
    SourceRefusedError,
    WindowError,
)
from airflow_provider_genesys.limits import LONGEST_CURSOR, LONGEST_ETAG
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.times import iso_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


class ExportState(str, Enum):
    """The state of an export, in one vocabulary for all families."""

    QUEUED = "QUEUED"
    READY = "READY"
    """Genesys waits for a request to start the job: see :class:`StartedFamily`. Not terminal."""
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"
    """Genesys names a state that this release does not know; ``raw_state`` has it. Not terminal."""

    @property
    def terminal(self) -> bool:
        """Whether this state is final."""
        return self not in {ExportState.QUEUED, ExportState.READY, ExportState.RUNNING, ExportState.UNKNOWN}


@dataclass(frozen=True)
class ExportStatus:
    """What Genesys reports of an export. A member that it does not report is None.

    Its words, ``raw_state`` and ``message``, are cleaned and cut: they go into logs, errors and events.
    """

    export_id: str
    kind: str
    state: ExportState
    raw_state: str
    """The state in Genesys' own words."""
    file_uri: str | None = field(default=None, repr=False)
    """Presigned URL of the archive: a secret."""
    expires_at: datetime | None = None
    """When the file expires, as the response says (aware). The URL itself may say another time."""
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
    """If the export failed, the reason in Genesys' words; else a remark about its result."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "raw_state", shown(self.raw_state, _LONGEST_STATE))
        object.__setattr__(self, "message", None if self.message is None else shown(self.message))
        object.__setattr__(self, "progress", _percent(self.progress))
        object.__setattr__(self, "etag", None if self.etag is None else shown(self.etag, LONGEST_ETAG))


_LONGEST_STATE = 60


def _percent(value: Any) -> float | None:
    """Return a number from 0 to 100; None for anything else."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value <= 100 else None  # noqa: PLR2004 - percent


AGAIN = "Clear the task that creates the export to make it again."


class Outcome(str, Enum):
    """Whether an export that has ended can be loaded."""

    USABLE = "usable"
    GONE = "gone"
    """It has expired."""
    FAILED = "failed"


def ended(status: ExportStatus) -> Outcome | None:
    """Return the outcome of an export; None if it has not ended."""
    if not status.state.terminal:
        return None
    if status.state is ExportState.COMPLETED:
        return Outcome.USABLE
    return Outcome.GONE if status.state is ExportState.EXPIRED else Outcome.FAILED


def check_usable(status: ExportStatus, what: str) -> None:
    """Raise unless the export has ended and can be loaded.

    :param what: what it should have, for the message: ``results`` or ``file``.
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


def known_status(found: ExportFamily, client: CloudClient, export_id: str) -> ExportStatus:
    """Ask for the state of an export.

    :raises ExportGoneError: Genesys does not know it, or no longer.
    """
    try:
        return found.status(client, export_id)
    except NotFoundError as error:
        raise ExportGoneError(f"Export {export_id} is gone. {AGAIN} ({error})") from error


def delete(client: CloudClient, path: str, nothing_to_delete: Collection[int] = ()) -> bool:
    """Send a DELETE. Return False if there is nothing at ``path``, or if the status is one of ``nothing_to_delete``."""
    try:
        client.request("DELETE", path)
    except NotFoundError:
        return False
    except (RequestRefusedError, ForeignAnswerError) as error:
        if error.status in nothing_to_delete:
            return False
        raise
    return True


def created_id(answer: Any, member: str, path: str) -> str:
    """Return the id in the answer to a POST to ``path``.

    :raises ForeignAnswerError: it has none.
    :raises ConfigurationError: it has one that cannot be an id.
    """
    found = members(answer).get(member)
    if not found:
        raise ForeignAnswerError(
            f"The answer from {path} has no member {member!r}. If this happens again, check whether a proxy answers in "
            "place of Genesys.",
            status=200,
        )
    return new_id(str(found), path)


@dataclass(frozen=True)
class ExportRequest:
    """What to export: everything in ``window_start <= t < window_end`` (aware) that the filters match."""

    window_start: datetime
    window_end: datetime
    filters: dict[str, Any] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    file_format: str = "ndjson"
    options: dict[str, Any] = field(default_factory=dict)
    """Further members of the request's body."""
    pieces: int = 1
    """Smallest number of pieces of the window. Only for kinds that can be asked for in pieces."""

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


@dataclass(frozen=True)
class Walk:
    """How reliable the pages of a listing are. Empty until the first page was read.

    :param total: number of records that Genesys reports; None if it reports none, or if the listing has parents.
    :param parents: number of parents whose listings were read; None if the listing has no parents.
    :param vanished: how many of these parents were gone when their listing was asked for.
    :param unstable: what changed during each reading of the pages; None if one reading saw no change.
    """

    total: int | None = None
    parents: int | None = None
    vanished: int = 0
    unstable: str | None = None


@dataclass(frozen=True)
class Page:
    """One page: ``ids[i]`` is the id of ``records[i]``, an unchanged JSON object.

    :param cursor: names the next page; None after the last page.
    :param available_until: time up to which Genesys has all data (aware); None if it does not say.
    :param refused: by place in the page, the error of a record that reports a failure. Such records are rejected.
    :param listing: for a page of a listing, how reliable its pages are so far.
    :param media_bytes: bytes of media that were fetched for its records.
    """

    ids: list[str]
    records: Sequence[memoryview]
    cursor: str | None = None
    available_until: datetime | None = None
    refused: Mapping[int, RecordError] = field(default_factory=dict)
    listing: Walk | None = None
    media_bytes: int = 0

    def __post_init__(self) -> None:
        check_cursor(self.cursor)


def check_cursor(cursor: str | None) -> None:
    """Raise :class:`SourceRefusedError` if Genesys gave a cursor that cannot be sent back."""
    if cursor and len(cursor) > LONGEST_CURSOR:
        raise SourceRefusedError(
            f"The cursor of the next page has {len(cursor):,} characters ({shown(cursor, 40)!r}), and at most "
            f"{LONGEST_CURSOR:,} can be sent back. Check that the connection's host is Genesys Cloud. Then clear the "
            "task that creates the export."
        )


class UnreadablePageError(ForeignAnswerError):
    """A page cannot be read. If only the text of single records is broken, the others can be.

    :param body: the page's bytes, unchanged.
    :param member: name of the member with the records.
    :param read: decodes a page that is not broken.
    :param id_of: returns the id of a broken record, as far as it can be found.
    """

    def __init__(
        self,
        message: str,
        *,
        body: bytes,
        member: str,
        read: Callable[[bytes], Page],
        id_of: Callable[[bytes], str],
    ) -> None:
        super().__init__(message, status=200)
        self.id_of = id_of
        self.body = body
        self.member = member
        self.read = read


Repair = Callable[[UnreadablePageError], Page]


def unrepaired(error: UnreadablePageError) -> Page:
    """Raise ``error``: a :data:`Repair` for those who have none."""
    raise error


class ExportFamily(Protocol):
    """One kind of export: how to create it, poll it and cancel it."""

    kind: str

    def create(self, client: CloudClient, request: ExportRequest) -> str:
        """Create an export and return its id. Not idempotent: two calls create two exports."""

    def status(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Ask for the state of the export.

        :raises NotFoundError: Genesys does not know the export, or no longer.
        """

    def cancel(self, client: CloudClient, export_id: str) -> bool:
        """Cancel the export. Return False if there is nothing to cancel, or if the API cannot cancel."""


@runtime_checkable
class StartedFamily(ExportFamily, Protocol):
    """A kind of export that needs a second request: the first finds out what to do, the second starts it."""

    def start(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Start an export that is READY and return its state. It is still READY if it has to wait."""


@runtime_checkable
class PagedFamily(ExportFamily, Protocol):
    """A kind of export whose result is pages rather than a file."""

    def jobs(self, export_id: str) -> list[str]:
        """Return the ids of the jobs that an export consists of."""

    def page(self, client: CloudClient, job: str, cursor: str | None, size: int, repair: Repair = unrepaired) -> Page:
        """Ask for a page of at most ``size`` records: the first page if ``cursor`` is None.

        :param repair: returns a page of which single records are broken, or raises the error.
        """


@runtime_checkable
class QueryFamily(PagedFamily, Protocol):
    """Pages of what is in a window. Such an export has no side effect, so it can be repeated, split and sampled."""

    by_window: bool
    """Whether a record is in the results of every window, each time with the data of that window (e.g. a user)."""

    def begun(self, record: memoryview) -> datetime | None:
        """Return when a record began; None if the record does not say."""

    def available_until(self, client: CloudClient) -> datetime | None:
        """Ask up to which time Genesys has all data; None if it does not say."""
