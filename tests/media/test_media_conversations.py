"""Which conversations media is fetched of: those that a query names, or those with recordings retained."""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import UUID

import psycopg
import pytest

from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    ForeignAnswerError,
    RequestRefusedError,
    SourceUnavailableError,
)
from airflow_provider_genesys.media import query
from airflow_provider_genesys.media.index import RETENTION, Conversations, Index, of_retention, recording_metadata
from airflow_provider_genesys.media.query import QueryIndex
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.source.pages import Pages
from tests.media.test_media import Scenes, scene
from tests.sinks.warehouse import Warehouse

__all__ = ["scene"]

IDS = [str(UUID(int=number << 64 | 0xABCDEF)) for number in range(1, 8)]

CALLS = "SELECT conversation_id FROM calls"
CLOSED = ") AS asked) AS wanted"
OPENED = "SELECT id::text FROM (SELECT DISTINCT conversation_id::text::uuid AS id FROM ("
"""With these a text can leave the brackets that it is put into."""

WICKED = (
    "COMMIT; DELETE FROM calls",
    "ROLLBACK; DROP TABLE calls",
    "SET transaction_read_only = off; DELETE FROM calls",
)
"""What would change something, if it came behind the query's end."""


def walked(index: Index, cursor: str | None = None) -> list[list[str]]:
    """Return the ids of each page behind ``cursor``."""
    pages = []
    for _ in range(100):
        found = index(0, cursor)
        pages.append(found.ids)
        if (cursor := found.cursor) is None:
            return pages
    raise AssertionError("the pages do not end")


@pytest.fixture
def connects(warehouse: Warehouse) -> Any:
    """Connects to a table with ids in any order, twice, in upper case, and with NULL; counts how often."""

    def connect() -> psycopg.Connection:
        connect.made += 1  # type: ignore[attr-defined]
        return psycopg.connect(warehouse.dsn)

    connect.made = 0  # type: ignore[attr-defined]
    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute("CREATE TABLE calls (conversation_id text, queue text)")
        for one in [*reversed(IDS), IDS[3].upper(), IDS[3], None]:
            connection.execute("INSERT INTO calls VALUES (%s, 'sales')", [one])
    return connect


@pytest.mark.parametrize(
    "query",
    [
        "SELECT conversation_id FROM calls",
        "SELECT * FROM calls WHERE queue LIKE '%ale%'; ",
        "WITH sold AS (SELECT conversation_id::uuid FROM calls) SELECT conversation_id FROM sold -- all",
    ],
)
def test_a_query_names_each_conversation_once_page_by_page(connects: Any, query: str) -> None:
    assert walked(QueryIndex(connects, query, 3)) == [IDS[:3], IDS[3:6], IDS[6:]]
    assert connects.made == 1, "the query runs once for many pages"


def test_a_query_goes_on_behind_any_page_and_is_asked_for_some_ids_at_a_time(
    connects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "PAGES_AT_ONCE", 2)
    assert walked(QueryIndex(connects, "SELECT * FROM calls", 2)) == [IDS[:2], IDS[2:4], IDS[4:6], IDS[6:]]
    assert connects.made == 2
    assert walked(QueryIndex(connects, "SELECT * FROM calls", 2), IDS[1]) == [IDS[2:4], IDS[4:6], IDS[6:]]
    index = QueryIndex(connects, "SELECT * FROM calls", 7)
    assert walked(index) == [IDS, []]
    assert walked(index, IDS[5]) == [IDS[6:]], "back to where another page begins"


@pytest.mark.parametrize(
    "wrong",
    [
        "SELECT 'x' AS conversation_id",
        "SELECT queue FROM calls",
        "SELECT queue AS conversation_id FROM calls",
        "SELECT conversation_id FROM no_such_table",
        "DELETE FROM calls RETURNING conversation_id",
        "SELECT conversation_id FROM forget()",
        "SELECT conversation_id, set_config('transaction_read_only', 'off', false) FROM calls",
        "SELECT conversation_id, lo_create(0) FROM calls",
        "SELECT conversation_id FROM calls FOR UPDATE",
        *(f"{CALLS}; {wicked}; {CALLS}" for wicked in WICKED),
        *(f"{CALLS}{CLOSED}; {wicked}; {OPENED}{CALLS}" for wicked in WICKED),
    ],
)
@pytest.mark.outcome(
    "jobs", "the query for conversations is wrong, gives other things than ids, or writes", "ConfigurationError"
)
def test_what_is_no_query_for_conversations_is_refused(connects: Any, warehouse: Warehouse, wrong: str) -> None:
    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute(
            "CREATE FUNCTION forget() RETURNS SETOF calls LANGUAGE sql AS 'DELETE FROM calls RETURNING *'"
        )
    with pytest.raises(ConfigurationError, match="column conversation_id") as refused:
        QueryIndex(connects, wrong, 3)(0, None)
    assert "sales" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert len(warehouse.execute("SELECT 1 FROM calls")) == len(IDS) + 3


@pytest.mark.outcome("jobs", "a value for the query for conversations holds SQL", "recovers, never read as SQL")
def test_values_are_bound_and_never_read_as_sql(connects: Any, warehouse: Warehouse) -> None:
    query = "SELECT conversation_id FROM calls WHERE queue LIKE '%%al%%' AND queue = %(queue)s"

    assert walked(QueryIndex(connects, query, 7, {"queue": "sales"})) == [IDS, []]
    for wicked in WICKED:
        assert walked(QueryIndex(connects, query, 7, {"queue": f"x'; {wicked}; --"})) == [[]]
    assert len(warehouse.execute("SELECT 1 FROM calls")) == len(IDS) + 3


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("SELECT conversation_id FROM calls WHERE queue = %(queue)s", None),
        ("SELECT conversation_id FROM calls WHERE queue = %(queue)s", {"other": "sales"}),
        ("SELECT conversation_id FROM calls WHERE queue LIKE 's%' AND queue = %(queue)s", {"queue": "sales"}),
        ("SELECT conversation_id FROM calls WHERE queue = %(queue)s", {"queue": {"a": 1}}),
    ],
)
def test_values_that_do_not_fit_the_query_are_an_error_that_says_how(
    connects: Any, query: str, parameters: dict[str, Any] | None
) -> None:
    with pytest.raises(ConfigurationError, match=r"%\(name\)s, with values in conversations_parameters"):
        QueryIndex(connects, query, 3, parameters)(0, None)
    for wrong, values in ((query, {"queue": "\ud800", "other": ""}), (query.replace("queue =", "'\ud800' ="), {})):
        with pytest.raises(ConfigurationError, match="conversations_parameters"):
            QueryIndex(connects, wrong, 3, values)(0, None)


def test_a_query_that_ends_too_early_is_an_error_and_no_walk_without_end(connects: Any) -> None:
    index = QueryIndex(connects, f"{CALLS}{CLOSED} UNION ALL {OPENED}{CALLS}", 3)
    with pytest.raises(ConfigurationError, match="not in order"):
        walked(index)


@pytest.mark.outcome("jobs", "PostgreSQL cannot be reached for the query for conversations", "SourceUnavailableError")
def test_a_database_that_cannot_be_reached_is_tried_again() -> None:
    def connect() -> psycopg.Connection:
        return psycopg.connect("postgresql://127.0.0.1:9/nothing", connect_timeout=2)

    with pytest.raises(SourceUnavailableError, match="next try continues"):
        QueryIndex(connect, "SELECT conversation_id FROM calls", 3)(0, None)


@pytest.mark.outcome("jobs", "the query for conversations does not end", "SourceUnavailableError")
def test_a_query_that_does_not_end_is_cancelled_and_the_connection_keeps_its_own_limit(connects: Any) -> None:
    endless = "SELECT conversation_id FROM calls, generate_series(1, 1000000000000) AS n WHERE n < 0"
    with pytest.raises(SourceUnavailableError, match=r"conversations_timeout \(0.2 s\)"):
        QueryIndex(connects, endless, 3, timeout=0.2)(0, None)
    seen: list[str] = []

    def connect() -> psycopg.Connection:
        connection = connects()
        connection.execute("SET statement_timeout = 12345")
        connection.commit()
        connection.close = lambda: seen.append(limit(connection))
        return connection

    assert QueryIndex(connect, CALLS, 9)(0, None).ids == IDS
    assert seen == ["12345ms"]


def limit(connection: psycopg.Connection) -> str:
    connection.rollback()
    connection.read_only = False
    [(found,)] = connection.execute("SHOW statement_timeout")
    return str(found)


@pytest.mark.parametrize("size", [1, 4])
def test_each_recording_that_is_retained_comes_once_however_pages_are_cut(scene: Scenes, size: int) -> None:
    at = scene(conversations=2, recordings_each=3, media_bytes=(10, 20))
    pages = at.pages(index=of_retention(at.client, 0, size))
    ids = [one for page in pages for one in page.ids]
    assert len(set(ids)) == len(ids) == 6
    assert all(record for page in pages for record in page.records)
    assert at.fetched() == 6


@pytest.mark.outcome("jobs", "the list of retained recordings takes a cursor no more", "recovers")
def test_a_cursor_that_is_taken_no_more_is_found_again(scene: Scenes, caplog: pytest.LogCaptureFixture) -> None:
    at = scene(conversations=6, media_bytes=(10, 20))
    pages = Pages(at.media(of_retention(at.client, 0, 2)).read, "retention-1")
    slices = pages.open_at(Checkpoint("l", "e", ""), max_record_bytes=10_000).slices(
        500, cut_every=None, flush_interval=1
    )
    records = len(next(slices).starts)
    at.genesys.fail_next(RETENTION, status=400)
    records += sum(len(part.starts) for part in slices)
    assert (records, at.fetched()) == (6, 6)
    assert "cursor is no longer valid" in caplog.text


@pytest.mark.outcome("jobs", "one entry of the list of retained recordings is no JSON object", "dead letter")
@pytest.mark.parametrize(
    "broken", [b'{"recordingId": "bad-1", "x": "\\ud83d"}', b'{"recordingId": "bad-1", "x": NaN}', b"7"]
)
def test_an_entry_that_is_broken_is_rejected_and_the_others_arrive(scene: Scenes, broken: bytes) -> None:
    at = scene(conversations=4, media_bytes=(10, 20))
    body = at.client.decode(f"{RETENTION}?retentionThresholdDays=0&pageSize=500", bytes)
    at.genesys.fail_next(RETENTION, status=200, body=body.replace(b"[{", b"[" + broken + b", {", 1))
    [page] = at.pages(index=of_retention(at.client, 0, 500))
    assert [error.rule for error in page.refused.values()] == ["not-json"]
    assert [bytes(page.records[place]) for place in page.refused] == [broken]
    assert len(page.records) == 5
    assert at.fetched() == 4


def test_days_that_genesys_refuses_are_no_lost_cursor(scene: Scenes) -> None:
    at = scene()
    at.genesys.fail_next(RETENTION, status=400)
    with pytest.raises(RequestRefusedError):
        of_retention(at.client, 0, 2)(0, None)


@pytest.mark.outcome("jobs", "recordings are retained that the list of the conversation leaves out", "dead letter")
def test_what_is_retained_and_not_to_be_had_is_rejected(scene: Scenes) -> None:
    at = scene(conversations=4)
    gone, hidden, *others = of_retention(at.client, 0, 500)(0, None).recordings
    at.genesys.media.gone.add(gone)
    [recording] = recording_metadata(at.client, hidden) or []
    numbers = count()

    def index(_job: int, _cursor: str | None) -> Conversations:
        named = {gone: ["r"], hidden: [recording["id"], f"unlisted-{next(numbers)}"], **{one: [] for one in others}}
        return Conversations(list(named), None, named)

    [page] = at.pages(index=index)
    assert {page.ids[place]: error.rule for place, error in page.refused.items()} == {
        f"{gone}/r": "conversation-gone",
        f"{hidden}/unlisted-0": "left-out",
    }
    assert len(page.ids) == 3, "of the others no recording was named"


@pytest.mark.parametrize("answer", [[], 7, {"entities": {"a": 1}}, {"entities": "none"}])
def test_a_page_of_retained_recordings_that_is_none_is_asked_for_again(scene: Scenes, answer: Any) -> None:
    at = scene()
    at.genesys.fail_next(RETENTION, status=200, body=answer)
    assert of_retention(at.client, 0, 2)(0, None).ids
    at.genesys.fail_next(RETENTION, times=50, status=200, body=answer)
    with pytest.raises(ForeignAnswerError, match="cannot be read"):
        of_retention(at.client, 0, 2)(0, None)
