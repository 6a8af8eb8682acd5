"""Details jobs of the analytics API: all conversations, or all users, of a window, as pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_genesys.cloud.exports.analytics_jobs import AnalyticsJobs, job_path
from airflow_provider_genesys.cloud.exports.base import ExportRequest, Page
from airflow_provider_genesys.cloud.exports.elements import RecordIds, cursor_of
from airflow_provider_genesys.cloud.exports.pieces import BY_START_DAY, cut
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.times import api_time, parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


@dataclass(frozen=True)
class Details:
    """What differs between the details APIs.

    :param path: path of the jobs.
    :param member: member of a page that holds the records.
    :param id_field: field of a record with its id.
    :param start_field: field of a record with the time when it began; empty if there is none.
    :param filters: names of a query's members that hold filters.
    :param by_window: see :class:`~.exports.base.QueryFamily`.
    """

    path: str
    member: str
    id_field: str
    start_field: str
    filters: tuple[str, ...]
    by_window: bool


CONVERSATIONS = Details(
    "/api/v2/analytics/conversations/details/jobs",
    "conversations",
    "conversationId",
    "conversationStart",
    ("conversationFilters", "segmentFilters", "evaluationFilters", "surveyFilters", "resolutionFilters"),
    by_window=False,
)
USERS = Details(
    "/api/v2/analytics/users/details/jobs",
    "userDetails",
    "userId",
    "",
    ("userFilters", "presenceFilters", "routingStatusFilters"),
    by_window=True,
)


class DetailsJobs(AnalyticsJobs):
    """Implements :class:`~.exports.base.QueryFamily` on one details API."""

    def __init__(self, kind: str, details: Details) -> None:
        self.kind = kind
        self.by_window = details.by_window
        self._details = details
        self.member = details.member
        body: list[Any] = [(details.member, list[msgspec.Raw] | None, None), ("cursor", msgspec.Raw, msgspec.Raw())]
        body.append(("dataAvailabilityDate", Any, None))
        self._answers = msgspec.json.Decoder(msgspec.defstruct("Answer", body))
        begun = msgspec.defstruct("Begun", [("at", str | None, None)], rename={"at": details.start_field})
        self._begun = msgspec.json.Decoder(begun)
        self._ids = RecordIds(details.id_field)

    def available_until(self, client: CloudClient) -> datetime | None:
        """Ask up to which time analytics has all data; None if Genesys does not say."""
        answer = client.request(
            "GET", f"{self._details.path}/availability", is_answer=lambda one: isinstance(one, dict)
        )
        return parse_time(answer.get("dataAvailabilityDate"))

    def begun(self, record: memoryview) -> datetime | None:
        """Return when a record began; None if the record does not say."""
        try:
            found: Any = self._begun.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return parse_time(found.at)

    def path_of(self, request: ExportRequest) -> str:  # noqa: ARG002 - all requests of a kind have one path
        """Return the path of the jobs."""
        return self._details.path

    def path(self, job: str) -> str:
        """Return the path of a job.

        :raises ConfigurationError: ``job`` is not the id of a job.
        """
        return job_path(self._details.path, job)

    def read_page(self, job: str, body: bytes) -> Page:  # noqa: ARG002 - a page says all that is needed
        """Decode a page.

        :raises msgspec.MsgspecError: ``body`` is not a page.
        """
        answer: Any = self._answers.decode(body)
        records = [memoryview(raw) for raw in getattr(answer, self.member) or []]
        ids = [self._ids.of(record) for record in records]
        return Page(ids, records, cursor_of(answer.cursor), parse_time(answer.dataAvailabilityDate))

    def bodies(self, request: ExportRequest, pieces: int) -> list[dict[str, Any]]:
        """Return the request bodies for the window in that many pieces.

        :raises WindowTooLargeError: a piece would be shorter than a minute.
        :raises ConfigurationError: filters or options hold what this API does not take.
        """
        if pieces == 1:
            return [self._body(request, request.window_start, request.window_end)]
        window = cut(request.window_start, request.window_end, pieces, request.options)
        # With this option, each piece of a day would get the records of the whole day.
        options = {name: value for name, value in request.options.items() if name != BY_START_DAY}
        return [self._body(replace(request, options=options), piece.start, piece.end) for piece in window]

    def _body(self, request: ExportRequest, start: datetime, end: datetime) -> dict[str, Any]:
        if unknown := sorted(set(request.filters) - set(self._details.filters)):
            raise ConfigurationError(
                f"filters must not hold {', '.join(unknown)}; {self.kind} takes {', '.join(self._details.filters)}."
            )
        if "interval" in request.options:
            raise ConfigurationError("options must not hold interval: use window_start and window_end.")
        interval = f"{api_time(start)}/{api_time(end)}"
        return {"interval": interval, **request.filters, **request.options}

    def id_of_broken(self, record: bytes) -> str:
        """Return the first id in a record that is not JSON; without an id, return a text made of its bytes."""
        return self._ids.of_broken(record)


def families() -> Sequence[DetailsJobs]:
    """Return the families of exports that are details jobs."""
    return DetailsJobs("conversation_details", CONVERSATIONS), DetailsJobs("user_details", USERS)
