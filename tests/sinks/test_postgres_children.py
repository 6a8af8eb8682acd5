"""Child tables follow the rows that they belong to, whatever the order in which exports come."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.child_rows import ChildRows
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import AccountError, ConfigurationError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.verify import VerifiedRows, verify_table
from tests.sinks.batches import DAY, make_batch, make_batches, make_certificate, make_load, recording_row
from tests.sinks.replaying import letters_of, record
from tests.sinks.test_postgres_replay import replayed
from tests.sinks.warehouse import Warehouse, counts

PEOPLE = Child(
    "people",
    "participants",
    (ChildColumn("participantId", "id", "string"), ChildColumn("since", "since", "timestamp")),
)
CONTRACT = replace(RECORDINGS, children=(PEOPLE,))
FIRST = make_load("export-1", contract=CONTRACT)
LATER = make_load("export-2", contract=CONTRACT, submitted_at=DAY + timedelta(days=3))


def batches(load: Load, *ids: str, records: int = 3) -> list[Batch]:
    """Batches whose every record has participants with ``ids``."""
    people = json.dumps([{"id": one, "since": "2026-11-01T00:00:00Z"} for one in ids]).encode()
    place = CONTRACT.index("participants")
    return [
        replace(batch, rows=[(*row[:place], people, *row[place + 1 :]) for row in batch.rows])
        for batch in make_batches(load, records, dead=())
    ]


def people(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.execute("SELECT recording_id, ordinal, participant_id FROM recordings_people ORDER BY 1, 2")
    return [tuple(row.values()) for row in rows]


def expected(*ids: str, records: int = 3) -> list[tuple[Any, ...]]:
    return [(f"recording-{number:07}", ordinal, one) for number in range(records) for ordinal, one in enumerate(ids, 1)]


def test_each_record_has_its_children(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST, "a", "b"))
    assert people(warehouse) == expected("a", "b")


def test_a_record_that_comes_again_replaces_them(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST, "a", "b", "c"))
    warehouse.load(LATER, batches(LATER, "c"))
    assert people(warehouse) == expected("c")


def test_an_older_export_that_comes_late_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.load(LATER, batches(LATER, "new"))
    warehouse.load(FIRST, batches(FIRST, "old", "older"))
    assert people(warehouse) == expected("new")


def test_the_same_export_loaded_again_gives_the_same_children(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST, "a", "b"))
    warehouse.load(FIRST, batches(FIRST, "a", "b"), restart=True)
    assert people(warehouse) == expected("a", "b")


@pytest.mark.parametrize("options", [{"publish": "atomic"}, {"write_mode": "replace_window"}])
def test_what_cannot_be_kept_with_children_is_refused(warehouse: Warehouse, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="child_tables=False"):
        warehouse.sink(**options).open(FIRST, restart=False)
    warehouse.load(FIRST, batches(FIRST, "a"), child_tables=False, **options)


def test_a_table_that_may_not_be_created_is_told_with_its_sql(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST), child_tables=False)
    with pytest.raises(SinkRefusedError, match=r'CREATE TABLE "public"."recordings_people"'):
        warehouse.sink(create_table=False).open(FIRST, restart=True)


def test_values_are_coerced_or_null_and_what_is_no_list_has_no_rows() -> None:
    text = b'[{"id": "a", "since": "soon"}, 7, {"id": 5, "since": "2026-11-01T00:00:00"}]'
    rows = list(ChildRows(PEOPLE).rows(text))
    assert [(row[0], row[1], row[2] is None) for row in rows] == [(1, "a", True), (2, "5", False)]
    assert not list(ChildRows(PEOPLE).rows(b'{"id": "a"}'))
    assert not list(ChildRows(PEOPLE).rows(None))


def test_lists_within_lists_know_the_objects_around_them() -> None:
    child = Child(
        "parts",
        "participants.sessions",
        (ChildColumn("who", "../id", "string"), ChildColumn("session", "id", "string")),
    )
    text = b'[{"id": "a", "sessions": [{"id": "x"}, {"id": "y"}]}, {"id": "b"}, {"id": "c", "sessions": [{"id": "z"}]}]'
    assert list(ChildRows(child).rows(text)) == [(1, "a", "x"), (2, "a", "y"), (3, "c", "z")]


SCORES = Child(
    "people", "participants", (ChildColumn("participantId", "id", "string"), ChildColumn("n", "n", "integer"))
)
SCORED = replace(RECORDINGS, children=(SCORES,))
RAISES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF new.n = 7 THEN RAISE EXCEPTION 'secret of %%', new.participant_id; END IF; RETURN new; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON recordings_people FOR EACH ROW EXECUTE FUNCTION refuse()
"""
KNOWN = """
CREATE TABLE known (n bigint PRIMARY KEY); INSERT INTO known VALUES (1);
ALTER TABLE recordings_people ADD CONSTRAINT known FOREIGN KEY (n) REFERENCES known DEFERRABLE INITIALLY DEFERRED
"""
REFUSALS = [
    ("ALTER TABLE recordings_people ALTER n TYPE smallint", 40_000, "numeric-value-out-of-range", "column n"),
    ("ALTER TABLE recordings_people ALTER n SET NOT NULL", None, "not-null-violation", "column n"),
    ("ALTER TABLE recordings_people ADD CONSTRAINT low CHECK (n < 5)", 7, "check-violation", "constraint low"),
    (
        "CREATE DOMAIN small AS bigint CHECK (value < 5); ALTER TABLE recordings_people ALTER n TYPE small",
        7,
        "check-violation",
        "column n, constraint small_check",
    ),
    (
        KNOWN,
        7,
        "foreign-key-violation",
        "constraint known",
    ),
    (RAISES, 7, "raise-exception", ""),
]


def scores(load: Load, bad: int | None) -> Batch:
    """A batch in which the second child of record 4 has the value ``bad``."""

    def row(number: int) -> tuple[Any, ...]:
        children = [{"id": "ann", "n": 1}, {"id": "bob", "n": bad if number == 4 else 1}]
        return recording_row(number, participants=json.dumps(children).encode())

    return make_batch(load, range(9), row=row)


@pytest.mark.outcome("PostgreSQL", "a child table refuses a value", "dead letter")
@pytest.mark.parametrize(("statement", "bad", "rule", "where"), REFUSALS)
def test_a_record_whose_child_is_refused_is_rejected_whole_and_the_others_land(
    warehouse: Warehouse, statement: str, bad: int | None, rule: str, where: str
) -> None:
    load = make_load(contract=SCORED)
    sink = warehouse.sink()
    sink.open(load, restart=False)
    warehouse.execute(statement)

    last = sink.write(scores(load, bad))

    assert (last.counts, last.rules) == (counts(9, dead_letters=1), {rule: 1})
    [letter] = warehouse.dead_letters()
    assert "table recordings_people" in letter["message"]
    assert where in letter["message"]
    assert not any(value in letter["message"] for value in ("40000", "bob", "secret"))
    assert sink.finish(make_certificate(load, last)).counts == counts(9, dead_letters=1)
    held = people(warehouse)
    assert [(key[-1], ordinal) for key, ordinal, _ in held] == [(str(n), o) for n in range(9) if n != 4 for o in (1, 2)]


def test_a_replay_goes_on_past_a_child_that_is_refused(warehouse: Warehouse) -> None:
    load = make_load(contract=SCORED)
    letters = {n: record(n, durationMs="?", participants=[{"id": "ann", "n": n}]) for n in (3, 7, 8)}
    warehouse.load(load, [letters_of(load, letters)])
    warehouse.execute("ALTER TABLE recordings_people ADD CONSTRAINT low CHECK (n <> 7)")
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms TYPE text")
    text = tuple(replace(column, type="string") if column.name == "durationMs" else column for column in SCORED.columns)

    account = replayed(warehouse, replace(SCORED, columns=text))

    assert (account.replayed, account.broken) == (2, {"check-violation": 1})
    assert "table recordings_people, constraint low" in str(warehouse.dead_letters())


@pytest.mark.parametrize("code", ["", "USING ERRCODE = 'UE001'", "USING ERRCODE = 'insufficient_privilege'"])
def test_a_trigger_that_raises_for_a_row_blocks_only_that_row(warehouse: Warehouse, code: str) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    raises = RAISES.replace("recordings_people", "recordings").replace("n = 7", "duration_ms = 21")
    warehouse.execute(raises.replace("participant_id", f"queue_id {code}"))
    assert sink.write(make_batch(load, range(9))).rules == {"raise-exception": 1}


@pytest.mark.outcome(
    "PostgreSQL", "rows of child tables are deleted, or others added, while a load runs", "AccountError"
)
@pytest.mark.parametrize(
    ("statement", "held"),
    [
        ("DELETE FROM recordings_people WHERE ordinal = 2", 9),
        ("DELETE FROM recordings_people WHERE recording_id = 'recording-0000001'", 10),
        ("INSERT INTO recordings_people SELECT recording_id, 3 FROM recordings_people WHERE ordinal = 1", 15),
    ],
)
def test_child_rows_that_somebody_else_changes_are_noticed(warehouse: Warehouse, statement: str, held: int) -> None:
    sink = warehouse.sink()
    sink.open(FIRST, restart=False)
    first, second = make_batch(FIRST, range(3)), make_batch(FIRST, range(3, 6))
    sink.write(first)
    warehouse.execute(statement)
    last = sink.write(second)
    with pytest.raises(AccountError, match=rf"12 rows were written to .*recordings_people.*holds {held} of them"):
        sink.finish(make_certificate(FIRST, last))


def test_child_rows_are_counted_where_records_come_twice_and_loads_are_resumed(warehouse: Warehouse) -> None:
    warehouse.load(FIRST, batches(FIRST, "a", "b"))  # older rows, which are replaced
    place = CONTRACT.index("participants")

    def batch(ids: list[str], *numbers: int, at: int) -> Batch:
        persons = json.dumps([{"id": one} for one in ids]).encode()
        made = make_batch(LATER, range(at, at + len(numbers)), row=lambda n: recording_row(numbers[n - at]))
        return replace(made, rows=[(*row[:place], persons, *row[place + 1 :]) for row in made.rows])

    sink = warehouse.sink()
    sink.open(LATER, restart=False)
    sink.write(batch(["a", "b", "c"], 0, 1, 1, at=0))
    sink.abort()
    again = warehouse.sink()
    again.open(LATER, restart=False)
    again.write(batch(["a"], 1, 2, at=3))
    last = again.write(batch([], 0, at=5))

    assert again.finish(make_certificate(LATER, last)).counts == counts(6, duplicates=3)
    assert warehouse.execute("SELECT child_rows FROM genesys_ledger WHERE export_id = 'export-2'") == [
        {"child_rows": {"people": 2}}
    ]


def test_child_rows_that_a_newer_load_has_taken_over_are_not_missed(warehouse: Warehouse) -> None:
    sink = warehouse.sink()
    sink.open(FIRST, restart=False)
    last = sink.write(make_batch(FIRST, range(3)))
    newer = replace(LATER, load_id="load-2")
    warehouse.load(newer, batches(newer, "a", records=2))
    assert sink.finish(make_certificate(FIRST, last)).counts == counts(3)


def test_a_finished_load_is_verified_with_its_children(warehouse: Warehouse) -> None:
    done = warehouse.load(FIRST, batches(FIRST, "a", "b"))

    def verified() -> VerifiedRows:
        [found] = verify_table(warehouse.connect, done.location)
        return found

    assert (verified().problems, verified().child_rows) == ((), 6)
    assert "3 rows, 6 child rows, " in verified().measured
    warehouse.execute("DELETE FROM recordings_people WHERE recording_id = 'recording-0000001' AND ordinal = 2")
    assert verified().problems == ("the table of the child 'people' holds 5 rows of the load; 6 were written",)
    warehouse.execute("INSERT INTO recordings_people SELECT 'recording-0000001', n FROM generate_series(7, 8) AS n")
    assert verified().problems == ("the table of the child 'people' holds 7 rows of the load; 6 were written",)
    warehouse.execute("DROP TABLE recordings_people")
    assert "is not there" in verified().problems[0]


def test_rows_that_a_newer_load_has_taken_over_took_their_children_along(warehouse: Warehouse) -> None:
    done = warehouse.load(FIRST, batches(FIRST, "a", "b"))
    other = replace(LATER, load_id="load-2")
    warehouse.load(other, batches(other, "c", records=1))
    found = verify_table(warehouse.connect, done.location)
    assert [(one.rows, one.child_rows, one.problems) for one in found] == [(2, 4, ()), (1, 1, ())]
