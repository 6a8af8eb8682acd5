"""Whatever shape an answer of the API has: it is read, or an error of this package says that it cannot be."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest

from airflow_provider_genesys import retries
from airflow_provider_genesys.backfill.daily_counts import conversations_by_day
from airflow_provider_genesys.cloud.config import ArchiveApi, CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.handle import make_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http.shapes import decode
from airflow_provider_genesys.completeness.genesys_counts import GenesysCounts
from airflow_provider_genesys.entities.declaration import built_in
from airflow_provider_genesys.entities.walk import ListingWalk
from airflow_provider_genesys.exceptions import ForeignAnswerError, GenesysError, RecordError
from airflow_provider_genesys.media.batches import MediaBatches, Patience, Recording
from airflow_provider_genesys.media.index import of_retention, recording_metadata
from airflow_provider_genesys.source.pages import open_pages
from airflow_provider_genesys.window import Window

WINDOW = Window(datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))
URLS = ("https://api.mypurecloud.com", "https://login.mypurecloud.com")
CONFIG = CloudConfig("client", "secret", *URLS, allowed_download_hosts=("store.example",))
WRONG = (None, [], {}, 5, 1e308, 10**400, "x", True, "\ud800", ["x"], [None], {"a": 1}, "http://[", "9" * 5000)

Answers = dict[str, Any]


class Scripted:
    """Answers a path with the first answer whose name is in it, as a :class:`CloudClient` would decode it."""

    config = CONFIG

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def fetch(self, path: str, **_: Any) -> bytes:
        found = next((answer for name, answer in self.answers.items() if name in path), None)
        return b"" if found is None else json.dumps(found).encode()

    def request(self, _: str, path: str, is_answer: Callable[[Any], object] = lambda _: True, **__: Any) -> Any:
        body = self.fetch(path)
        answer = decode(body) if body else None
        if not is_answer(answer):
            raise ForeignAnswerError("something else")
        return answer

    def decode(self, path: str, read: Callable[[bytes], Any], **_: Any) -> Any:
        return read(self.fetch(path))

    def note_url(self, _: str) -> None:
        pass


def status(kind: str) -> Callable[[Any], object]:
    return lambda client: json.dumps(make_handle(family(kind, CONFIG).status(client, "job"), CONFIG))


def create(kind: str, **options: Any) -> Callable[[Any], object]:
    return lambda client: family(kind, CONFIG).create(client, ExportRequest(WINDOW.start, WINDOW.end, options=options))


def pages(kind: str, export_id: str = "job") -> Callable[[Any], object]:
    where = {"window_start": WINDOW.start.isoformat(), "window_end": WINDOW.end.isoformat()}

    def read(client: Any) -> None:
        found = open_pages({"export_id": export_id, "kind": kind, **where}, client, page_size=5)
        assert found
        for part in found.slices(10, cut_every=None, flush_interval=1):
            assert part.places
            part.places.at(part.end)

    return read


def media(client: Any) -> bytes:
    stopped = threading.Event()
    stopped.set()
    found = MediaBatches(client, Patience(0, 0, 0), stopped).results([Recording("c", "r")])
    return msgspec.json.encode([(one.error, one.content_type) for one in found])


def listing(name: str) -> Callable[[Any], object]:
    return lambda client: list(
        ListingWalk(client, built_in(name)).pages("x").slices(10, cut_every=None, flush_interval=1)
    )


_A = ArchiveApi()
ARCHIVE = {
    _A.state_field: "COMPLETED",
    _A.uri_field: "https://store.example/x?X-Amz-Signature=abcdef",
    _A.size_field: 5,
    _A.etag_field: "e",
    _A.expires_field: "2026-01-02T00:00:00Z",
    _A.filter_field: {_A.from_field: "2026-01-01T00:00:00Z"},
}
JOB = {"state": "FULFILLED", "errorMessage": "x", "submissionDate": "2026-01-01T00:00:00Z"}
DETAILS = {"conversations": [{"conversationId": "a", "conversationStart": "2026-01-01T00:00:00Z"}], "cursor": None}
COUNTS = {
    "metrics": [{"metric": "nConnected", "stats": {"count": 5}}],
    "interval": "2026-01-01T00:00Z/2026-01-02T00:00Z",
}
AGGREGATES = {"results": [{"group": {"mediaType": "voice"}, "data": [COUNTS]}], "cursor": None}
BULK = {"id": "j", "state": "READY", "recordingJobsQuery": {"conversationQuery": {"interval": "x/y"}}}
BULK |= {"totalFailedRecordings": 1, "percentProgress": 5, "dateCreated": "2026-01-01T00:00:00Z"}
FAILED = {"entities": [{"recording": {"id": "y"}}], "nextUri": "/x?cursor=5"}
BATCH = {"status": "COMPLETED", "expectedResultCount": 1, "results": [{"conversationId": "c", "recordingId": "r"}]}
BATCH["results"][0] |= {"resultUrl": "https://store.example/x", "contentType": "audio/ogg", "errorMsg": "no"}
LISTED = {"entities": [{"id": "a"}], "total": 1, "pageCount": 1, "pageSize": 25, "nextUri": None}
LISTED |= {"cursors": {"after": None}}

CASES: dict[str, tuple[Answers, Callable[[Any], object]]] = {
    "archive, created": ({"": {"id": "a"}}, create("recordings")),
    "archive, status": ({"": ARCHIVE}, status("recordings")),
    "details, created": ({"": {"jobId": "a"}}, create("conversation_details")),
    "details, status": ({"": JOB}, status("conversation_details")),
    "details, page": ({"/results": DETAILS, "/jobs/": JOB}, pages("conversation_details")),
    "aggregates, page": ({"/results": AGGREGATES, "/jobs/": JOB}, pages("aggregates", "conversations:job")),
    "bulk, created": ({"": {**BULK, **FAILED}}, create("recording_bulk", integrationId="i")),
    "bulk, status": ({"": BULK}, status("recording_bulk")),
    "bulk, page": ({"/failed": FAILED, "": {**BULK, "state": "FULFILLED"}}, pages("recording_bulk")),
    "media": (
        {"/batchrequests/": BATCH, "/batchrequests": {"id": "b"}, "": {"recordingBatchDownloadUrlTtl": 5}},
        media,
    ),
    "retention": (
        {"": {"entities": [{"conversationId": "c", "recordingId": "r"}], "nextUri": "/x?cursor=1"}},
        lambda client: of_retention(client, 5, 5)(0, None),
    ),
    "metadata": ({"": [{"id": "r"}]}, lambda client: recording_metadata(client, "c")),
    "counts": ({"": AGGREGATES}, lambda client: GenesysCounts(client, WINDOW).cells()),
    "days": ({"": AGGREGATES}, lambda client: conversations_by_day(client, WINDOW.start, WINDOW.end)),
    "listing by number": ({"": LISTED}, listing("users")),
    "listing by cursor": ({"": LISTED}, listing("divisions")),
    "listing below parents": ({"/groups/": LISTED, "/groups": LISTED}, listing("group_members")),
}


def places(value: Any, path: Sequence[Any] = ()) -> Iterator[Sequence[Any]]:
    """Each place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from places(one, (*path, name))


def changed(value: Any, path: Sequence[Any], wrong: Any) -> Any:
    if not path:
        return wrong
    value = copy.deepcopy(value)
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = wrong
    return value


@pytest.mark.outcome(
    "jobs",
    "members of an answer have other types, half a surrogate pair, 5,000 digits, or are missing",
    "recovers, or a clear error",
)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.timeout(60)
def test_an_answer_of_any_shape_is_read_or_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.0)
    answers, ask = CASES[case]
    for name, answer in answers.items():
        for path in places(answer):
            for wrong in WRONG:
                try:
                    ask(Scripted({**answers, name: changed(answer, path, wrong)}))
                except (GenesysError, RecordError):
                    pass
                except Exception as error:
                    raise AssertionError(f"{name} with {wrong!r:.40} at {path}: {error!r:.200}") from error


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'["\ud800", "a\ud83d\ude00b", "\\ud800"]', ["\ufffd", "a\U0001f600b", "\\ud800"]),
        (rb'{"\uDC00": {"a": ["x\udbff"]}}', {"\ufffd": {"a": ["x\ufffd"]}}),
        (b'["\xed\xa0\x80"]', ["\ufffd\ufffd\ufffd"]),
        (b"\xef\xbb\xbf[1]", [1]),
    ],
)
def test_half_a_surrogate_pair_is_replaced(body: bytes, expected: Any) -> None:
    assert decode(body) == expected
