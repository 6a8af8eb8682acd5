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
    job, path, member = PATHS[kind]
    server.on(f"GET {path}", Reply(200, {"state": "FULFILLED"}))
    body = b"\xef\xbb\xbf" + msgspec.json.encode({member: records})
    server.on(f"GET {path}/results", Reply(200, body))
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
