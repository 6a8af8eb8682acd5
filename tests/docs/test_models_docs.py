"""docs/models.md: its views on loaded tables, against numbers that are counted apart."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.contracts.contract import built_in as contract_of
from airflow_provider_genesys.entities.declaration import built_in
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.source.pages import Pages
from airflow_provider_genesys.testing.fake_genesys.conversations import Interactions
from airflow_provider_genesys.testing.fake_genesys.listings import render
from airflow_provider_genesys.testing.fake_genesys.organisation import Organisation

_NAMED = ("users", "queues", "wrapup_codes", "divisions")
_ORGANISATION = Organisation(40, seed=1)
_DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


def load(database: str, name: str, contract: Any, records: list[bytes]) -> None:
    page = Page([str(number) for number in range(len(records))], [memoryview(record) for record in records])
    one = Load(name, name, name, _DAY, _DAY + timedelta(days=1), _DAY, contract, "test")
    sink = PostgresSink(lambda: psycopg.connect(database), name, dead_letter_raw="drop")
    run(one, lambda _: Pages(lambda _job, _cursor: page, name), sink, Options())


@pytest.fixture
def conversations(database: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", database)
    for name in _NAMED:
        rows = [json.dumps(render(built_in(name), entry)).encode() for entry in _ORGANISATION.table(name)]
        load(database, name, built_in(name).contract, rows)
    interactions = Interactions(120, seed=1)
    numbers = interactions.of(_DAY, _DAY + timedelta(days=1), by_start_day=True)
    found = [_with_abandoned(json.loads(interactions.render(number))) for number in numbers]
    load(
        database,
        "conversation_details",
        contract_of("conversation_details"),
        [json.dumps(one).encode() for one in found],
    )
    assert main(["views", "--schema", "public"]) == 0
    return found


def _with_abandoned(conversation: dict[str, Any]) -> dict[str, Any]:
    """Let some callers hang up in the queue, and others be answered soon."""
    for _, _, metric in _metrics(conversation, "acd"):
        if metric["name"] == "tWait":
            metric["name"] = "tAbandon"
        if metric["name"] == "tAnswered":
            metric["value"] %= 40_000
    return conversation


def _metrics(
    conversation: dict[str, Any], purpose: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    for participant in conversation["participants"]:
        if participant["purpose"] == purpose:
            for session in participant["sessions"]:
                yield from ((participant, session, metric) for metric in session["metrics"])


def _half_hour(moment: str) -> datetime:
    when = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return when.replace(minute=when.minute // 30 * 30, second=0, microsecond=0)


def _queue(session: dict[str, Any]) -> str | None:
    return next((segment["queueId"] for segment in session["segments"] if segment.get("queueId")), None)


def test_half_hours_of_agents_have_what_is_counted_apart(database: str, conversations: list[dict[str, Any]]) -> None:
    counted: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for conversation in conversations:
        for participant, session, metric in _metrics(conversation, "agent"):
            interval = counted[participant["userId"], _half_hour(metric["emitDate"]), session["mediaType"]]
            interval[metric["name"]] += 1
            interval[f"{metric['name']} ms"] += metric["value"]
    names = ["tAnswered", "tHandle", *(f"t{name} ms" for name in ("Handle", "Talk", "Held", "Acw", "Alert"))]
    expected = {place: tuple(interval[name] for name in names) for place, interval in counted.items()}
    columns = "answered, handled, handle_ms, talk_ms, held_ms, acw_ms, alert_ms"
    found = _query(database, f"SELECT user_id, interval_start, media_type, {columns} FROM genesys_agent_interval")
    assert {row[:3]: row[3:] for row in found} == expected
    assert len(found) == len(expected) > 100


def test_half_hours_of_queues_have_what_is_counted_apart(database: str, conversations: list[dict[str, Any]]) -> None:
    counted: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for conversation in conversations:
        for purpose in ("acd", "agent", "customer", "ivr"):
            for _, session, metric in _metrics(conversation, purpose):
                interval = counted[_queue(session), _half_hour(metric["emitDate"]), session["mediaType"]]
                name, value = f"{purpose} {metric['name']}", metric["value"]
                interval[name] += 1
                interval[f"{name} ms"] += value
                interval["soon"] += name == "acd tAnswered" and value <= 20_000
    expected = {}
    for place, interval in counted.items():
        waited = interval["acd tAnswered"] + interval["acd tAbandon"]
        level = interval["soon"] / waited if waited else None
        names = ("nOffered ms", "tAnswered", "tAbandon", "tAnswered ms")
        acd = tuple(interval[f"acd {name}"] for name in names)
        expected[place] = (*acd, interval["agent tHandle"], interval["agent tHandle ms"], pytest.approx(level))
    columns = "offered, answered, abandoned, answer_ms, handled, handle_ms, service_level::float8"
    found = _query(database, f"SELECT queue_id, interval_start, media_type, {columns} FROM genesys_queue_interval")
    assert {row[:3]: row[3:] for row in found} == {place: row for place, row in expected.items() if place[0]}
    assert sum(row[5] for row in found) > 20
    assert {0.0, 1.0, None} < {row[9] for row in found}  # and shares between


def test_conversations_have_the_names_of_who_and_what_they_were_with(
    database: str, conversations: list[dict[str, Any]]
) -> None:
    agents = [(one, part) for one in conversations for part in one["participants"] if part["purpose"] == "agent"]
    found = _query(
        database,
        "SELECT conversation_id, user_id, queue_id, wrap_up_code_id, agent_name, queue_name, wrap_up_code_name, "
        "division_name FROM genesys_conversation WHERE user_id IS NOT NULL",
    )
    wrapped = [
        next((s["wrapUpCode"] for session in part["sessions"] for s in session["segments"] if "wrapUpCode" in s), None)
        for _, part in agents
    ]
    names = {name: {one.id: one.name for one in _ORGANISATION.table(name)} for name in _NAMED}
    expected = []
    for (one, part), code in zip(agents, wrapped, strict=True):
        queue = next((queue for session in part["sessions"] if (queue := _queue(session))), None)
        ids = (one["conversationId"], part["userId"], queue, code)
        users, queues, codes, divisions = (names[name] for name in _NAMED)
        named = (users[part["userId"]], queues[queue], codes.get(code), divisions[one["divisionIds"][0]])
        expected.append((*ids, *named))
    assert Counter(found) == Counter(expected)


def _query(database: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(statement.encode()).fetchall()


def test_a_schema_that_needs_quotes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["views", "--schema", "public; drop table x", "--print"]) == 1
    assert "needs no quotes" in capsys.readouterr().err
