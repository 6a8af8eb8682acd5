"""Every fault of a page on its way, and of the token that it is asked for with: each has its stated outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import tenacity

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.handle import make_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http import client as client_module
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import ATTEMPTS, CloudClient
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.exceptions import (
    AuthenticationError,
    CloudUnavailableError,
    ForeignAnswerError,
    GenesysError,
    PermissionDeniedError,
    SourceChangedError,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.pages import Pages, open_pages
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.fault_proxy import Fault, FaultProxy
from tests.faults.crash_child import DAY
from tests.unit.pipeline.memory_sink import MemorySink, Shelf

KIND = "conversation_details"
JOBS = "/api/v2/analytics/conversations/details/jobs/"
HTML = {"Content-Type": "text/html"}
CUT = 20_000
"""Bytes of a page after which it breaks off: in its second conversation."""


@dataclass
class Scene:
    """One day of 40 conversations in four pages, behind a proxy."""

    genesys: FakeGenesys
    proxy: FaultProxy
    client: CloudClient
    handle: dict[str, Any]

    def load(self, shelf: Shelf) -> Certificate:
        load = Load("load", self.handle["export_id"], KIND, *DAY, DAY[1], resolve(None, kind=KIND), "test")
        return run(load, self._pages, MemorySink(shelf), Options(batch_size=7))

    def _pages(self, _: Any) -> Pages:
        opened = open_pages(self.handle, self.client, page_size=10)
        assert opened
        return opened

    def spoil(self, page: int, *faults: Fault) -> None:
        """Spoil the answers to a page, counted from 0, one fault each."""
        results = f"{JOBS}{self.handle['export_id']}/results"
        self.proxy.plan(*[None] * page, *faults, path=results)


@pytest.fixture
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    patience = 1 if "stalls" in request.node.name else 60  # under load a healthy answer may take seconds
    monkeypatch.setattr(client_module, "_backoff", tenacity.wait_none())
    monkeypatch.setattr(shared, "_known", {})
    with (
        FakeGenesys(conversations=40, requests_per_minute=100_000, available_until=DAY[1]) as genesys,
        FaultProxy(genesys.url) as proxy,
    ):
        given = genesys.connection()
        extra = {**given["extra"], "login_url": proxy.url, "requests_per_minute": 100_000, "timeout": patience}
        config = CloudConfig.from_connection(
            login=given["login"], password=given["password"], host=proxy.url, extra=extra
        )
        with CloudClient(config) as client:
            found = family(KIND, config)
            by_day = {"startOfDayIntervalMatching": True}
            export_id = found.create(client, ExportRequest(*DAY, options=by_day))
            yield Scene(genesys, proxy, client, make_handle(found.status(client, export_id), config))


def held(shelf: Shelf) -> Any:
    assert shelf.certificate
    counted = replace(shelf.certificate, started_at=None, ended_at=None, seconds=0, phases={}, peak_memory_mb=0)
    return [row[:-1] for row in shelf.rows], shelf.offsets, replace(counted, attempts=1)


@pytest.fixture
def perfect(scene: Scene) -> Any:
    shelf = Shelf()
    scene.load(shelf)
    assert len(shelf.rows) == 40
    return held(shelf)


PASSING = {
    "a reset in the middle of a page": Fault(after=CUT),
    "a page that ends before its Content-Length": Fault(after=CUT, then="close"),
    "a chunked page that is cut": Fault(framing="chunked", after=CUT, then="close"),
    "a page that stalls": Fault(after=CUT, then="stall"),
    "no answer to a page": Fault(no_head=True),
    "503 for a page": Fault(status=503, body=b"{}"),
    "502 with an HTML page": Fault(status=502, headers=HTML, body=b"<html>bad gateway</html>"),
    "408 for a page": Fault(status=408, body=b"{}"),
    "429 for a page": Fault(status=429, headers={"Retry-After": "0"}, body=b"{}"),
    "a page that is packed with gzip": Fault(form="gzip"),
    "a page that is cut where nothing tells its length": Fault(framing="close", after=CUT, then="close"),
    "200 with an HTML page in place of a page": Fault(headers=HTML, body=b"<html>sign in</html>"),
    "200 with a page of another shape": Fault(body=b'{"conversations": {"a": 1}}'),
    "a redirect in place of a page": Fault(status=302, headers={"Location": "/login"}, body=b""),
    "404 with an HTML page": Fault(status=404, headers=HTML, body=b"<html>not here</html>"),
}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=name, marks=pytest.mark.outcome("pages", name, "recovers"))
        for name, fault in PASSING.items()
    ],
)
def test_a_page_that_fails_is_asked_for_again(scene: Scene, perfect: Any, fault: Fault) -> None:
    scene.spoil(1, fault)
    shelf = Shelf()
    scene.load(shelf)
    assert held(shelf) == perfect


@pytest.mark.outcome("pages", "the token is refused in the middle of the pages (401)", "recovers")
def test_a_token_that_is_refused_between_two_pages_is_renewed(scene: Scene, perfect: Any) -> None:
    scene.spoil(2, Fault(status=401, body=b"{}"))
    shelf = Shelf()
    scene.load(shelf)
    assert held(shelf) == perfect


LASTING = {
    "503 for a page, for ever": (Fault(status=503, body=b"{}"), CloudUnavailableError),
    "200 with an HTML page, for ever": (Fault(headers=HTML, body=b"<html>sign in</html>"), ForeignAnswerError),
    "a redirect, for ever": (Fault(status=302, headers={"Location": "/login"}, body=b""), ForeignAnswerError),
    "403 for a page": (Fault(status=403, body=b'{"message": "missing permissions"}'), PermissionDeniedError),
    "401 for a page, for ever": (Fault(status=401, body=b"{}"), AuthenticationError),
}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(*case, id=name, marks=pytest.mark.outcome("pages", name, case[1].__name__))
        for name, case in LASTING.items()
    ],
)
def test_what_does_not_heal_is_an_error_and_nothing_is_complete(
    scene: Scene, fault: Fault, error: type[GenesysError]
) -> None:
    scene.spoil(1, *[fault] * 20)
    shelf = Shelf()
    with pytest.raises(error):
        scene.load(shelf)
    assert shelf.certificate is None


TURNS = {
    "the same cursor twice": "same cursor",
    "a cursor that leads back to an earlier page": "cursor loop",
    "a page that repeats the one before": "page repeated",
}


@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(turn, id=turn, marks=pytest.mark.outcome("pages", name, "SourceChangedError"))
        for name, turn in TURNS.items()
    ],
)
def test_a_way_in_circles_is_an_error_and_nothing_is_complete(scene: Scene, turn: Any) -> None:
    scene.genesys.page_fault = turn
    shelf = Shelf()
    with pytest.raises(SourceChangedError):
        scene.load(shelf)
    assert shelf.certificate is None


@pytest.mark.outcome("pages", "a cursor has expired between two pages", "recovers")
def test_a_cursor_that_expires_is_found_again(scene: Scene, perfect: Any) -> None:
    shelf = Shelf()
    scene.spoil(2, *[Fault(headers=HTML, body=b"<html>")] * ATTEMPTS)
    with pytest.raises(CloudUnavailableError):
        scene.load(shelf)
    scene.genesys.expire_cursors()
    scene.load(shelf)
    assert held(shelf) == perfect


BROKEN_TEXTS = {
    "half a surrogate pair": (b'"\\ud83d"', "not-json"),
    "NaN": (b"NaN", "not-json"),
    "a tab that is not escaped": (b'"a\tb"', "not-json"),
    "1,500 nested lists": (b"[" * 1500 + b"]" * 1500, "too-deep"),
    "bytes that are not UTF-8": (b'"\xff"', "not-utf8"),
}


def first_page(scene: Scene) -> bytes:
    return scene.client.decode(f"{JOBS}{scene.handle['export_id']}/results", bytes, params={"pageSize": 10})


def broken_in(page: bytes, text: bytes, number: int) -> bytes:
    """The page with ``text`` as a value in one of its conversations."""
    at = [match.start() for match in re.finditer(rb'\{"conversationId"', page)][number]
    return page[: at + 1] + b'"broken": ' + text + b", " + page[at + 1 :]


@pytest.mark.outcome("pages", "one conversation of a page is no JSON", "dead letter")
@pytest.mark.parametrize("number", [0, 4, 9])
@pytest.mark.parametrize("text", BROKEN_TEXTS)
def test_a_conversation_whose_text_is_broken_is_rejected_and_the_others_land(
    scene: Scene, perfect: Any, text: str, number: int
) -> None:
    broken, rule = BROKEN_TEXTS[text]
    body = broken_in(first_page(scene), broken, number)
    scene.spoil(0, Fault(body=body))
    shelf = Shelf()
    certificate = scene.load(shelf)
    assert certificate.rules == {rule: 1}
    assert certificate.counts.read == 40
    rows, _, _ = perfect
    assert sorted(row[0] for row in shelf.rows) == sorted(row[0] for place, row in enumerate(rows) if place != number)
    assert shelf.letters[0].raw in body


@pytest.mark.outcome("pages", "`conversations: null`, 204 or an empty cursor", "recovers")
@pytest.mark.parametrize(
    "end",
    [
        Fault(body=b'{"conversations": null}'),
        Fault(status=204, body=b""),
        Fault(body=b'{"conversations": [], "cursor": ""}'),
    ],
    ids=["null", "204", "empty cursor"],
)
def test_a_page_that_says_in_another_way_that_it_is_empty_is_the_last_one(scene: Scene, end: Fault) -> None:
    scene.spoil(1, end, end)
    certificate = scene.load(Shelf())
    assert certificate.counts == Counts(10, 10)


BUSY = Fault(body=b'{"message": "no healthy upstream", "code": "busy"}')


@pytest.mark.outcome("pages", "204, `{}` or an error with status 200, once, and then the page", "recovers")
@pytest.mark.parametrize("empty", [Fault(status=204, body=b""), Fault(body=b"{}"), BUSY], ids=["204", "{}", "error"])
def test_an_empty_answer_is_believed_when_it_comes_twice(scene: Scene, perfect: Any, empty: Fault) -> None:
    scene.spoil(1, empty)
    shelf = Shelf()
    scene.load(shelf)
    assert held(shelf) == perfect


@pytest.mark.outcome("pages", "an error with status 200, again and again", "ForeignAnswerError")
def test_an_error_is_never_the_last_page(scene: Scene, perfect: Any) -> None:
    scene.spoil(1, *[BUSY] * ATTEMPTS)
    shelf = Shelf()
    with pytest.raises(CloudUnavailableError, match=r"an error with status 200: .*no healthy upstream"):
        scene.load(shelf)
    scene.load(shelf)
    assert held(shelf) == perfect


@pytest.mark.outcome("pages", "empty pages with ever new cursors", "SourceChangedError")
def test_a_walk_without_progress_ends(scene: Scene) -> None:
    pages = [Fault(body=json.dumps({"conversations": [], "cursor": f"c{n}"}).encode()) for n in range(150)]
    scene.spoil(1, *pages)
    shelf = Shelf()
    with pytest.raises(SourceChangedError, match=r"100 pages of job .* in a row have no record"):
        scene.load(shelf)
    assert shelf.certificate is None
    assert len(shelf.rows) == 10
