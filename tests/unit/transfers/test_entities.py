"""Listings loaded as snapshots, into a real PostgreSQL and a real object store."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import tenacity
from airflow.exceptions import AirflowFailException

from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import CloudUnavailableError, ConfigurationError, ContractError
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.fake_genesys.listings import Looked
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from tests.support.task_context import run
from tests.unit.transfers.listings import Rows, fail_below, genesys, members, on, rows

__all__ = ["genesys", "rows"]


def rewrite_answers(monkeypatch: pytest.MonkeyPatch, rewrite: Callable[[bytes], bytes]) -> None:
    """Let the client read each page as ``rewrite`` returns it."""
    real = CloudClient.decode
    monkeypatch.setattr(
        CloudClient,
        "decode",
        lambda client, path, read, **how: real(client, path, lambda body: read(rewrite(body)), **how),
    )


def load(entity: str, day: int, **options: Any) -> dict[str, Any]:
    operator = GenesysEntitiesToPostgresOperator(task_id="load", entity=entity, dead_letter_raw="drop", **options)
    return run(operator, on(day))


def test_three_days_are_as_a_model_has_them(genesys: FakeGenesys, rows: Rows) -> None:
    table, random = genesys.listings.organisation.table("users"), Random(7)  # noqa: S311 - a seed, not a secret
    versions: list[list[Any]] = []  # [id, name, from, to]
    gone: dict[str, Any] = {}
    deleted_before: set[str] = set()
    for day in range(4):
        if day:
            for one in random.sample(sorted(entry.id for entry in table), 5):
                deleted = table.delete(one)
                assert deleted
                gone[one] = deleted
            for one in random.sample(sorted(entry.id for entry in table), 4):
                table.rename(one, f"Renamed {day} {one[:4]}")
            table.create(f"New {day}")
        if day > 1:
            for one in sorted(deleted_before & gone.keys())[:2]:
                table.put(gone.pop(one))
        now = {entry.id: entry.name for entry in table}
        open_versions = {version[0]: version for version in versions if version[3] is None}
        changed = {one for one in now if one in open_versions and open_versions[one][1] != now[one]}
        summary = load("users", day, history=True, page_size=15)
        for one, version in open_versions.items():
            if one in changed or one not in now:
                version[3] = day
        versions += [[one, name, day, None] for one, name in now.items() if one not in open_versions or one in changed]
        snapshot = summary["snapshot"]
        assert snapshot["present"] == len(now) == summary["counts"]["written"]
        assert snapshot["changed"] == len(changed)
        assert snapshot["deleted"] == len(open_versions.keys() - now.keys())
        assert snapshot["new"] + snapshot["returned"] == len(now.keys() - open_versions.keys())
        assert summary["source"]["listing"] == {"total": len(now), "parents": None, "vanished": 0, "unstable": None}
        alive = rows("SELECT id, name FROM users WHERE _deleted_at IS NULL")
        assert {row["id"]: row["name"] for row in alive} == now
        deleted_before = set(gone)
    marked = {row["id"] for row in rows("SELECT id FROM users WHERE _deleted_at IS NOT NULL")}
    assert marked == set(gone)
    begun = {row["export_id"]: row["begun_at"] for row in rows("SELECT export_id, begun_at FROM genesys_ledger")}
    days = {moment: int(export.rpartition("-")[2]) for export, moment in begun.items()}
    kept = rows("SELECT id, name, _valid_from, _valid_to FROM users_history")
    found = [[row["id"], row["name"], days[row["_valid_from"]], days.get(row["_valid_to"])] for row in kept]
    assert sorted(found, key=str) == sorted(versions, key=str)


@pytest.mark.outcome("pages", "the text of single entities of a listing is broken", "dead letter")
@pytest.mark.parametrize("deletes", ["mark", "remove"])
@pytest.mark.parametrize("text", [rb'"\ud800"', b"NaN", b'"a\tb"', b"[" * 3000 + b"]" * 3000, b'"\xe9"'])
def test_one_broken_entity_is_rejected_and_nobody_is_taken_for_deleted(
    genesys: FakeGenesys, rows: Rows, monkeypatch: pytest.MonkeyPatch, text: bytes, deletes: str
) -> None:
    table = genesys.listings.organisation.table("users")
    load("users", 0, deletes=deletes, history=True)
    rewrite_answers(monkeypatch, lambda body: body.replace(b'"BROKEN"', text))
    broken, gone, renamed = (entry.id for entry in list(table)[:3])
    table.rename(broken, "BROKEN")
    table.rename(renamed, "Other")
    table.delete(gone)

    summary = load("users", 1, deletes=deletes, history=True)

    assert (summary["counts"]["read"], summary["counts"]["dead_letters"]) == (39, 1)
    assert summary["snapshot"]["deleted"] == 0  # one of the two that are missing may be the broken one
    assert len(rows("SELECT id FROM users")) == 40
    assert len(rows("SELECT id FROM users_history WHERE _valid_to IS NULL")) == 40
    assert rows(f"SELECT name FROM users WHERE id = '{renamed}'") == [{"name": "Other"}]


def test_what_is_volatile_makes_no_version(genesys: FakeGenesys, rows: Rows) -> None:
    load("users", 0, history=True)
    touched = rows("UPDATE users_history SET date_last_login = now() RETURNING id")
    assert len(touched) == 40
    load("users", 1, history=True)
    assert len(rows("SELECT id FROM users_history")) == 40
    assert rows("SELECT DISTINCT _valid_to FROM users_history") == [{"_valid_to": None}]


def test_the_guard_leaves_the_table_as_it_was(genesys: FakeGenesys, rows: Rows) -> None:
    load("queues", 0)
    before = rows("SELECT * FROM queues ORDER BY id")
    table = genesys.listings.organisation.table("queues")
    for entry in list(table)[:3]:
        table.delete(entry.id)
    table.rename(next(iter(table)).id, "Another name")
    with pytest.raises(AirflowFailException, match=r"lacks 3 of the 12 keys that public\.queues has"):
        load("queues", 1)
    assert rows("SELECT * FROM queues ORDER BY id") == before
    assert load("queues", 2, max_deleted_ratio=0.3)["snapshot"]["deleted"] == 3


@pytest.mark.parametrize(("deletes", "left"), [("remove", 10), ("keep", 12)])
def test_what_is_gone_is_removed_or_kept(genesys: FakeGenesys, rows: Rows, deletes: str, left: int) -> None:
    load("queues", 0, deletes=deletes)
    table = genesys.listings.organisation.table("queues")
    for entry in list(table)[:2]:
        table.delete(entry.id)
    load("queues", 1, deletes=deletes)
    found = rows("SELECT * FROM queues")
    assert len(found) == left
    assert "_deleted_at" not in found[0]


def test_what_a_run_of_an_earlier_day_reads_later_is_the_newer_snapshot(genesys: FakeGenesys, rows: Rows) -> None:
    """It is what is there now; the day that a run is for says nothing of that."""
    table = genesys.listings.organisation.table("queues")
    load("queues", 5)
    gone = next(iter(table)).id
    table.delete(gone)
    assert load("queues", 4)["snapshot"]["deleted"] == 1
    assert rows("SELECT id FROM queues WHERE _deleted_at IS NOT NULL") == [{"id": gone}]
    table.create("Back office")
    assert load("queues", 4)["snapshot"]["new"] == 1  # cleared: read again


def test_an_older_snapshot_that_completes_late_marks_nothing(genesys: FakeGenesys, rows: Rows) -> None:
    queues = genesys.listings.organisation.table("queues")
    fail_below(genesys, sorted(queue.id for queue in queues)[7])
    settings: dict[str, Any] = {"history": True, "retries": 2, "on_clear": "resume", "page_size": 5}
    with pytest.raises(AirflowFailException, match="409"):
        load("queue_members", 4, **settings)
    joined = genesys.listings.organisation.table("queue_members", min(queue.id for queue in queues))
    gone = next(iter(joined)).id
    joined.delete(gone)
    joined.create("Newcomer")
    newer = load("queue_members", 5, **settings)
    before = rows("SELECT key, _deleted_at FROM queue_members ORDER BY key")
    older = load("queue_members", 4, **settings)
    assert older["attempts"] == 2
    assert older["submitted_at"] < newer["submitted_at"]
    assert older["snapshot"] == {"present": len(before), "new": 0, "changed": 0, "returned": 0, "deleted": 0}
    assert rows("SELECT key, _deleted_at FROM queue_members ORDER BY key") == before
    assert older["counts"]["duplicates"] == len(before)


def test_a_listing_that_moves_is_read_again(genesys: FakeGenesys, rows: Rows) -> None:
    table = genesys.listings.organisation.table("users")
    gone = table.page(1, 1)[0].id

    def move(looked: Looked) -> None:
        if looked.page == 3:
            table.delete(gone)

    genesys.listings.before_page = move
    summary = load("users", 0, page_size=10)
    assert summary["source"]["listing"]["unstable"] is None
    assert {row["id"] for row in rows("SELECT id FROM users")} == {entry.id for entry in table}


def test_a_retry_goes_on_below_the_parent_where_it_stood(genesys: FakeGenesys, rows: Rows) -> None:
    queues = sorted(queue.id for queue in genesys.listings.organisation.table("queues"))
    fail_below(genesys, queues[7])
    settings: dict[str, Any] = {"entity": "queue_members", "page_size": 5, "retries": 2, "dead_letter_raw": "drop"}
    with pytest.raises(AirflowFailException, match="409"):
        run(GenesysEntitiesToPostgresOperator(task_id="load", **settings), on(0))
    asked = len(genesys.requests)
    again = GenesysEntitiesToPostgresOperator(task_id="load", on_clear="resume", **settings)
    summary = run(again, on(0))
    assert summary["attempts"] == 2
    assert {row["key"] for row in rows("SELECT key FROM queue_members")} == members(genesys)
    asked_again = {seen.path.split("/")[5] for seen in list(genesys.requests)[asked:] if seen.path.endswith("/members")}
    assert queues[7] in asked_again
    assert queues[0] not in asked_again


HTML = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>"}
ERROR = {"status": 200, "body": {"message": "no", "code": "bad.request", "status": 400}}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_genesys.cloud.http.client._backoff", tenacity.wait_none())


@pytest.mark.usefixtures("at_once")
@pytest.mark.outcome(
    "pages",
    "the listing below one parent answers 400, 403, 422, 500, 502, 503, 504 or no page, for good",
    "dead letter",
)
@pytest.mark.parametrize(
    "bad", [{"status": status} for status in (400, 403, 422, 500, 502, 503, 504)] + [HTML, ERROR], ids=str
)
def test_a_parent_whose_listing_fails_for_ever_keeps_no_other_back(
    genesys: FakeGenesys, rows: Rows, bad: dict[str, Any]
) -> None:
    all_members, queues = members(genesys), sorted(queue.id for queue in genesys.listings.organisation.table("queues"))
    load("queue_members", 0)
    genesys.fail_next(f"/api/v2/routing/queues/{queues[7]}/members", times=99, **bad)

    summary = load("queue_members", 1, page_size=5)

    lost = {key for key in all_members if key.startswith(queues[7])}
    assert summary["counts"] == {
        "read": len(all_members - lost) + 1,
        "written": len(all_members - lost),
        "dead_letters": 1,
        "duplicates": 0,
    }
    [letter] = rows("SELECT rule, message FROM genesys_dead_letters")
    assert letter["rule"] == "listing-unavailable"
    assert "/api/v2/routing/queues/" in letter["message"] or "queue_members" in letter["message"]
    assert {row["key"] for row in rows("SELECT key FROM queue_members WHERE _deleted_at IS NULL")} == all_members


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("status", "says"),
    [(400, "answered 400"), (403, "needs routing:queue"), (500, "answered 500"), (503, "answered 503")],
)
def test_where_the_listings_of_all_parents_fail_none_is_rejected(
    genesys: FakeGenesys, rows: Rows, status: int, says: str
) -> None:
    genesys.fail_next("/api/v2/routing/queues/", status=status, times=9999)
    with pytest.raises((AirflowFailException, CloudUnavailableError), match=says):
        load("queue_members", 0, max_outage=0)
    assert rows("SELECT count(*) FROM genesys_dead_letters") == [{"count": 0}]


def test_a_parent_without_an_id_keeps_no_other_back(
    genesys: FakeGenesys, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = sorted(queue.id for queue in genesys.listings.organisation.table("queues"))
    nameless = b'"id":"%b"' % queues[3].encode(), b'"id":null'
    rewrite_answers(monkeypatch, lambda body: body.replace(b'": "', b'":"').replace(*nameless))
    summary = load("queue_members", 0)
    assert summary["counts"]["dead_letters"] == 1
    assert {row["key"] for row in rows("SELECT key FROM queue_members")} == {
        key for key in members(genesys) if not key.startswith(queues[3])
    }


def test_a_missing_permission_fails_with_its_name(genesys: FakeGenesys, rows: Rows) -> None:
    genesys.listings.denied.add("skills")
    with pytest.raises(AirflowFailException, match="Reading the listing skills needs routing:skill:view"):
        load("skills", 0)


def test_wrong_arguments_are_refused_while_the_dag_is_parsed() -> None:
    with pytest.raises(ContractError, match="There is no entity 'usres'"):
        GenesysEntitiesToPostgresOperator(task_id="load", entity="usres")
    with pytest.raises(ConfigurationError, match="without publish, shard"):
        GenesysEntitiesToPostgresOperator(task_id="load", entity="users", publish="batches", shard=None)


def test_a_new_field_becomes_a_column_of_table_and_history(genesys: FakeGenesys, rows: Rows) -> None:
    load("skills", 0, history=True)
    first = next(iter(genesys.listings.organisation.table("skills")))
    skills = [{"id": entry.id, "name": entry.name} for entry in genesys.listings.organisation.table("skills")]
    skills[0] |= {"colour": "red"}
    body = {"entities": skills, "total": len(skills), "pageCount": 1, "pageSize": 100, "pageNumber": 1}
    genesys.fail_next("/api/v2/routing/skills", status=200, body=body)
    summary = load("skills", 1, history=True, contract_modes={"unknown": "evolve"}, drift_alias=None)
    assert [column["name"] for column in summary["evolved"]] == ["colour"]
    for table, now in (("skills", "true"), ("skills_history", "_valid_to IS NULL")):
        found = rows(f"SELECT colour FROM {table} WHERE id = '{first.id}' AND {now}")
        assert found == [{"colour": "red"}]
