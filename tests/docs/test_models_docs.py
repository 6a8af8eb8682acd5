"""docs/models.md: its views on loaded tables, against numbers that are counted apart."""

from __future__ import annotations

import json
from collections import Counter
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

_DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


def load(database: str, name: str, contract: Any, records: list[bytes]) -> None:
    page = Page([str(number) for number in range(len(records))], [memoryview(record) for record in records])
    one = Load(name, name, name, _DAY, _DAY + timedelta(days=1), _DAY, contract, "test")
    sink = PostgresSink(lambda: psycopg.connect(database), name, dead_letter_raw="drop")
    run(one, lambda _: Pages(lambda _job, _cursor: page, name), sink, Options())


@pytest.fixture
def conversations(database: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", database)
    organisation = Organisation(40, seed=1)
    for name in ("users", "queues", "wrapup_codes", "divisions"):
        rows = [json.dumps(render(built_in(name), entry)).encode() for entry in organisation.table(name)]
        load(database, name, built_in(name).contract, rows)
    interactions = Interactions(120, seed=1)
    records = [
        interactions.render(number) for number in interactions.of(_DAY, _DAY + timedelta(days=1), by_start_day=True)
    ]
    load(database, "conversation_details", contract_of("conversation_details"), records)
    assert main(["views", "--schema", "public"]) == 0
    return [json.loads(record) for record in records]


def _half_hour(moment: str) -> datetime:
    when = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return when.replace(minute=when.minute // 30 * 30, second=0, microsecond=0)


def _queue(session: dict[str, Any]) -> str | None:
    return next((segment["queueId"] for segment in session["segments"] if segment.get("queueId")), None)


def test_the_views_have_what_is_counted_apart(database: str, conversations: list[dict[str, Any]]) -> None:
    agents: Counter[tuple[Any, ...]] = Counter()
    queues: Counter[tuple[Any, ...]] = Counter()
    offered: Counter[tuple[Any, ...]] = Counter()
    for conversation in conversations:
        for participant in conversation["participants"]:
            for session in participant["sessions"]:
                for metric in session["metrics"]:
                    place = (_half_hour(metric["emitDate"]), session["mediaType"])
                    if metric["name"] == "tHandle" and participant["purpose"] == "agent":
                        agents[(participant["userId"], *place)] += metric["value"]
                        queues[(_queue(session), *place)] += metric["value"]
                    if metric["name"] == "nOffered" and participant["purpose"] == "acd":
                        offered[(_queue(session), *place)] += metric["value"]
    with psycopg.connect(database) as connection:
        of_agents = connection.execute(
            "SELECT user_id, interval_start, media_type, handle_ms FROM genesys_agent_interval WHERE handled > 0"
        ).fetchall()
        of_queues = connection.execute(
            "SELECT queue_id, interval_start, media_type, handle_ms, offered FROM genesys_queue_interval"
        ).fetchall()
        unnamed = connection.execute(
            "SELECT count(*) FROM genesys_conversation WHERE user_id IS NOT NULL AND agent_name IS NULL"
        ).fetchall()
        rows = connection.execute("SELECT count(*), count(queue_name), count(division_name) FROM genesys_conversation")
        named = rows.fetchall()[0]
    assert {tuple(row[:3]): row[3] for row in of_agents} == dict(agents)
    assert {tuple(row[:3]): row[3] for row in of_queues if row[3]} == {key: ms for key, ms in queues.items() if key[0]}
    assert {tuple(row[:3]): row[4] for row in of_queues if row[4]} == {key: n for key, n in offered.items() if n}
    assert unnamed == [(0,)]
    parts = [part for one in conversations for part in one["participants"] if part["purpose"] == "agent"]
    assert named[0] == named[2] >= len(parts)
    assert named[1] >= len(parts) * 0.9


def test_a_schema_that_needs_quotes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["views", "--schema", "public; drop table x", "--print"]) == 1
    assert "without quotes" in capsys.readouterr().err
