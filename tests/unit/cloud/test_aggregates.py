"""Aggregates jobs against the fake Genesys: what is asked, what is refused, and the rows that come of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.aggregate_domains import domains
from airflow_provider_genesys.cloud.exports.aggregates import KIND, Aggregates
from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState, Page, PagedFamily
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.contracts.contract import built_in
from airflow_provider_genesys.exceptions import ConfigurationError, WindowError, WindowTooLargeError
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.genesys_sdk import folder

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
SDK_NAMES = {
    **{
        name: name[:-1].capitalize()
        for name in ("actions", "bots", "conversations", "copilots", "evaluations", "flows", "journeys")
    },
    **{name: name[:-1].capitalize() for name in ("resolutions", "surveys", "transcripts", "users")},
    "agentcopilots": "AgentCopilot",
    "agentutilizations": "AgentUtilization",
    "casemanagement": "CaseManagement",
    "flowexecutions": "FlowExecution",
    "knowledge": "Knowledge",
    "summaries": "Summary",
    "taskmanagement": "TaskManagement",
}


class Scene:
    """One fake Genesys and a client of it."""

    def __init__(self, **settings: Any) -> None:
        shared._known.clear()
        self.genesys = FakeGenesys(**{"conversations": 60, "requests_per_minute": 100_000} | settings).start()
        given = self.genesys.connection()
        config = CloudConfig.from_connection(
            login=given["login"], password=given["password"], host=given["host"], extra=given["extra"]
        )
        self.client = CloudClient(config, patience=1.0)
        found = family(KIND, config)
        assert isinstance(found, PagedFamily)
        self.jobs = found

    def rows(self, *, days: int = 1, pieces: int = 1, **options: Any) -> list[dict[str, Any]]:
        """Every row of an export."""
        request = ExportRequest(DAY, DAY + timedelta(days=days), options=options, pieces=pieces)
        export_id = self.jobs.create(self.client, request)
        assert self.jobs.status(self.client, export_id).state is ExportState.COMPLETED
        rows: list[dict[str, Any]] = []
        for job in self.jobs.jobs(export_id):
            cursor, page = None, Page([], [], "")
            while page.cursor is not None:
                page = self.jobs.page(self.client, job, cursor, 500)
                rows += [msgspec.json.decode(record) for record in page.records]
                cursor = page.cursor
        return rows


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def make(**settings: Any) -> Scene:
        scenes.append(Scene(**settings))
        return scenes[-1]

    yield make
    for one in scenes:
        one.client.close()
        one.genesys.close()


def test_the_table_of_domains_is_that_of_the_sdk() -> None:
    assert domains().keys() == SDK_NAMES.keys()
    for name, domain in domains().items():
        assert allowed(f"{SDK_NAMES[name]}AggregationView", "target") == set(domain.metrics)
        assert allowed(f"{SDK_NAMES[name]}AggregationView", "function") == set(domain.views)
        assert allowed(f"{SDK_NAMES[name]}AggregateQueryPredicate", "dimension") == set(domain.dimensions)
        assert set(domain.default_metrics) <= set(domain.metrics)
        assert {*domain.group_by, *domain.implied} <= set(domain.dimensions)


def test_no_dimension_has_the_name_of_a_column() -> None:
    columns = {column.name for column in built_in(KIND).columns}
    assert columns.isdisjoint(name for domain in domains().values() for name in domain.dimensions)


@pytest.mark.parametrize("domain", sorted(SDK_NAMES))
def test_every_domain_is_asked_by_its_defaults(scene: Callable[..., Scene], domain: str) -> None:
    facts = domains()[domain]
    rows = scene(conversations=5).rows(domain=domain)
    assert {row["domain"] for row in rows} == {domain}
    assert {row["metric"] for row in rows} <= set(facts.default_metrics)
    assert len({row["id"] for row in rows}) == len(rows) > 0


def test_rows_say_what_the_conversations_hold(scene: Callable[..., Scene]) -> None:
    rows = scene().rows(domain="conversations", group_by=["originatingDirection"], granularity="PT6H")
    began = Counter(
        row["intervalStart"] for row in rows for _ in range(row["count"]) if row["metric"] == "nConversations"
    )
    assert began == {f"2026-11-22T{hour}:00:00.000Z": 15 for hour in ("00", "06", "12", "18")}
    assert {row["originatingDirection"] for row in rows} == {"inbound", "outbound"}
    assert "voice" in {row["mediaType"] for row in rows}  # Genesys groups by it unasked
    talk = next(row for row in rows if row["metric"] == "tTalk")
    assert talk["min"] <= talk["sum"] / talk["count"] <= talk["max"]


def test_a_window_that_is_too_large_comes_in_pieces_of_whole_buckets(scene: Callable[..., Scene]) -> None:
    asked: dict[str, Any] = {"domain": "conversations", "granularity": "P1D", "group_by": []}
    whole = scene(conversations=20).rows(days=5, **asked)
    at = scene(conversations=20, bucket_cap=2)
    cut = at.rows(days=5, **asked)
    assert len(at.genesys.jobs) == 5  # four, and one of the try with two
    key = lambda row: row["id"]  # noqa: E731 - once
    assert sorted(cut, key=key) == sorted(whole, key=key)


def test_one_bucket_that_is_too_large_is_an_error(scene: Callable[..., Scene]) -> None:
    with pytest.raises(WindowTooLargeError, match="even one bucket"):
        scene(longest_interval=None, bucket_cap=1).rows(
            days=2, domain="conversations", granularity="P1D", group_by=[], pieces=4
        )


def test_a_filter_and_a_view_are_passed_on(scene: Callable[..., Scene]) -> None:
    at = scene()
    view = {"name": "quick", "target": "tAnswered", "function": "rangeBound", "range": {"lt": 300_000}}
    filters = {"filter": {"type": "and", "predicates": [{"dimension": "mediaType", "value": "voice"}]}}
    options = {"domain": "conversations", "metrics": ["tAnswered"], "views": [view], "group_by": []}
    job = at.jobs.create(at.client, ExportRequest(DAY, DAY + timedelta(days=1), filters, options=options))
    rows = [msgspec.json.decode(record) for record in at.jobs.page(at.client, job, None, 500).records]
    assert {row["mediaType"] for row in rows} == {"voice"}
    total = {name: sum(row["count"] for row in rows if row["metric"] == name) for name in ("quick", "tAnswered")}
    assert 0 < total["quick"] < total["tAnswered"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"domain": "users", "metrics": ["tTalk"]}, "'conversations' has it"),
        ({"domain": "conversations", "group_by": ["botId"]}, "does not group by 'botId'"),
        ({"domain": "calls"}, "need a domain"),
        ({}, "need a domain"),
        ({"domain": "users", "groupBy": ["userId"]}, "must not hold groupBy"),
        ({"domain": "users", "metrics": "tSystemPresence"}, "list of names"),
        ({"domain": "users", "time_zone": "Mars/Olympus"}, "IANA"),
        ({"domain": "users", "views": [{"name": "v", "target": "tSystemPresence", "function": "sum"}]}, "rangeBound"),
        (
            {
                "domain": "users",
                "metrics": ["tSystemPresence"],
                "views": [{"name": "tSystemPresence", "target": "tSystemPresence", "function": "rangeBound"}],
            },
            "differ",
        ),
    ],
)
def test_what_a_domain_has_not_is_refused_before_the_request(
    scene: Callable[..., Scene], options: dict[str, Any], says: str
) -> None:
    at = scene()
    with pytest.raises(ConfigurationError, match=says):
        at.rows(**options)
    assert at.genesys.jobs == {}


def test_a_metric_that_is_newer_than_this_release_is_asked_for(scene: Callable[..., Scene]) -> None:
    body = next(iter(Aggregates().bodies(request(domain="users", metrics=["tBrandNew"]), 1)))
    assert body["metrics"] == ["tBrandNew"]


def test_days_of_a_zone_need_a_window_of_that_zone() -> None:
    with pytest.raises(WindowError, match="timezone='Europe/Zurich'"):
        list(Aggregates().bodies(request(domain="users", granularity="P1D", time_zone="Europe/Zurich"), 1))


def test_a_page_has_about_as_many_rows_whatever_the_buckets() -> None:
    def size(**options: Any) -> int:
        return int(next(iter(Aggregates().bodies(request(domain="users", **options), 1)))["pageSize"])

    assert size() == 138  # 48 buckets of 3 metrics
    assert size(granularity="P1D") == 1_000
    assert size(page_size=3) == 3


def test_rows_of_odd_answers() -> None:
    body = (
        b'{"results":[{"group":{"userId":"u\\"1"},"data":[{"interval":"2026-11-22T01:00:00.000+01:00/soon","metrics":['
        b'{"metric":"tSystemPresence","qualifier":"ON QUEUE","stats":{"sum":5.5}},{"metric":"tX","stats":{}}]}]},'
        b'{"data":[{"interval":"a/b"}]},{"group":{}}],"systemToOrganizationMappings":{}}'
    )
    page = Aggregates().read_page("users:1", body)
    first, second = (msgspec.json.decode(record) for record in page.records)
    assert first["id"].startswith("users/2026-11-22T00:00:00.000Z/soon/tSystemPresence:ON QUEUE/")
    assert (first["userId"], first["qualifier"], first["sum"]) == ('u"1', "ON QUEUE", 5.5)
    assert (second["metric"], second.get("qualifier"), second["intervalEnd"]) == ("tX", None, "soon")
    assert page.cursor is None


def allowed(model: str, member: str) -> set[str]:
    """The words that a member of an SDK's model may have, out of its setter."""
    text = (folder() / "models" / f"{re.sub(r'(?<!^)(?=[A-Z])', '_', model).lower()}.py").read_text()
    setter = re.search(rf"@{member}\.setter.*?allowed_values = \[(.*?)\]", text, re.DOTALL)
    assert setter, (model, member)
    return set(re.findall(r'"([^"]+)"', setter[1]))


def request(**options: Any) -> ExportRequest:
    return ExportRequest(DAY, DAY + timedelta(days=1), options=options)
