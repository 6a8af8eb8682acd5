"""Dead letters that are read again, through another contract, into the table that they were meant for."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract
from airflow_provider_genesys.exceptions import DeadLetterError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.replay import Replayed, Span
from airflow_provider_genesys.sinks.dead_letters import Decrypt, opened
from airflow_provider_genesys.sinks.postgres import replay as postgres_replay
from airflow_provider_genesys.sinks.postgres.replace_window import exclusive_lock
from airflow_provider_genesys.sinks.postgres.replay import PostgresReplay
from tests.sinks.batches import DAY, LENGTH, PROCESSED_AT, make_batch, make_load, recording_row
from tests.sinks.replaying import HASHING, KEY, LENIENT, as_it_is, contract_of, letters_of, record
from tests.sinks.warehouse import Warehouse


def replayed(
    warehouse: Warehouse,
    contract: Contract = LENIENT,
    *,
    decrypt: Decrypt = as_it_is,
    **window: Any,
) -> Replayed:
    replay = PostgresReplay(
        lambda: psycopg.connect(warehouse.dsn, options="-c DateStyle=German"),
        "recordings",
        opened=lambda letter: opened(letter, decrypt),
        pii_key=lambda _: KEY,
        retry_wait=0.01,
    )
    return replay.run(lambda _: contract, "dag/replay/task", Span(**window))


def set_up(warehouse: Warehouse) -> Load:
    """A complete load whose records 3 and 4 lack a duration, and 5 an id as well."""
    load = make_load()
    warehouse.load(load, [letters_of(load, {3: record(3), 4: record(4), 5: b'{"durationMs": 1}'})])
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms DROP NOT NULL")
    return load


def test_a_mended_contract_turns_dead_letters_into_rows(warehouse: Warehouse) -> None:
    load = set_up(warehouse)

    account = replayed(warehouse, HASHING)

    assert account.summary() == {
        "letters": 3,
        "replayed": 2,
        "written": 2,
        "duplicates": 0,
        "still_open": 1,
        "unreadable": 0,
        "loads": 1,
        "loads_skipped": 0,
        "strays": 0,
        "gone": 0,
        "mended": {"missing-required": 2},
        "broken": {"missing-required": 1},
    }
    row = warehouse.rows()[3]
    assert (row["recording_id"], row["duration_ms"]) == ("recording-0000003", None)
    assert (row["processed_at"], row["_source_offset"]) == (PROCESSED_AT, 3 * LENGTH)
    assert (row["_genesys_export_id"], row["_contract_version"]) == (load.export_id, str(HASHING))
    assert len(warehouse.rows()) == 9


def test_a_letter_that_nobody_can_rank_stays_and_the_others_are_replayed(warehouse: Warehouse) -> None:
    load = set_up(warehouse)
    other = make_load("export-2", load_id="load-2", submitted_at=load.submitted_at)
    warehouse.load(other, [make_batch(other, range(3, 4))])

    account = replayed(warehouse)

    assert (account.replayed, account.still_open) == (1, 2)
    third, fourth, _ = warehouse.dead_letters()
    assert (third["state"], third["rule"]) == ("open", "unranked-export")
    assert "asked for later" in third["message"]
    assert fourth["state"] == "replayed"


def test_letters_that_somebody_deleted_are_counted(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    set_up(warehouse)
    replayed(warehouse)
    assert replayed(warehouse).gone == 0, "letters that were replayed are there"
    warehouse.execute("DELETE FROM genesys_dead_letters WHERE source_offset > %s", 3 * LENGTH)
    assert replayed(warehouse) == Replayed(gone=2)
    assert "Load load-1 of public.recordings, window 2026-11-" in caplog.text
    assert "2 dead letters are no longer there. Somebody has deleted them" in caplog.text
    assert replayed(warehouse, until=DAY).gone == 0, "another window"
    warehouse.execute(
        "UPDATE genesys_ledger SET certificate = jsonb_set(certificate, '{counts,dead_letters}', '\"3\"')"
    )
    assert replayed(warehouse).gone == 0, "nobody knows how many there were"
    warehouse.execute("UPDATE genesys_ledger SET state = 'loading', certificate = NULL")
    assert replayed(warehouse).gone == 0, "what is gone counts when the load is complete"


def test_letters_are_marked_and_none_is_removed(warehouse: Warehouse) -> None:
    set_up(warehouse)

    replayed(warehouse)

    third, _, fifth = warehouse.dead_letters()
    assert (third["state"], third["replayed_by"]) == ("replayed", "dag/replay/task")
    assert third["replayed_at"] is not None
    assert (third["contract"], third["replayed_contract"]) == (str(RECORDINGS), str(LENIENT))
    assert (fifth["state"], fifth["contract"]) == ("open", str(LENIENT))
    assert "recordingId" in fifth["message"]


@pytest.mark.outcome("processes", "a replay meets what is no dead letter", "recovers, leaving it as it is")
def test_what_is_no_letter_does_not_stop_the_others(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(warehouse)
    strays = [
        {"load_id": "a", "kind": "nothing we know"},
        {"load_id": "b", "window_end": "infinity"},
        {"source_offset": 100, "processed_at": "-infinity"},
        {"source_offset": 101, "submitted_at": "12000-01-01"},
        {"load_id": "c", "window_start": "0044-03-15 BC"},
        {"source_offset": 1, "kind": "conversation_details"},
        {"source_offset": 2, "export_id": "another"},
        {"source_offset": 3, "kind": "nothing we know"},
        {"load_id": "d"},
        {"shard": 7, "source_offset": 9},
        {"shard": -1, "source_offset": 9},
    ]
    unreadable = [
        {"source_offset": 102, "raw": None},
        {"source_offset": 103, "raw": "no base64", "raw_form": "base64"},
        {"source_offset": 104, "raw": "no token", "raw_form": "encrypted"},
        {"source_offset": 105, "raw": None, "raw_form": "dropped"},
        {"source_offset": 106, "raw": "x" * 5000},
    ]
    monkeypatch.setattr(postgres_replay, "LONGEST_LETTER", 4000)
    for changes in (*strays, *unreadable):
        warehouse.execute(_COPY, json.dumps(changes), 3 * LENGTH)
    before = warehouse.execute(_OTHERS)

    def decrypt(*_: bytes) -> bytes:
        raise DeadLetterError("another secret")

    replay = PostgresReplay(warehouse.connect, "recordings", opened=lambda letter: opened(letter, decrypt))
    for replayed_now in (2, 0):
        account = replay.run(contract_of, "dag/replay/task")
        assert (account.replayed, account.unreadable, account.strays) == (replayed_now, len(unreadable), len(strays))
    assert len(warehouse.rows()) == 9
    assert warehouse.execute(_OTHERS) == before


def test_the_ledger_says_what_a_load_is_and_no_letter(warehouse: Warehouse) -> None:
    """A letter that says otherwise changes neither the rank nor the time of its own row or of others."""
    load = set_up(warehouse)
    says = {"submitted_at": "2100-01-01", "processed_at": "2100-01-01", "window_start": "2100-01-01"}
    warehouse.execute(_COPY, json.dumps({"source_offset": 1, "raw": record(1, name="x").decode(), **says}), 3 * LENGTH)

    account = replayed(warehouse)

    assert (account.replayed, account.strays) == (3, 0)
    third = next(row for row in warehouse.rows() if row["recording_id"] == "recording-0000003")
    assert (third["processed_at"], third["_genesys_submitted_at"]) == (PROCESSED_AT, load.submitted_at)
    assert {row["_genesys_submitted_at"] for row in warehouse.rows()} == {load.submitted_at}


_COPY = """
INSERT INTO genesys_dead_letters SELECT (jsonb_populate_record(l, %s)).* FROM genesys_dead_letters AS l
WHERE load_id = 'load-1' AND source_offset = %s
"""
_OTHERS = "SELECT * FROM genesys_dead_letters WHERE state = 'open' AND source_offset BETWEEN 102 AND 105"


def test_replaying_twice_changes_nothing(warehouse: Warehouse) -> None:
    set_up(warehouse)
    replayed(warehouse)
    rows, ledger = warehouse.rows(), warehouse.ledger()

    again = replayed(warehouse)

    assert (again.letters, again.replayed) == (1, 0)
    assert (warehouse.rows(), warehouse.ledger()) == (rows, ledger)


def test_a_newer_row_of_the_same_key_stays(warehouse: Warehouse) -> None:
    set_up(warehouse)
    newer = make_load("export-2", load_id="load-2", submitted_at=DAY + timedelta(days=5))
    warehouse.load(newer, [make_batch(newer, range(3, 4), row=lambda n: recording_row(n, durationMs=77))])

    account = replayed(warehouse)

    assert (account.written, account.duplicates) == (1, 1)
    assert warehouse.rows()[3]["duration_ms"] == 77
    assert [letter["state"] for letter in warehouse.dead_letters()] == ["replayed", "replayed", "open"]


def test_an_older_row_is_taken_over_and_the_ledger_says_so(warehouse: Warehouse) -> None:
    older = make_load("export-0", load_id="load-0", submitted_at=DAY)
    warehouse.load(older, [make_batch(older, range(3, 4), row=lambda n: recording_row(n, durationMs=77))])
    set_up(warehouse)

    replayed(warehouse)

    assert warehouse.rows()[3]["duration_ms"] is None
    [row] = warehouse.execute("SELECT taken_over FROM genesys_ledger WHERE load_id = 'load-1'")
    assert row["taken_over"] == {"export-0/0": 1}


def test_a_load_that_is_running_is_left_to_the_next_replay(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    sink.write(letters_of(load, {3: record(3)}))

    account = replayed(warehouse)

    assert (account.letters, account.loads, account.loads_skipped) == (0, 0, 1)
    assert [letter["state"] for letter in warehouse.dead_letters()] == ["open"]


def test_a_row_that_postgresql_refuses_stays_open_with_that_reason(warehouse: Warehouse) -> None:
    older = make_load("export-0", load_id="load-0", submitted_at=DAY)
    warehouse.load(older, [make_batch(older, range(3, 4))])
    set_up(warehouse)
    warehouse.execute("ALTER TABLE recordings ADD CHECK (recording_id <> 'recording-0000004')")

    account = replayed(warehouse)

    assert (account.written, account.still_open, account.broken["check-violation"]) == (1, 2, 1)
    fourth = warehouse.dead_letters()[1]
    assert (fourth["state"], fourth["stage"], fourth["rule"]) == ("open", "sink", "check-violation")
    [row] = warehouse.execute("SELECT taken_over FROM genesys_ledger WHERE load_id = 'load-1'")
    assert row["taken_over"] == {"export-0/0": 1}, "what the search for the row has tried does not count"


def test_a_row_that_is_refused_as_late_as_at_the_commit_stays_open(warehouse: Warehouse) -> None:
    set_up(warehouse)
    warehouse.execute("CREATE TABLE known (id text PRIMARY KEY)")
    warehouse.execute("INSERT INTO known SELECT recording_id FROM recordings")
    warehouse.execute("INSERT INTO known VALUES ('recording-0000004')")
    warehouse.execute("ALTER TABLE recordings ADD FOREIGN KEY (recording_id) REFERENCES known INITIALLY DEFERRED")

    account = replayed(warehouse)

    assert (account.replayed, account.broken["foreign-key-violation"]) == (1, 1)


def test_letters_without_their_bytes_stay_as_they_are(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, [letters_of(load, {3: record(3)})], dead_letter_raw="drop")

    def foreign(*_: bytes) -> bytes:
        raise DeadLetterError("another secret")

    encrypted = make_load("export-2", load_id="load-2", submitted_at=DAY + timedelta(days=3))
    batch = letters_of(encrypted, {3: record(3)})
    warehouse.load(encrypted, [batch], dead_letter_raw="encrypt", encrypt=lambda raw, _: raw.hex().encode())
    before = warehouse.dead_letters()

    account = replayed(warehouse, decrypt=foreign)

    assert (account.letters, account.unreadable) == (2, 2)
    assert warehouse.dead_letters() == before


def test_only_the_loads_of_the_window_are_replayed(warehouse: Warehouse) -> None:
    set_up(warehouse)

    before = replayed(warehouse, since=DAY - timedelta(days=2), until=DAY)
    within = replayed(warehouse, since=DAY, until=DAY + timedelta(days=1))

    behind = replayed(warehouse, since=DAY + timedelta(days=1), until=DAY + timedelta(days=3))
    assert (before.letters, within.letters, behind.loads) == (0, 3, 0)


@pytest.mark.outcome("processes", "a replay of dead letters is killed, and run again", "recovers")
@pytest.mark.parametrize("nth", [1, 2])
def test_a_replay_that_is_killed_and_run_again_ends_as_one_that_was_not(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    set_up(warehouse)
    monkeypatch.setattr(postgres_replay, "BATCH", 1)
    child = os.fork()
    if not child:
        _replay_and_die(warehouse.dsn, nth)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL

    account = replayed(warehouse)

    assert account.replayed == 3 - nth
    assert len(warehouse.rows()) == 9
    assert [letter["state"] for letter in warehouse.dead_letters()] == ["replayed", "replayed", "open"]


def _replay_and_die(dsn: str, nth: int) -> None:
    """Replay in a forked child until the n-th transaction is about to be committed; then be killed."""
    reached = 0

    def hook(step: str) -> None:
        nonlocal reached
        reached += step == failpoints.COMMITTING
        if reached == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        failpoints.hook = hook
        replayed(Warehouse(dsn))
    finally:
        os._exit(1)


def test_a_replayed_row_has_its_children(warehouse: Warehouse) -> None:
    children = (Child("people", "participants", (ChildColumn("participantId", "id", "string"),)),)
    load = make_load(contract=replace(RECORDINGS, children=children))
    warehouse.load(load, [letters_of(load, {3: record(3, participants=[{"id": "a"}, {"id": "b"}])})])
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms DROP NOT NULL")

    replayed(warehouse, replace(LENIENT, children=children))

    query = "SELECT participant_id FROM recordings_people WHERE recording_id = 'recording-0000003' ORDER BY ordinal"
    assert [row["participant_id"] for row in warehouse.execute(query)] == ["a", "b"]


def test_the_bytes_of_a_letter_are_what_is_replayed(warehouse: Warehouse) -> None:
    """Half a megabyte of a record, encrypted, comes back as it was."""
    load = make_load()
    raw = record(3, metadata={"text": "ü" * 250_000})
    batch = letters_of(load, {3: raw})
    warehouse.load(load, [batch], dead_letter_raw="encrypt", encrypt=lambda plain, _: plain.hex().encode())
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms DROP NOT NULL")

    replayed(warehouse, decrypt=lambda token, _: bytes.fromhex(token.decode()))

    assert warehouse.rows()[3]["metadata"] == {"text": "ü" * 250_000}


@pytest.mark.parametrize(("bound", "commits"), [(0, 4), (150, 2), (10**6, 1)])
def test_large_letters_are_read_a_few_at_a_time(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, bound: int, commits: int
) -> None:
    """Each transaction takes one letter, and more as long as they are small."""
    load, seen = make_load(), list[str]()
    warehouse.load(load, [letters_of(load, {number: record(number) for number in (2, 3, 4, 5)})])
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms DROP NOT NULL")
    monkeypatch.setattr(postgres_replay, "BATCH_BYTES", bound)
    monkeypatch.setattr(failpoints, "hook", seen.append)

    assert replayed(warehouse).replayed == 4
    assert seen.count(failpoints.COMMITTING) == commits


def test_what_a_load_has_taken_over_before_its_replay_counts_on(warehouse: Warehouse) -> None:
    older = make_load("export-0", load_id="load-0", submitted_at=DAY + timedelta(hours=1))
    warehouse.load(older, [make_batch(older, range(5))])
    load = make_load()
    warehouse.load(load, [replace(letters_of(load, {3: record(3)}), rows=[recording_row(1)], offsets=[LENGTH])])
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms DROP NOT NULL")
    [before] = warehouse.execute("SELECT taken_over FROM genesys_ledger WHERE load_id = 'load-1'")
    assert replayed(warehouse).replayed == 1
    [row] = warehouse.execute("SELECT taken_over FROM genesys_ledger WHERE load_id = 'load-1'")
    assert (before["taken_over"], row["taken_over"]) == ({"export-0/0": 1}, {"export-0/0": 2})


def test_a_load_whose_ledger_is_removed_meanwhile_is_left_alone(warehouse: Warehouse) -> None:
    set_up(warehouse)
    other = make_load("export-2", load_id="load-2", submitted_at=DAY + timedelta(days=3))
    warehouse.load(other, [letters_of(other, {7: record(7)})])

    def removing(letter: Any) -> bytes:
        warehouse.execute("DELETE FROM genesys_ledger WHERE load_id = 'load-2'")
        return opened(letter, as_it_is)

    account = PostgresReplay(warehouse.connect, "recordings", opened=removing).run(contract_of, "dag/replay/task")
    assert (account.loads, account.loads_skipped) == (1, 1)
    assert [one["load_id"] for one in warehouse.dead_letters() if one["state"] == "replayed"] == ["load-1", "load-1"]


def test_a_replay_waits_while_a_load_removes_what_its_window_no_longer_has(warehouse: Warehouse) -> None:
    set_up(warehouse)
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(warehouse.dsn) as removing:
        removing.execute(exclusive_lock("public.recordings"))
        replaying = threading.Thread(target=lambda: replayed(warehouse))
        replaying.start()
        while warehouse.execute(waiting) == [{"n": 0}]:
            assert replaying.is_alive()
        assert len(warehouse.rows()) == 7
    replaying.join()
    assert len(warehouse.rows()) == 9


def test_a_window_that_a_newer_load_has_replaced_gets_nothing_back(warehouse: Warehouse) -> None:
    set_up(warehouse)
    newer = make_load("export-2", load_id="load-2", submitted_at=DAY + timedelta(days=5))
    warehouse.load(newer, [make_batch(newer, range(9))], write_mode="replace_window")
    warehouse.execute("DELETE FROM recordings WHERE recording_id IN ('recording-0000003', 'recording-0000004')")

    account = replayed(warehouse)

    assert (account.written, account.duplicates, len(warehouse.rows())) == (0, 2, 7)


@pytest.mark.parametrize("does", ["RETURN NULL;", "NEW.recording_id := 7; RETURN NEW;"])
def test_a_row_that_a_trigger_drops_or_renames_stays_open(warehouse: Warehouse, does: str) -> None:
    set_up(warehouse)
    warehouse.execute(f"CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {does} END'")
    when = "FOR EACH ROW WHEN (NEW.recording_id = 'recording-0000004') EXECUTE FUNCTION change()"
    warehouse.execute(f"CREATE TRIGGER changes BEFORE INSERT ON recordings {when}")

    account = replayed(warehouse)

    assert (account.replayed, account.still_open) == (1, 2)
    assert (warehouse.dead_letters()[1]["state"], len(warehouse.rows())) == ("open", 8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE recordings DROP COLUMN queue_name", "lacks the columns queue_name"),
        ("CREATE TABLE heirs () INHERITS (recordings)", "Other tables inherit"),
        ("CREATE RULE rewrites AS ON INSERT TO recordings DO INSTEAD NOTHING", "has rules that rewrite"),
        ("DROP TABLE recordings", "There is no table public.recordings"),
    ],
)
def test_a_table_that_no_longer_fits_is_refused_by_what_it_lacks(warehouse: Warehouse, change: str, said: str) -> None:
    set_up(warehouse)
    warehouse.execute(change)
    with pytest.raises(SinkRefusedError, match=said):
        replayed(warehouse)
    assert {letter["state"] for letter in warehouse.dead_letters()} == {"open"}
