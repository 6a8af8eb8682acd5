"""Which conversations a load of media is about: those of an export, or those with recordings that are retained.

Those of a query are in :mod:`.query`, which needs PostgreSQL's driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from airflow_provider_genesys.cloud.http.paths import path_step
from airflow_provider_genesys.exceptions import ConfigurationError, CursorLostError, NotFoundError, RequestRefusedError

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.exports.base import Page
    from airflow_provider_genesys.cloud.http.client import CloudClient

RETENTION = "/api/v2/recordings/retention/query"
LARGEST_PAGE = 500


@dataclass(frozen=True)
class Conversations:
    """Some conversations, by id; ``cursor`` names the next ones, None behind the last.

    :param recordings: the ids of those recordings that are meant; of a conversation that is not in it, all are.
    """

    ids: list[str]
    cursor: str | None
    recordings: Mapping[str, list[str]] = field(default_factory=dict)


Index = Callable[[int, str | None], Conversations]
"""Gives the conversations that a cursor names, of the job with the given place; None for the first."""


def of_pages(read: Callable[[int, str | None], Page]) -> Index:
    """Return the index of the conversations on the pages of details jobs."""

    def index(job: int, cursor: str | None) -> Conversations:
        page = read(job, cursor)
        return Conversations(page.ids, page.cursor)

    return index


def of_retention(client: CloudClient, days: int, size: int) -> Index:
    """Return the index of the recordings that Genesys retains for more than ``days``, whatever their window.

    A conversation comes again on a later page when its recordings lie on both; each recording comes once.

    :param size: recordings in a page.

    The index raises :class:`CursorLostError` where Genesys takes a cursor no more.
    """

    def index(_: int, cursor: str | None) -> Conversations:
        first = urlencode({"retentionThresholdDays": days, "pageSize": min(size, LARGEST_PAGE)})
        try:
            answer: dict[str, Any] = client.request("GET", RETENTION, params=dict(parse_qsl(cursor or first)))
        except (NotFoundError, RequestRefusedError) as error:
            if cursor is None:
                raise
            raise CursorLostError(f"A cursor of {RETENTION} is not valid any more: {error}") from error
        recordings: dict[str, list[str]] = {}
        for one in answer.get("entities") or []:
            recordings.setdefault(str(one["conversationId"]), []).append(str(one["recordingId"]))
        following = urlsplit(str(answer.get("nextUri") or "")).query or None
        return Conversations(list(recordings), following, recordings)

    return index


def recording_metadata(client: CloudClient, conversation_id: str) -> list[dict[str, Any]] | None:
    """Return the metadata of a conversation's recordings; None where Genesys does not know the conversation."""
    try:
        step = path_step(conversation_id, "a conversation")
    except ConfigurationError:
        return None
    try:
        found = client.request("GET", f"/api/v2/conversations/{step}/recordingmetadata")
    except NotFoundError:
        return None
    return [one for one in found or [] if isinstance(one, dict)]
