"""The conversations of a load of media: those of an export, or those with recordings that are retained.

The conversations of an SQL query are in :mod:`.query`, which needs PostgreSQL's driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.cloud.exports.elements import RecordIds
from airflow_provider_genesys.cloud.exports.page_body import read_body
from airflow_provider_genesys.cloud.exports.progress import Progress
from airflow_provider_genesys.cloud.http.no_answer import Doubt
from airflow_provider_genesys.cloud.http.paths import path_step
from airflow_provider_genesys.cloud.http.shapes import query_of
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    CursorLostError,
    NotFoundError,
    RecordError,
    RequestRefusedError,
)
from airflow_provider_genesys.media.store import Metadata, id_of
from airflow_provider_genesys.source.broken_pages import elements, repaired

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

_IDS, _RETAINED = RecordIds("id"), RecordIds("recordingId")
_METADATA = msgspec.json.Decoder(dict[str, msgspec.Raw])
RETENTION = "/api/v2/recordings/retention/query"
LARGEST_PAGE = 500


@dataclass(frozen=True)
class Conversations:
    """One page of conversation ids. ``cursor`` names the next page; None after the last.

    :param recordings: by conversation, the ids of the recordings to load. A conversation that is absent: all of them.
    :param broken: texts of recordings that are no JSON objects, with as much as is found in them.
    """

    ids: list[str]
    cursor: str | None
    recordings: Mapping[str, list[str]] = field(default_factory=dict)
    broken: Sequence[BrokenMetadata] = ()


Index = Callable[[int, str | None], Conversations]
"""Returns a page of conversations. Arguments: the place of the job, and the cursor (None: first page)."""


def of_pages(read: Callable[[int, str | None], Page]) -> Index:
    """Return the index of the conversations on the pages of details jobs."""

    def index(job: int, cursor: str | None) -> Conversations:
        page = read(job, cursor)
        return Conversations(page.ids, page.cursor)

    return index


def of_retention(client: CloudClient, days: int, size: int) -> Index:
    """Return the index of the recordings that Genesys retains for more than ``days``, without regard to a window.

    Each recording comes once. A conversation comes on two pages if its recordings are on both.

    :param size: recordings in a page.

    The index raises :class:`CursorLostError` if Genesys no longer accepts a cursor.
    """
    walk = Progress(RETENTION, "The load is not complete.")

    def index(_: int, cursor: str | None) -> Conversations:
        first = urlencode({"retentionThresholdDays": days, "pageSize": min(size, LARGEST_PAGE)})
        try:
            read = partial(_retained, Doubt())
            page = client.decode(RETENTION, read, params=dict(parse_qsl(cursor or first)))
        except (NotFoundError, RequestRefusedError) as error:
            if cursor is None:
                raise
            raise CursorLostError(f"A cursor of {RETENTION} is not valid any more: {error}") from error
        recordings: dict[str, list[str]] = {}
        broken: list[BrokenMetadata] = []
        for record in map(bytes, page.records):
            try:
                one = msgspec.json.decode(record, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                broken.append(BrokenMetadata(record, message="It is no JSON object.", ids=_RETAINED))
            else:
                # Without an id it is rejected later, as one that Genesys does not know.
                recordings.setdefault(_id(one, "conversationId"), []).append(_id(one, "recordingId"))
        walk.check(page.ids, cursor, page.cursor)
        return Conversations(list(recordings), page.cursor, recordings, broken)

    return index


class _Retention(msgspec.Struct):
    entities: list[msgspec.Raw] | None = None
    nextUri: Any = None  # noqa: N815 - the member's name


_RETENTIONS = msgspec.json.Decoder(_Retention)


def _retained(doubt: Doubt, body: bytes) -> Page:
    what, id_of = f"A page of {RETENTION}", _RETAINED.of_broken
    return read_body(body, what, member="entities", read=_retention, id_of=id_of, repair=repaired, doubt=doubt)


def _retention(body: bytes) -> Page:
    answer = _RETENTIONS.decode(body or b"{}")
    records = [memoryview(one) for one in answer.entities or ()]
    return Page([_RETAINED.of(one) for one in records], records, query_of(answer.nextUri))


def _id(entity: dict[str, Any], name: str) -> str:
    return str(entity.get(name) or "")


def recording_metadata(client: CloudClient, conversation_id: str) -> list[Metadata] | None:
    """Return the metadata of a conversation's recordings; None if Genesys does not know the conversation."""
    try:
        step = path_step(conversation_id, "a conversation")
    except ConfigurationError:
        return None
    try:
        found = client.decode(f"/api/v2/conversations/{step}/recordingmetadata", partial(_believed, Doubt()))
    except NotFoundError:
        return None
    return list(map(_decoded, found))


def _believed(doubt: Doubt, body: bytes) -> list[bytes]:
    doubt.check(body, "[", "The metadata of a conversation's recordings")
    return elements(body)


class BrokenMetadata(dict[str, Any]):
    """The metadata of a recording whose text, ``raw``, is no JSON object: as much as is found in it."""

    def __init__(
        self,
        raw: bytes,
        rule: str = "not-json",
        message: str = "The metadata is no JSON.",
        ids: RecordIds | None = None,
    ) -> None:
        found = (ids or _IDS).found_in(raw)
        super().__init__({"id": found} if found else {})
        self.raw = raw
        self.error = RecordError(rule, message)


def _decoded(text: bytes) -> Metadata:
    try:
        text.decode()
        found: Metadata = {**_METADATA.decode(msgspec.json.format(text, indent=-1))}
    except msgspec.ValidationError:
        return BrokenMetadata(text, "not-an-object", "The metadata is no JSON object.")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return BrokenMetadata(text)
    return {**found, "id": id_of(found)} if "id" in found else found
