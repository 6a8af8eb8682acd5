"""What a load leaves in PostgreSQL, in whatever order batches, restarts and exports come."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, Column, Contract
from airflow_provider_genesys.exceptions import AccountError, ConfigurationError, FencedError
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.upsert import Landed, Upsert
from tests.sinks.batches import (
    DAY,
    LENGTH,
    PROCESSED_AT,
    make_batch,
    make_batches,
    make_certificate,
    make_checkpoint,
    make_load,
    recording_row,
)
from tests.sinks.warehouse import Warehouse, counts, write_all

LATER = DAY + timedelta(days=2)


def test_rows_arrive_as_the_contract_has_them(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, [make_batch(load, range(3, 4))])
    (row,) = warehouse.rows()
    row.pop("_loaded_at")
    assert row == {
        "recording_id": "recording-0000003",
        "conversation_id": "conversation-0000003",
        "timestamp": DAY + timedelta(milliseconds=300),
        "duration_ms": 21,
        "queue_id": None,
        "queue_name": None,
        "direction": "inbound",
        "participants": [{"id": "user-3", "purpose": "agent", "notes": "x" * 240}] * 2,
        "media": {"type": "audio", "codec": "opus", "url": "m" * 150},
        "metadata": {"number": 3, "tags": ["a", "b"], "text": "y" * 120},
        "processed_at": PROCESSED_AT,
        "_genesys_export_id": "export-1",
        "_genesys_submitted_at": DAY + timedelta(days=1),
        "_source_shard": 0,
        "_source_offset": 3 * LENGTH,
        "_contract_version": str(RECORDINGS),
    }


EVERY_TYPE = Contract(
    name="types",
    version=1,
    key="uuidValue",
    timestamp="timestampValue",
    columns=tuple(
        Column(f"{kind}Value", f"{kind}Value", kind, required=kind in ("uuid", "timestamp"))
        for kind in ("string", "integer", "number", "decimal", "boolean", "timestamp", "uuid", "json")
    ),
)


def test_every_type_keeps_its_value(warehouse: Warehouse) -> None:
    load = make_load(contract=EVERY_TYPE)
    key = "0f8fad5b-d9cb-469f-a165-70867728950e"
    row = ("žluťoučký 🐎\n\t\\N", 2**63 - 1, 0.1, None, False, DAY, key, b'{"n": 123456789012345678901234567890.10}')
    warehouse.load(load, [replace(make_batch(load, range(1)), rows=[row])])
    (found,) = warehouse.execute(
        "SELECT string_value, integer_value, number_value, decimal_value, boolean_value, timestamp_value,"
        " uuid_value::text, json_value->>'n' AS number, jsonb_typeof(json_value) AS json FROM recordings"
    )
    assert list(found.values()) == [*row[:7], "123456789012345678901234567890.10", "object"]


def test_the_account_closes_and_the_ledger_holds_the_certificate(warehouse: Warehouse) -> None:
    load = make_load()
    certificate = warehouse.load(load, make_batches(load, 1200, dead=[7, 1100]))
    assert certificate.counts == counts(1200, dead_letters=2)
    assert certificate.location == f"postgresql://{warehouse.dsn.partition('@')[2]}/public.recordings"
    assert certificate.parts == [{"key": "public.recordings", "rows": 1198, "taken_over": 0}]
    ledger = warehouse.ledger()
    assert (ledger["state"], ledger["attempts"], ledger["run_id"]) == ("complete", 1, "dag/run/task")
    assert ledger["certificate"]["counts"] == {"read": 1200, "written": 1198, "dead_letters": 2, "duplicates": 0}
    assert ledger["completed_at"] > ledger["begun_at"]
    assert all(connection.closed for connection in warehouse.connections)


def test_an_export_without_records_is_complete(warehouse: Warehouse) -> None:
    load = make_load()
    sink = warehouse.sink()
    assert sink.open(load, restart=False) is None
    assert sink.finish(make_certificate(load, make_checkpoint(load, 0))).counts == Counts()
    assert warehouse.ledger()["state"] == "complete"


def test_a_checkpoint_stands_behind_every_batch(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    assert sink.open(load, restart=False) is None
    assert sink.processed_at is None
    batch = make_batch(load, range(500), dead=[1])
    checkpoint = sink.write(batch)
    assert (checkpoint.position, checkpoint.counts) == (batch.checkpoint.position, counts(500, dead_letters=1))
    assert checkpoint.fence == 1
    sink.abort()
    sink.abort()
    assert all(connection.closed for connection in warehouse.connections)
    again = warehouse.sink()
    assert again.open(load, restart=False) == checkpoint
    assert again.processed_at == PROCESSED_AT.isoformat()


def test_a_batch_without_records_moves_the_checkpoint(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    batch = replace(make_batch(load, range(500)), rows=[], offsets=[])
    assert sink.write(batch).position.record_offset == batch.end
    assert sink.write(batch).counts == Counts()


# ── duplicates ──


def test_of_duplicates_in_a_batch_the_last_stays(warehouse: Warehouse) -> None:
    load = make_load()
    batch = make_batch(load, range(6), row=lambda number: recording_row(number % 2, durationMs=number))
    assert warehouse.load(load, [batch]).counts == counts(6, duplicates=4)
    assert [row["duration_ms"] for row in warehouse.rows()] == [4, 5]


def test_of_duplicates_in_several_batches_the_last_stays(warehouse: Warehouse) -> None:
    load = make_load()
    batches = make_batches(load, 10, size=3, row=lambda number: recording_row(number % 4, durationMs=number))
    assert warehouse.load(load, batches).counts == counts(10, duplicates=6)
    assert [row["duration_ms"] for row in warehouse.rows()] == [8, 9, 6, 7]
    assert [row["_source_offset"] for row in warehouse.rows()] == [8 * LENGTH, 9 * LENGTH, 6 * LENGTH, 7 * LENGTH]


@pytest.mark.outcome("jobs", "data arrive after their window was loaded", "recovers with the next load of that window")
def test_a_newer_export_replaces_and_counts_as_written(warehouse: Warehouse) -> None:
    old, new = make_load("old"), make_load("new", load_id="load-2", submitted_at=LATER)
    warehouse.load(old, make_batches(old, 20, size=10))
    certificate = warehouse.load(new, make_batches(new, range(15, 30), size=10))
    assert certificate.counts == counts(15)
    assert [row["_genesys_export_id"] for row in warehouse.rows()] == ["old"] * 15 + ["new"] * 15


def test_an_older_export_does_not_replace_and_counts_as_duplicate(warehouse: Warehouse) -> None:
    old, new = make_load("old"), make_load("new", load_id="load-2", submitted_at=LATER)
    warehouse.load(new, make_batches(new, range(15, 30), size=10))
    assert warehouse.load(old, make_batches(old, 20, size=10)).counts == counts(20, duplicates=5)
    assert [row["_genesys_export_id"] for row in warehouse.rows()] == ["old"] * 15 + ["new"] * 15


def test_of_two_shards_the_record_further_behind_stays_whichever_comes_late(warehouse: Warehouse) -> None:
    first, second = make_load(shard=1), make_load(shard=2)
    sink = warehouse.sink()
    sink.open(first, restart=False)
    last = sink.write(make_batch(first, range(4)))
    common = make_batches(second, range(4, 8), row=lambda number: recording_row(number - 2))
    assert warehouse.load(second, common).counts == counts(4)
    (part,) = sink.finish(make_certificate(first, last)).parts
    assert (part["rows"], part["taken_over"]) == (2, 2)
    assert [row["_source_shard"] for row in warehouse.rows()] == [1, 1, 2, 2, 2, 2]
    assert warehouse.load(first, make_batches(first, 4)).counts == counts(4, duplicates=2)


def test_columns_of_the_table_may_be_called_as_they_like(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.sink().open(load, restart=False)
    for name in ("label", "same_source", "of_this_load", "older", "in_table", "met_key_0", "met", "judged", "target"):
        warehouse.execute(f"ALTER TABLE recordings ADD COLUMN {name} text")
    for _ in range(2):
        assert warehouse.load(load, make_batches(load, 10, size=4)).counts == counts(10)


def test_rows_from_before_this_provider_are_replaced(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, make_batches(load, 3))
    for column in ("_genesys_export_id", "_genesys_submitted_at", "_source_shard", "_source_offset", "_loaded_at"):
        warehouse.execute(f"ALTER TABLE recordings ALTER {column} DROP NOT NULL")
        warehouse.execute(f"UPDATE recordings SET {column} = NULL")
    assert warehouse.load(load, make_batches(load, 5)).counts == counts(5)
    assert {row["_genesys_export_id"] for row in warehouse.rows()} == {"export-1"}


def test_two_exports_that_load_the_same_keys_at_once_both_close_their_accounts(warehouse: Warehouse) -> None:
    old, new = make_load("old"), make_load("new", load_id="load-2", submitted_at=LATER)
    certificates = {}

    def run(name: str) -> None:
        load = {"old": old, "new": new}[name]
        certificates[name] = warehouse.load(load, make_batches(load, 1000, size=50))

    # The tables first: creating them would make the one wait for the other.
    for load in (old, new):
        warehouse.sink().open(load, restart=False)
    threads = [threading.Thread(target=run, args=[name]) for name in ("old", "new")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row["_genesys_export_id"] for row in warehouse.rows()} == {"new"}
    assert certificates["new"].counts == counts(1000)
    superseded = certificates["old"].counts.duplicates
    assert certificates["old"].counts == counts(1000, duplicates=superseded)
    (part,) = certificates["old"].parts
    assert part["rows"] + part["taken_over"] == 1000 - superseded


def test_rows_that_a_newer_export_replaces_meanwhile_are_judged_as_it_leaves_them(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_load("first", load_id="load-0", submitted_at=LATER - timedelta(days=2))
    middle = make_load("middle", load_id="load-1", submitted_at=LATER - timedelta(days=1))
    newest = make_load("newest", load_id="load-2", submitted_at=LATER)
    inserted, replaced, go_on = threading.Event(), threading.Event(), threading.Event()
    settle = Upsert.settle

    def settle_late(upsert: Upsert, cursor: Cursor, staged: int, lineage: dict[str, Any]) -> Landed:
        """Stand between the insert of the middle one, which met all its rows, and its judgment."""
        if lineage["export"] == "middle":
            inserted.set()
            replaced.wait(10)
        return settle(upsert, cursor, staged, lineage)

    def hold(plain: bytes, _: bytes) -> bytes:
        """Stand before the commit of the newest one, where its dead letter is encrypted."""
        replaced.set()
        go_on.wait(10)
        return plain

    warehouse.load(first, make_batches(first, 10))
    late, new = warehouse.sink(), warehouse.sink(dead_letter_raw="encrypt", encrypt=hold)
    late.open(middle, restart=False)
    new.open(newest, restart=False)
    monkeypatch.setattr(Upsert, "settle", settle_late)
    writing = threading.Thread(target=lambda: late.write(make_batch(middle, range(10))))
    replacing = threading.Thread(target=lambda: new.write(make_batch(newest, range(11), dead=[10])))
    writing.start()
    assert inserted.wait(10)
    replacing.start()
    while not warehouse.execute("SELECT pid FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"):
        assert writing.is_alive()
    go_on.set()
    replacing.join()
    writing.join()
    assert {row["_genesys_export_id"] for row in warehouse.rows()} == {"newest"}


# ── resume, restart, fences ──


def test_a_load_that_stops_and_goes_on_equals_one_that_does_not(warehouse: Warehouse) -> None:
    load = make_load()

    def batches() -> list:
        return list(make_batches(load, 40, size=10, dead=[3, 33], row=lambda number: recording_row(number % 32)))

    whole = warehouse.load(load, batches())
    expected, letters = warehouse.contents(), warehouse.dead_letters()
    warehouse.execute("DROP TABLE recordings, genesys_ledger, genesys_dead_letters")

    first = warehouse.sink()
    first.open(load, restart=False)
    write_all(first, batches()[:2])
    first.abort()
    second = warehouse.sink()
    checkpoint = second.open(load, restart=False)
    assert checkpoint is not None
    rest = [batch for batch in batches() if batch.start >= checkpoint.position.record_offset]
    certificate = second.finish(make_certificate(load, write_all(second, rest)))
    assert certificate == replace(whole, attempts=2)
    assert warehouse.contents() == expected
    assert [letter["source_offset"] for letter in warehouse.dead_letters()] == [x["source_offset"] for x in letters]


def test_a_restart_lands_the_same_rows_with_the_same_account(warehouse: Warehouse) -> None:
    load = make_load()
    sink = warehouse.sink()
    sink.open(load, restart=False)
    write_all(sink, make_batches(load, 30, size=10, row=lambda number: recording_row(number % 17)))
    sink.abort()
    # Other batches than before, as a restart with another batch size would cut them.
    batches = make_batches(load, 40, size=7, row=lambda number: recording_row(number % 17))
    assert warehouse.load(load, batches, restart=True).counts == counts(40, duplicates=23)
    assert [row["_source_offset"] // LENGTH for row in warehouse.rows()] == [*range(34, 40), *range(23, 34)]
    assert warehouse.ledger()["attempts"] == 1


@pytest.mark.parametrize("why", ["restart", "complete", "other export"])
def test_there_is_nothing_to_continue(warehouse: Warehouse, why: str) -> None:
    load = make_load()
    sink = warehouse.sink()
    sink.open(load, restart=False)
    last = write_all(sink, make_batches(load, 20, size=10, dead=[1]))
    if why == "complete":
        sink.finish(make_certificate(load, last))
    again = warehouse.sink()
    other = replace(load, export_id="export-2") if why == "other export" else load
    assert again.open(other, restart=why == "restart") is None
    assert again.processed_at == (None if why == "other export" else PROCESSED_AT.isoformat())
    assert warehouse.dead_letters() == []
    ledger = warehouse.ledger()
    assert (ledger["state"], ledger["checkpoint"], ledger["certificate"]) == ("loading", None, None)
    assert (ledger["fence"], ledger["export_id"]) == (2, other.export_id)


def test_processed_at_is_shared_by_the_shards(warehouse: Warehouse) -> None:
    first, second = make_load(shard=1), make_load(shard=2)
    sink = warehouse.sink()
    sink.open(first, restart=False)
    sink.write(make_batch(first, range(1)))
    other = warehouse.sink()
    assert other.open(second, restart=False) is None
    assert other.processed_at == PROCESSED_AT.isoformat()


@pytest.mark.outcome(
    "processes", "two attempts at one load are alive at once", "FencedError in the older one; the newer one recovers"
)
def test_an_older_attempt_cannot_write_any_more(warehouse: Warehouse) -> None:
    load = make_load()
    old, new = warehouse.sink(), warehouse.sink()
    old.open(load, restart=False)
    old.write(make_batch(load, range(10)))
    checkpoint = new.open(load, restart=False)
    assert checkpoint is not None
    with pytest.raises(FencedError, match="export-1"):
        old.write(make_batch(load, range(10, 20)))
    assert len(warehouse.rows()) == 10
    last = new.write(make_batch(load, range(10, 30)))
    with pytest.raises(FencedError):
        old.finish(make_certificate(load, checkpoint))
    assert warehouse.ledger()["state"] == "loading"
    assert new.finish(make_certificate(load, last)).counts == counts(30)


# ── dead letters ──


def test_dead_letters_are_kept_with_their_bytes_and_place(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, make_batches(load, 10, dead=[4]))
    (letter,) = warehouse.dead_letters()
    letter.pop("created_at")
    assert letter == {
        "load_id": "load-1",
        "target": "public.recordings",
        "shard": 0,
        "source_offset": 4 * LENGTH,
        "export_id": "export-1",
        "contract": str(RECORDINGS),
        "run_id": "dag/run/task",
        "stage": "contract",
        "rule": "missing-required",
        "message": "durationMs is missing",
        "kind": "recordings",
        "window_start": load.window_start,
        "window_end": load.window_end,
        "submitted_at": load.submitted_at,
        "processed_at": PROCESSED_AT,
        "raw": '{"recordingId": "recording-0000004"}',
        "raw_form": "text",
        "state": "open",
        "replayed_at": None,
        "replayed_by": None,
        "replayed_contract": None,
    }


@pytest.mark.parametrize(
    ("how", "raw", "form"),
    [("encrypt", '"4000000-gnidrocer" :"dIgnidrocer"{', "encrypted"), ("drop", None, "dropped")],
)
def test_the_bytes_of_dead_letters_are_encrypted_or_dropped(
    warehouse: Warehouse, how: str, raw: str | None, form: str
) -> None:
    load = make_load()
    batches = make_batches(load, 10, dead=[4])
    warehouse.load(load, batches, dead_letter_raw=how, encrypt=lambda plain, _: plain[::-1].replace(b"}", b""))
    (letter,) = warehouse.dead_letters()
    assert (letter["raw"], letter["raw_form"]) == (raw, form)


def test_dead_letters_of_a_batch_that_fails_are_not_kept(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    warehouse.execute("ALTER TABLE genesys_ledger DROP COLUMN checkpoint")
    with pytest.raises(Exception, match="checkpoint"):
        sink.write(make_batch(load, range(10), dead=[1]))
    assert warehouse.dead_letters() == warehouse.rows() == []


def test_a_load_that_begins_anew_forgets_its_former_dead_letters(warehouse: Warehouse) -> None:
    load, other = make_load(), make_load(load_id="load-2")
    warehouse.load(other, make_batches(other, 10, dead=[1, 2]))
    warehouse.load(load, make_batches(load, 10, dead=[1, 2]))
    warehouse.load(load, make_batches(load, 10, dead=[2, 5]), restart=True)
    found = [(letter["load_id"], letter["source_offset"] // LENGTH) for letter in warehouse.dead_letters()]
    assert found == [("load-1", 2), ("load-1", 5), ("load-2", 1), ("load-2", 2)]


def test_encryption_needs_a_function(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="encrypt"):
        warehouse.sink(dead_letter_raw="encrypt")


# ── rows that PostgreSQL refuses ──


@pytest.mark.outcome("PostgreSQL", "a row that PostgreSQL refuses", "dead letter")
def test_a_poisoned_row_is_rejected_and_the_others_land(warehouse: Warehouse) -> None:
    load = make_load()

    def row(number: int) -> tuple:
        return recording_row(number, durationMs=2**63) if number in (5, 250, 251) else recording_row(number)

    certificate = warehouse.load(load, make_batches(load, 600, size=300, dead=[8], row=row))
    assert certificate.counts == counts(600, dead_letters=4)
    assert certificate.rules == {"data-error": 3}
    assert len(warehouse.rows()) == 596
    letters = [letter for letter in warehouse.dead_letters() if letter["stage"] == "sink"]
    assert [letter["source_offset"] // LENGTH for letter in letters] == [5, 250, 251]
    assert '"durationMs":9223372036854775808' in letters[0]["raw"]
    assert '"media":{"type": "audio"' in letters[0]["raw"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"queueName": "a\0b"}, "character-not-in-repertoire"),
        ({"metadata": b'{"text": "\\u0000"}'}, "untranslatable-character"),
        ({"queueName": "lone \ud800"}, "data-error"),
        ({"recordingId": "".join(chr(0x4E00 + n) for n in range(5000))}, "program-limit-exceeded"),
        ({"metadata": b"[" * 100_000 + b"]" * 100_000}, "statement-too-complex"),
        ({"direction": "sideways"}, "check-violation"),
        ({"queueId": "elsewhere"}, "foreign-key-violation"),
    ],
)
def test_whatever_postgres_refuses_in_a_row_blocks_only_that_row(warehouse: Warehouse, change: dict, rule: str) -> None:
    load = make_load()
    sink = warehouse.sink()
    sink.open(load, restart=False)
    warehouse.execute("CREATE TABLE queues (id text PRIMARY KEY)")
    warehouse.execute("INSERT INTO queues SELECT 'queue-' || n FROM generate_series(0, 4) AS n")
    warehouse.execute(
        "ALTER TABLE recordings ADD CHECK (direction = 'inbound'),"
        " ADD FOREIGN KEY (queue_id) REFERENCES queues DEFERRABLE INITIALLY DEFERRED"
    )
    row = {6: recording_row(6, **change)}
    checkpoint = sink.write(make_batch(load, range(9), row=lambda number: row.get(number, recording_row(number))))
    assert checkpoint.counts == counts(9, dead_letters=1)
    assert checkpoint.rules == {rule: 1}
    (letter,) = warehouse.dead_letters()
    assert (letter["source_offset"], letter["stage"], letter["rule"]) == (6 * LENGTH, "sink", rule)
    assert sink.finish(make_certificate(load, checkpoint)).counts == counts(9, dead_letters=1)


def test_a_duplicate_that_is_poisoned_does_not_take_the_good_one_with_it(warehouse: Warehouse) -> None:
    load = make_load()
    rows = [recording_row(0, durationMs=1), recording_row(0, durationMs=2**63)]
    assert warehouse.load(load, [make_batch(load, range(2), row=rows.__getitem__)]).counts == counts(2, dead_letters=1)
    assert [row["duration_ms"] for row in warehouse.rows()] == [1]


def test_poisoned_rows_are_counted_on_from_a_resumed_checkpoint(warehouse: Warehouse) -> None:
    load = make_load()

    def row(number: int) -> tuple:
        return recording_row(number, durationMs=2**63 if number % 5 == 0 else number)

    first = warehouse.sink()
    first.open(load, restart=False)
    first.write(make_batch(load, range(10), row=row))
    first.abort()
    second = warehouse.sink()
    checkpoint = second.open(load, restart=False)
    assert checkpoint is not None
    # The pipeline goes on from the sums of the checkpoint that it was given.
    for batch in make_batches(load, range(10, 30), size=10, row=row):
        last = second.write(replace(batch, checkpoint=replace(batch.checkpoint, rules=checkpoint.rules)))
    assert last.rules == {"data-error": 6}
    assert last.counts == counts(30, dead_letters=6)


# ── the account at the end ──


@pytest.mark.outcome("PostgreSQL", "somebody deletes dead letters before the load has ended", "AccountError")
@pytest.mark.parametrize("publish", ["batches", "atomic"])
def test_dead_letters_that_somebody_deleted_meanwhile_fail_the_load(warehouse: Warehouse, publish: str) -> None:
    load, sink = make_load(), warehouse.sink(publish=publish)
    sink.open(load, restart=False)
    last = write_all(sink, make_batches(load, 10, size=5, dead=(2, 4, 7)))
    warehouse.execute("DELETE FROM genesys_dead_letters WHERE source_offset = %s", 4 * LENGTH)
    with pytest.raises(AccountError, match=r"export-1: 3 records were rejected.*holds 2 of them"):
        sink.finish(make_certificate(load, last))
    assert warehouse.ledger()["state"] == "loading"
    again = warehouse.load(load, make_batches(load, 10, size=5, dead=(2, 4, 7)), restart=True, publish=publish)
    assert again.counts == counts(10, dead_letters=3)


@pytest.mark.outcome("PostgreSQL", "somebody deletes loaded rows before the load has ended", "AccountError")
def test_rows_that_somebody_deleted_meanwhile_fail_the_load(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    last = sink.write(make_batch(load, range(10)))
    warehouse.execute("DELETE FROM recordings WHERE duration_ms < 20")
    with pytest.raises(AccountError, match=r"export-1.*10 rows were written.*holds 7"):
        sink.finish(make_certificate(load, last))
    assert warehouse.ledger()["state"] == "loading"


def test_rows_that_a_newer_load_took_over_do_not(warehouse: Warehouse) -> None:
    old, new = make_load("old"), make_load("new", load_id="load-2", submitted_at=LATER)
    sink = warehouse.sink()
    sink.open(old, restart=False)
    last = sink.write(make_batch(old, range(10)))
    warehouse.load(new, make_batches(new, range(6, 8)))
    (part,) = sink.finish(make_certificate(old, last)).parts
    assert part == {"key": "public.recordings", "rows": 8, "taken_over": 2}


@pytest.mark.outcome("processes", "the contract is another one at the next try", "recovers as a separate load")
def test_the_same_export_through_another_contract_has_an_account_of_its_own(warehouse: Warehouse) -> None:
    load = make_load()
    stricter = make_load(load_id="load-2", contract=replace(RECORDINGS, version=2))
    warehouse.load(load, make_batches(load, 10))
    assert warehouse.load(stricter, make_batches(stricter, 10, dead=[1, 2])).counts == counts(10, dead_letters=2)
    assert {row["_contract_version"] for row in warehouse.rows()} == {str(load.contract), str(stricter.contract)}


def test_a_certificate_is_added_to_unless_a_newer_attempt_has_begun(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    closed = sink.finish(make_certificate(load, write_all(sink, make_batches(load, 5))))
    compared = {"verdict": "agrees"}
    sink.amend(replace(closed, reconciliation=compared))
    assert warehouse.ledger()["certificate"]["reconciliation"] == compared
    warehouse.sink().open(load, restart=True)
    sink.amend(replace(closed, reconciliation={"verdict": "differs"}))
    assert (warehouse.ledger()["certificate"] or {}).get("reconciliation") in (compared, None)
