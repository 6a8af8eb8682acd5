"""Pages in which single records have another shape than documented: those are rejected, and the others are loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from scripted_server import Reply, ScriptedServer

from airflow_provider_genesys.cloud.exports.results import page_reader
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.contracts.contract import built_in
from airflow_provider_genesys.exceptions import CloudUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.broken_pages import repaired
from airflow_provider_genesys.source.pages import Pages
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import a_load

WINDOW = {"window_start": "2026-11-22T00:00:00+00:00", "window_end": "2026-11-23T00:00:00+00:00"}
PATHS = {
    "aggregates": ("flows:j", "/api/v2/analytics/flows/aggregates/jobs/j", "results"),
    "user_details": ("j", "/api/v2/analytics/users/details/jobs/j", "userDetails"),
}
INTERVAL = "2026-11-22T00:00:00.000Z/2026-11-22T00:30:00.000Z"
GROUP: dict[str, Any] = {"group": {"flowId": "f"}, "data": [{"interval": INTERVAL, "metrics": []}]}
METRIC = {"metric": "nFlow", "stats": {"count": 3}}


def of_metric(**changes: Any) -> dict[str, Any]:
    return {"data": [{"interval": INTERVAL, "metrics": [{**METRIC, **changes}]}]}


def loaded(kind: str, records: list[Any], client: CloudClient, server: ScriptedServer) -> tuple[Shelf, Certificate]:
    body = b"\xef\xbb\xbf" + msgspec.json.encode({PATHS[kind][2]: records})
    return from_pages(kind, [body], client, server)


def from_pages(
    kind: str, bodies: list[bytes], client: CloudClient, server: ScriptedServer
) -> tuple[Shelf, Certificate]:
    job, path, _ = PATHS[kind]
    server.on(f"GET {path}", Reply(200, {"state": "FULFILLED"}))
    server.on(f"GET {path}/results", *(Reply(200, body) for body in bodies))
    handle = {"export_id": job, "kind": kind, **WINDOW}
    found, shelf = page_reader(handle, client, page_size=100, repair=repaired), Shelf()
    assert found
    pages = Pages(found[0], job)
    load = replace(a_load(contract=built_in(kind)), kind=kind)
    certificate = run(
        load,
        lambda start: pages.open_at(start, max_record_bytes=2**24),
        MemorySink(shelf),
        Options(max_dead_letter_ratio=None),
    )
    return shelf, certificate


@pytest.mark.outcome("pages", "one group of aggregates has another shape", "dead letter")
@pytest.mark.parametrize(
    ("odd", "rejected"),
    [
        (None, 1),
        ("x", 1),
        (5, 1),
        ([], 1),
        ({"group": []}, 1),
        ({"data": {}}, 1),
        ({"data": [{"metrics": []}]}, 1),
        ({"data": [{"interval": 5}]}, 1),
        (of_metric(metric=5), 1),
        (of_metric(stats=5), 1),
        (of_metric(stats=None), 1),
        ({"data": [{"interval": INTERVAL, "metrics": [{"metric": "nFlow"}]}]}, 1),
        ({"data": None}, 0),
        ({"group": None, "data": [{"interval": INTERVAL, "metrics": None, "views": None}]}, 0),
    ],
)
def test_a_group_of_another_shape_is_rejected(
    odd: Any, rejected: int, client: CloudClient, server: ScriptedServer
) -> None:
    shelf, certificate = loaded("aggregates", [odd, {**GROUP, **of_metric()}], client, server)
    assert (len(shelf.rows), certificate.counts.dead_letters) == (1, rejected)


@pytest.mark.parametrize("odd", [None, "x", 5, [{"userId": "u"}], {}])
def test_a_user_of_another_shape_is_rejected(odd: Any, client: CloudClient, server: ScriptedServer) -> None:
    shelf, certificate = loaded("user_details", [odd, {"userId": "u1"}], client, server)
    assert (len(shelf.rows), certificate.counts.dead_letters) == (1, 1)
    if odd != {}:
        assert shelf.letters[0].raw == msgspec.json.encode(odd)


def test_a_member_of_a_record_does_not_take_the_place_of_its_window(
    client: CloudClient, server: ScriptedServer
) -> None:
    user = {"userId": "u1", "id": "u1", "windowStart": "1999-01-01T00:00:00Z"}
    shelf, _ = loaded("user_details", [user], client, server)
    [row] = shelf.rows
    contract = built_in("user_details")
    assert row[contract.index("id")] == "u1/2026-11-22T00:00:00+00:00"
    assert row[contract.index("windowStart")].isoformat() == WINDOW["window_start"]


LAST = b'{"userDetails": [{"userId": "c"}, {"userId": "d"}]}'


@pytest.mark.outcome("pages", "a cursor that is a number", "recovers")
@pytest.mark.outcome("pages", "commas between the records of a page are missing or too many", "recovers")
@pytest.mark.outcome("pages", "text without brackets behind a page", "recovers")
@pytest.mark.parametrize(
    "first",
    [
        b'{"userDetails": [{"userId": "a"}, {"userId": "b"}], "cursor": 12345678901234567890123}',
        b'{"userDetails": [{"userId": "a"} {"userId": "b"}], "cursor": "2"}',
        b'{"userDetails": [{"userId": "a"},, {"userId": "b"},], "cursor": "2"}',
        b'{"userDetails": [{"userId": "a"}{"userId": "b"}], "cursor": 2} and more',
        b'{"userDetails": [{"userId": "a"}, {"userId": "b"}], "cursor": "2"}\0\0',
        b'\xef\xbb\xbf  {"userDetails": [{"userId": "a"}, {"userId": "b"}], "cursor": "2"} <!-- a proxy -->',
        b'{"userDetails": [{"userId": "a", "cursor": 1, "cursor": 2}, {"userId": "b"}], "cursor": "2"}',
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_a_page_with_an_oddity_is_read_and_the_next_one_follows(
    first: bytes, broken: bool, client: CloudClient, server: ScriptedServer
) -> None:
    if broken:
        first = first.replace(b'"b"}', b'"b"}, {"userId": "x", "n": NaN}')
    shelf, certificate = from_pages("user_details", [first, LAST], client, server)
    users = built_in("user_details").index("userId")
    assert [row[users] for row in shelf.rows] == ["a", "b", "c", "d"]
    assert certificate.counts.dead_letters == broken


@pytest.mark.outcome("pages", "a cursor that is neither text nor a number", "CloudUnavailableError")
@pytest.mark.outcome("pages", "a page has its records or its cursor twice", "CloudUnavailableError")
@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b'{"userDetails": [{"userId": "a"}], "cursor": true}', "neither text nor a number"),
        (b'{"userDetails": [{"userId": "a"}], "cursor": false}', "neither text nor a number"),
        (b'{"userDetails": [{"userId": "a"}], "cursor": ["2"]}', "neither text nor a number"),
        (b'{"userDetails": [{"userId": "a"}], "userDetails": [{"userId": "b"}]}', "'userDetails' twice"),
        (b'{"userDetails": [{"userId": "a"}], "cursor": "2", "cursor": null}', "'cursor' twice"),
        (b'{"userDetails": [{"userId": "a"}]} {"userDetails": [{"userId": "b"}]}', "trailing"),
        (b'{"userDetails": [{"userId": "a"}]', "truncated"),
    ],
)
def test_a_page_that_may_hide_records_is_an_error(
    first: bytes, says: str, client: CloudClient, server: ScriptedServer
) -> None:
    with pytest.raises(CloudUnavailableError, match=says):
        from_pages("user_details", [first], client, server)
