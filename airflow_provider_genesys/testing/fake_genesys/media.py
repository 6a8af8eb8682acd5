"""The media of recordings: metadata, batch requests for short-lived URLs, retention, and the files themselves."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from airflow_provider_genesys.testing.fake_genesys.analytics_query import ConversationQuery
from airflow_provider_genesys.testing.fake_genesys.download import deliver
from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response, api_error, json_response, s3_error
from airflow_provider_genesys.testing.fake_genesys.presign import Signer
from airflow_provider_genesys.testing.fake_genesys.recorded import Recorded, recordings_of, recordings_of_all
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

MEDIA_PREFIX = "/archive/media/"
LARGEST_BATCH = 100
_BATCHES = re.compile(r"/api/v2/recording/batchrequests(?:/([^/]+))?")
_METADATA = re.compile(r"/api/v2/conversations/([^/]+)/recordingmetadata(?:/([^/]+))?")
_RETENTION_DAY = "2026-11-22T00:00:00.000Z/2026-11-23T00:00:00.000Z"


@dataclass
class Batch:
    """One batch request. ``looks`` is how often it was asked for."""

    asked: list[dict[str, str]]
    found: list[Recorded]
    id: str = field(default_factory=lambda: str(uuid4()))
    looks: int = 0


@dataclass
class MediaState:
    """The state that tests look at and change.

    :param errors: ``errorMsg`` of a recording, by its id, in place of a URL.
    :param gone: conversations that do not exist any more.
    :param cut: that many transfers of media end half way.
    :param twice: recordings that come in two results.
    """

    batches: dict[str, Batch] = field(default_factory=dict)
    files: dict[str, Recorded] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)
    cut: int = 0


@dataclass(frozen=True)
class _Cut:
    """Media whose transfer ends half way."""

    recorded: Recorded

    @property
    def size(self) -> int:
        return self.recorded.size

    def send_to(self, connection: socket.socket, start: int, stop: int) -> None:
        self.recorded.send_to(connection, start, (start + stop) // 2)
        raise ConnectionError


class MediaApi:
    """Answers what concerns the media of recordings.

    :param find: gives the ids of the conversations that a query finds.
    """

    def __init__(
        self, settings: Settings, state: MediaState, signer: Signer, find: Callable[[ConversationQuery], list[str]]
    ) -> None:
        self._settings = settings
        self._state = state
        self._signer = signer
        self._find = find

    def answer(self, request: Request) -> Response | None:
        """Answer one request; None where the path is not of this API."""
        if match := _BATCHES.fullmatch(request.path):
            return self._batch(match[1], request) if match[1] else self._create(request)
        if match := _METADATA.fullmatch(request.path):
            return self._metadata(match[1], match[2])
        if request.path == "/api/v2/recording/settings":
            minutes = self._settings.batch_url_minutes
            return json_response(200, {"recordingBatchDownloadUrlTtl": minutes, "recordingPlaybackUrlTtl": minutes})
        if request.path == "/api/v2/recordings/retention/query":
            return self._retention(request)
        return None

    def file(self, request: Request) -> Response:
        """Answer one request for a file."""
        if refusal := self._signer.refusal(request.method, request.path, request.query):
            return refusal
        recorded = self._state.files.get(request.path)
        if recorded is None:
            return s3_error(404, "The specified key does not exist.", Key=request.path.lstrip("/"))
        described = {
            "ETag": recorded.etag,
            "Last-Modified": format_datetime(recorded.start, usegmt=True),
            "Content-Type": recorded.content_type,
        }
        self._state.cut -= 1
        return deliver(_Cut(recorded) if self._state.cut >= 0 else recorded, described, request.headers)

    def _create(self, request: Request) -> Response:
        asked = json.loads(request.body or b"{}").get("batchDownloadRequestList") or []
        if not 1 <= len(asked) <= LARGEST_BATCH:
            return api_error(400, f"A batch request must have between 1 and {LARGEST_BATCH} items")
        found = [
            one
            for item in asked
            for one in recordings_of(item["conversationId"], self._settings)
            if item.get("recordingId") in {None, one.id}
        ]
        visible = [one for one in found if self._settings.view_sensitive_data or not one.sensitive]
        batch = Batch(asked, [one for one in visible for _ in range(2 if one.id in self._state.twice else 1)])
        self._state.batches[batch.id] = batch
        return json_response(200, {"id": batch.id, "selfUri": f"{request.path}/{batch.id}"})

    def _batch(self, batch_id: str, request: Request) -> Response:
        batch = self._state.batches.get(batch_id)
        if batch is None:
            return api_error(404, f"Batch {batch_id} was not found.", entityId=batch_id, entityName="batch")
        batch.looks += 1
        done = batch.looks > (self._settings.job_polls or 0)
        results = [self._result(one, request.headers.get("Host", "")) for one in batch.found] if done else []
        body = {
            "id": batch.id,
            "jobId": batch.id,
            "status": "Completed" if done else "InProgress",
            "expectedResultCount": len(batch.found),
            "resultCount": len(results),
            "errorCount": sum("errorMsg" in one for one in results),
            "results": results,
        }
        return json_response(200, body)

    def _result(self, recorded: Recorded, host: str) -> dict[str, Any]:
        ids = {"conversationId": recorded.conversation_id, "recordingId": recorded.id}
        if message := self._state.errors.get(recorded.id):
            return {**ids, "errorMsg": message}
        self._state.files[recorded.path] = recorded
        seconds = min(self._settings.url_seconds, 60 * self._settings.batch_url_minutes)
        signed, _ = self._signer.sign(recorded.path, seconds)
        return {**ids, "resultUrl": f"http://{host}{signed}", "contentType": recorded.content_type}

    def _metadata(self, conversation_id: str, recording_id: str | None) -> Response:
        found = [one.metadata() for one in recordings_of(conversation_id, self._settings)]
        if conversation_id in self._state.gone:
            return api_error(404, "The conversation was not found.", entityId=conversation_id)
        if recording_id is None:
            return json_response(200, found)
        one = next((one for one in found if one["id"] == recording_id), None)
        return json_response(200, one) if one else api_error(404, "The recording was not found.", entityId=recording_id)

    def _retention(self, request: Request) -> Response:
        size, days = request.query.get("pageSize", "25"), request.query.get("retentionThresholdDays", "")
        if not days.isdecimal():
            return api_error(400, "retentionThresholdDays is required")
        if not size.isdecimal() or not 1 <= int(size) <= 500:  # noqa: PLR2004 - Genesys' largest page
            return api_error(400, "pageSize must be between 1 and 500")
        query = ConversationQuery(interval=_RETENTION_DAY, start_of_day_interval_matching=True)
        found: Sequence[Recorded] = recordings_of_all(self._find(query), self._settings)
        start = int(request.query.get("cursor", "0"))
        body: dict[str, Any] = {"entities": [_retained(one) for one in found[start : start + int(size)]]}
        if start + int(size) < len(found):
            following = urlencode({**request.query, "cursor": start + int(size)})
            body["nextUri"] = f"{request.path}?{following}"
        return json_response(200, body)


def _retained(recorded: Recorded) -> dict[str, str]:
    created = recorded.metadata()["startTime"]
    return {"conversationId": recorded.conversation_id, "recordingId": recorded.id, "creationTime": created}
