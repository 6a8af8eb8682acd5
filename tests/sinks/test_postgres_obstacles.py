"""What stands between a load and its rows: triggers, rules, policies, and names that are no tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import AccountError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.sinks.postgres.snapshots import Snapshots, SnapshotSink
from tests.sinks.batches import DAY, LENGTH, make_batch, make_batches, make_certificate, make_load
from tests.sinks.replaying import letters_of, record
from tests.sinks.test_postgres_replay import replayed
from tests.sinks.warehouse import Warehouse, counts, write_all

LATER = make_load("export-2", load_id="load-2", submitted_at=DAY + timedelta(days=3))
ONE = "IF NEW.duration_ms = 21 THEN {} END IF; RETURN NEW;"
ONE_OUT = ONE.format("RETURN NULL;")


@pytest.fixture
def made(warehouse: Warehouse) -> Iterator[Warehouse]:
    """The tables, without a row. A load opens two connections at most: nothing is tried again and again."""
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    yield warehouse
    assert len(warehouse.connections) <= 4


def loader(warehouse: Warehouse) -> Warehouse:
    """The same database, for a role with all rights to its tables, whom policies bind."""
    role = f"loader_{warehouse.dsn.rpartition('/')[2]}"
    warehouse.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'loader'")
    warehouse.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    return Warehouse(f"postgresql://{role}:loader@{warehouse.dsn.rpartition('@')[2]}")


def trigger(warehouse: Warehouse, when: str, body: str, table: str = "recordings") -> None:
    warehouse.execute(f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    warehouse.execute(f"CREATE TRIGGER meddle {when} ON {table} FOR EACH ROW EXECUTE FUNCTION meddle()")


@pytest.mark.outcome("PostgreSQL", "a trigger swallows a row, or changes its key", "dead letter")
@pytest.mark.parametrize("body", [ONE_OUT, ONE.format("NEW.recording_id := 'X';")])
def test_a_row_that_a_trigger_swallows_is_rejected_and_the_others_land(made: Warehouse, body: str) -> None:
    trigger(made, "BEFORE INSERT", body)
    load = make_load()

    certificate = made.load(load, make_batches(load, 10))

    assert certificate.counts == counts(10, dead_letters=1)
    assert {row["duration_ms"] for row in made.rows()} == {7 * number for number in range(10)} - {21}
    [letter] = made.dead_letters()
    assert (letter["rule"], letter["source_offset"]) == ("rows-kept-out", 3 * LENGTH)
    assert letter["message"].startswith('The trigger meddle of "public"."recordings" keeps the row out, or changes its')


@pytest.mark.outcome("PostgreSQL", "a trigger swallows all rows, or writes them elsewhere", "SinkRefusedError")
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("body", ["RETURN NULL;", "INSERT INTO elsewhere SELECT NEW.*; RETURN NULL;"])
def test_a_trigger_that_swallows_all_rows_ends_the_load(made: Warehouse, body: str, *, late: bool) -> None:
    made.execute("CREATE TABLE elsewhere (LIKE recordings)")
    load, sink = make_load(), made.sink()
    if not late:
        trigger(made, "BEFORE INSERT", body)
    sink.open(load, restart=False)
    if late:
        trigger(made, "BEFORE INSERT", body)
    with pytest.raises(SinkRefusedError, match=r"trigger meddle .* keeps 10 of 10 rows out.*Disable it for this load"):
        sink.write(make_batch(load, range(10)))
    assert made.execute("SELECT FROM elsewhere") == []


@pytest.mark.outcome("PostgreSQL", "a trigger swallows updates", "dead letter")
def test_a_row_that_a_trigger_does_not_let_be_replaced_is_rejected(made: Warehouse) -> None:
    load = make_load()
    made.load(load, make_batches(load, 10))
    trigger(made, "BEFORE UPDATE", ONE_OUT)
    certificate = made.load(LATER, make_batches(LATER, 10))
    assert (certificate.counts, certificate.rules) == (counts(10, dead_letters=1), {"rows-kept-out": 1})
    [kept] = [row for row in made.rows() if row["_genesys_export_id"] == "export-1"]
    assert kept["duration_ms"] == 21


LINEAGE = [
    "_genesys_export_id := 'other'",
    "_genesys_submitted_at := now() + '1 day'",
    "_genesys_submitted_at := NULL",
    "_source_shard := 7",
    "_source_offset := NEW._source_offset - 1",
    "_contract_version := 'other'",
    "_loaded_at := now() - interval '9 days'",
]


@pytest.mark.outcome("PostgreSQL", "a trigger changes the lineage of a row", "dead letter")
@pytest.mark.parametrize(
    ("change", "when"),
    [
        # Both are compared with what was sent in the same way: without --long an update meets two of them.
        pytest.param(change, when, marks=[pytest.mark.long] if when == "UPDATE" and change not in LINEAGE[:2] else [])
        for change in LINEAGE
        for when in ("INSERT", "UPDATE")
    ],
)
def test_a_row_whose_lineage_a_trigger_changes_is_rejected(made: Warehouse, change: str, when: str) -> None:
    if when == "UPDATE":
        made.load(make_load(), make_batches(make_load(), 10))
    trigger(made, f"BEFORE {when}", ONE.format(f"NEW.{change};"))
    certificate = made.load(LATER, make_batches(LATER, 10))
    assert (certificate.counts, certificate.rules) == (counts(10, dead_letters=1), {"rows-kept-out": 1})
    [letter] = made.dead_letters()
    assert letter["message"].startswith('The trigger meddle of "public"."recordings" keeps the row out, or changes its')


def test_a_trigger_that_changes_the_lineage_of_all_rows_ends_the_load(made: Warehouse) -> None:
    trigger(made, "BEFORE INSERT", "NEW._genesys_export_id := 'other'; RETURN NEW;")
    load = make_load()
    with pytest.raises(
        SinkRefusedError, match=r"trigger meddle .* keeps 10 of 10 rows out or changes their .* lineage"
    ):
        made.load(load, make_batches(load, 10))


@pytest.mark.outcome("PostgreSQL", "a trigger raises an error that another try may solve", "dead letter")
@pytest.mark.parametrize(
    ("state", "commit_rows"),
    [
        # Without --long one of them is met where several batches make a commit.
        pytest.param(state, rows, marks=[pytest.mark.long] if rows > 1 and state != "40001" else [])
        for state in ("40001", "40P01", "57014", "55P03", "08006", "53200")
        for rows in (1, 100)
    ],
)
def test_a_trigger_that_raises_a_passing_error_for_good_rejects_the_row(
    made: Warehouse, state: str, commit_rows: int
) -> None:
    trigger(made, "BEFORE INSERT", ONE.format(f"RAISE EXCEPTION USING ERRCODE = '{state}';"))
    load = make_load()
    certificate = made.load(load, make_batches(load, 10), commit_rows=commit_rows)
    assert (certificate.counts, certificate.rules) == (counts(10, dead_letters=1), {"raise-exception": 1})


def test_a_trigger_that_is_cancelled_is_named(made: Warehouse) -> None:
    trigger(made, "BEFORE INSERT", "SET LOCAL statement_timeout = 1; PERFORM pg_sleep(5); RETURN NEW;")
    made.execute("ALTER DATABASE {} SET statement_timeout = '50ms'".format(made.dsn.rpartition("/")[2]))
    load = make_load()
    with pytest.raises(SinkUnavailableError, match=r"in the function meddle\(\) \(SQLSTATE 57014\)"):
        made.load(load, make_batches(load, 2), retries=0)


@pytest.mark.outcome("PostgreSQL", "a trigger that sets a column, such as `updated_at`", "recovers")
def test_a_trigger_may_set_a_column(made: Warehouse) -> None:
    made.execute("ALTER TABLE recordings ADD updated_at timestamptz")
    trigger(
        made, "BEFORE INSERT OR UPDATE", "NEW.updated_at := now(); NEW.direction := upper(NEW.direction); RETURN NEW;"
    )
    for load in (make_load(), LATER):
        assert made.load(load, make_batches(load, 10)).counts == counts(10)
        assert {(row["updated_at"] is None, row["direction"]) for row in made.rows()} == {(False, "INBOUND")}


@pytest.mark.outcome("PostgreSQL", "a trigger deletes rows after they are written", "AccountError")
def test_a_trigger_that_deletes_what_was_written_is_named(made: Warehouse) -> None:
    trigger(made, "AFTER INSERT", "DELETE FROM recordings WHERE duration_ms = 21; RETURN NULL;")
    load = make_load()
    with pytest.raises(AccountError, match="The trigger meddle of the table, or somebody else, deletes rows"):
        made.load(load, make_batches(load, 10))


def test_a_trigger_that_swallows_a_row_as_it_is_published_ends_the_load(made: Warehouse) -> None:
    trigger(made, "BEFORE INSERT", ONE_OUT)
    load = make_load()
    with pytest.raises(SinkRefusedError, match=r"trigger meddle .* keeps 1 of 10 rows out.*its rows are in .*staging"):
        made.load(load, make_batches(load, 10), publish="atomic")
    assert made.rows() == []


@pytest.mark.outcome("PostgreSQL", "a trigger swallows deletions of `replace_window`", "SinkRefusedError")
def test_a_trigger_that_keeps_older_rows_ends_a_load_that_replaces_a_window(made: Warehouse) -> None:
    load = make_load()
    made.load(load, make_batches(load, 10))
    trigger(made, "BEFORE DELETE", "RETURN NULL;")
    with pytest.raises(SinkRefusedError, match=r"trigger meddle .* keeps 5 older rows of the window"):
        made.load(LATER, make_batches(LATER, 5), write_mode="replace_window")


@pytest.mark.parametrize(("deletes", "when"), [("mark", "BEFORE UPDATE"), ("remove", "BEFORE DELETE")])
def test_a_trigger_that_keeps_what_is_gone_from_a_listing_ends_the_load(
    made: Warehouse, deletes: Any, when: str
) -> None:
    def snapshot(load: Any, number: int) -> None:
        kept = Snapshots(deletes=deletes, max_deleted_ratio=1.0)
        sink = SnapshotSink(made.connect, "recordings", kept, schema="public", dead_letter_raw="keep")
        sink.open(load, restart=False)
        sink.finish(make_certificate(load, write_all(sink, make_batches(load, number))))

    made.execute("DROP TABLE recordings")
    snapshot(make_load(), 10)
    trigger(made, when, "RETURN NULL;")
    with pytest.raises(SinkRefusedError, match=r"trigger meddle .* keeps 5 of 5 rows from being marked or removed"):
        snapshot(LATER, 5)


PEOPLE = Child("people", "participants", (ChildColumn("user", "id", "string"),))


@pytest.mark.outcome("PostgreSQL", "a trigger swallows child rows", "dead letter")
def test_a_record_whose_child_rows_a_trigger_swallows_is_rejected_whole(warehouse: Warehouse) -> None:
    load = make_load(contract=replace(RECORDINGS, children=(PEOPLE,)))
    warehouse.sink().open(replace(load, load_id="first"), restart=False)
    trigger(
        warehouse,
        "BEFORE INSERT",
        "IF NEW.\"user\" = 'user-3' THEN RETURN NULL; END IF; RETURN NEW;",
        "recordings_people",
    )
    certificate = warehouse.load(load, make_batches(load, 10))
    assert certificate.counts == counts(10, dead_letters=1)
    [letter] = warehouse.dead_letters()
    assert letter["message"].startswith(
        'The trigger meddle of "public"."recordings_people" keeps the row out, or changes its'
    )


@pytest.mark.outcome("PostgreSQL", "a trigger swallows rows of the ledger or the dead letters", "SinkRefusedError")
@pytest.mark.parametrize(
    ("table", "when"),
    [
        ("genesys_ledger", "BEFORE INSERT"),
        ("genesys_ledger", "BEFORE UPDATE"),
        ("genesys_dead_letters", "BEFORE INSERT"),
    ],
)
def test_a_trigger_on_our_own_tables_ends_the_load(made: Warehouse, table: str, when: str) -> None:
    trigger(made, when, "RETURN NULL;", table)
    load = make_load()
    with pytest.raises(SinkRefusedError, match=rf'trigger meddle of "public"."{table}" keeps .*then clear the task'):
        made.load(load, make_batches(load, 10, dead=[1]))


def test_a_letter_whose_row_a_trigger_swallows_stays_open(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, [letters_of(load, {3: record(3, durationMs=21), 4: record(4, durationMs=22)})])
    trigger(warehouse, "BEFORE INSERT", ONE_OUT)
    account = replayed(warehouse)
    assert (account.replayed, account.broken) == (1, {"rows-kept-out": 1})


@pytest.mark.outcome("PostgreSQL", "the table has rules", "SinkRefusedError with the SQL to run")
@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("ON INSERT TO {} DO INSTEAD NOTHING", {}),
        ("ON INSERT TO {} WHERE NEW.kind = 'x' DO INSTEAD NOTHING", {}),
        ("ON UPDATE TO {} DO ALSO SELECT 1", {}),
        ("ON DELETE TO {} DO INSTEAD NOTHING", {"write_mode": "replace_window"}),
    ],
)
@pytest.mark.parametrize("table", ["recordings", "genesys_ledger"])
def test_a_table_with_rules_is_refused(made: Warehouse, rule: str, options: dict[str, Any], table: str) -> None:
    made.execute("ALTER TABLE recordings ADD kind text")
    made.execute(f'CREATE RULE "the rule" AS {rule.format(table)}')
    load = make_load()
    with pytest.raises(SinkRefusedError, match=r"has rules that rewrite .*: the rule") as refused:
        made.load(load, make_batches(load, 5), **options)
    made.execute(re.findall("DROP RULE .*;", str(refused.value))[0])
    assert made.load(load, make_batches(load, 5), **options).counts == counts(5)


def test_a_table_whose_rows_may_not_be_deleted_takes_loads_that_delete_none(made: Warehouse) -> None:
    made.execute("CREATE RULE keep AS ON DELETE TO recordings DO INSTEAD NOTHING")
    load = make_load()
    assert made.load(load, make_batches(load, 5)).counts == counts(5)


@pytest.mark.outcome("PostgreSQL", "the name is one of a view, a sequence or the like", "SinkRefusedError")
@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE VIEW recordings AS SELECT * FROM real", "a view"),
        ("CREATE MATERIALIZED VIEW recordings AS SELECT * FROM real", "a materialized view"),
        ("CREATE FOREIGN TABLE recordings (recording_id text) SERVER far", "a foreign table"),
        ("CREATE SEQUENCE recordings", "a sequence"),
        ("CREATE INDEX recordings ON real (queue_id)", "an index"),
        ("CREATE TYPE recordings AS (recording_id text)", "a composite type"),
    ],
)
def test_a_name_that_is_no_table_is_refused_for_what_it_is(made: Warehouse, statement: str, what: str) -> None:
    made.execute("ALTER TABLE recordings RENAME TO real")
    if "SERVER" in statement:
        wrapper, server = (f"{made.dsn.rpartition('/')[2]}_{what}" for what in ("wrapper", "far"))
        made.execute(f"CREATE FOREIGN DATA WRAPPER {wrapper}")
        made.execute(f"CREATE SERVER {server} FOREIGN DATA WRAPPER {wrapper}")
        statement = statement.replace("far", server)
    made.execute(statement)
    with pytest.raises(SinkRefusedError, match=f'"public"."recordings" is {what}, and a load writes to tables only'):
        made.sink().open(make_load(), restart=False)
    if "SERVER" in statement:
        made.execute(f"DROP FOREIGN DATA WRAPPER {wrapper} CASCADE")


@pytest.mark.outcome("PostgreSQL", "other tables inherit from the table", "SinkRefusedError")
def test_a_table_from_which_others_inherit_is_refused(made: Warehouse) -> None:
    made.execute("CREATE TABLE recordings_2026 () INHERITS (recordings)")
    with pytest.raises(SinkRefusedError, match=r"inherit from .*no unique key holds over all of them"):
        made.sink().open(make_load(), restart=False)


@pytest.mark.outcome(
    "PostgreSQL", "the ledger or the dead letters were altered", "SinkRefusedError with the SQL to run"
)
@pytest.mark.parametrize(
    ("alteration", "what"),
    [
        ("genesys_ledger DROP COLUMN run_id", "lacks the columns run_id"),
        ("genesys_ledger DROP COLUMN taken_over", "lacks the columns taken_over"),
        ("genesys_ledger ALTER submitted_at TYPE date", "submitted_at is date, not timestamptz"),
        ("genesys_ledger DROP CONSTRAINT genesys_ledger_pkey", "has no unique key on load_id, target, shard alone"),
        ("genesys_dead_letters ALTER message TYPE varchar(5)", r"message is character varying\(5\), not text"),
        ("genesys_dead_letters ALTER created_at TYPE timestamptz(0)", r"created_at is timestamp\(0\) with"),
        ("genesys_dead_letters ADD tenant text NOT NULL", "cannot fill: tenant"),
        ("genesys_dead_letters DROP COLUMN raw_form", "lacks the columns raw_form"),
    ],
)
def test_our_own_tables_have_to_be_as_we_make_them(warehouse: Warehouse, alteration: str, what: str) -> None:
    load = make_load()
    warehouse.sink().open(load, restart=False)
    warehouse.execute(f"ALTER TABLE {alteration}")
    with pytest.raises(SinkRefusedError, match=what) as refused:
        warehouse.sink().open(load, restart=False)
    warehouse.execute(re.findall("ALTER TABLE .*;", str(refused.value))[0])
    assert warehouse.load(load, make_batches(load, 10, dead=[1])).counts == counts(10, dead_letters=1)


@pytest.mark.outcome("PostgreSQL", "a policy of row-level security hides rows that are there", "dead letter")
def test_a_row_that_a_policy_hides_is_rejected(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, make_batches(load, 10))
    for statement in (
        "ALTER TABLE recordings ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY seen ON recordings FOR SELECT USING (duration_ms <> 21 OR _genesys_export_id <> 'export-1')",
        "CREATE POLICY changed ON recordings FOR UPDATE USING (true)",
        "CREATE POLICY new ON recordings FOR INSERT WITH CHECK (true)",
    ):
        warehouse.execute(statement)
    own = loader(warehouse)
    certificate = own.load(LATER, make_batches(LATER, 10), create_table=False)
    connections = len(own.connections)
    own.close()
    assert certificate.counts == counts(10, dead_letters=1)
    assert connections <= 3
    [letter] = warehouse.dead_letters()
    assert (
        letter["message"]
        == 'A policy of "public"."recordings" keeps the row out, or changes its key or lineage, without an error.'
    )


@pytest.mark.outcome("PostgreSQL", "a policy of the ledger hides its rows", "SinkRefusedError")
def test_a_policy_that_hides_the_ledgers_row_is_no_lost_commit(warehouse: Warehouse) -> None:
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute("ALTER TABLE genesys_ledger ENABLE ROW LEVEL SECURITY")
    warehouse.execute("CREATE POLICY new ON genesys_ledger FOR INSERT WITH CHECK (true)")
    warehouse.execute("CREATE POLICY seen ON genesys_ledger FOR SELECT USING (true)")
    own = loader(warehouse)
    with pytest.raises(SinkRefusedError, match=r'A policy of "public"."genesys_ledger" keeps the row'):
        own.sink(create_table=False).open(make_load(), restart=False)
    own.close()


@pytest.mark.outcome(
    "PostgreSQL", "a column of the contract is generated, or an identity", "SinkRefusedError with the SQL to run"
)
@pytest.mark.parametrize(
    ("table", "actions"),
    [
        ("recordings", ["DROP COLUMN direction", "ADD direction text GENERATED ALWAYS AS ('z') STORED"]),
        ("recordings", ["ALTER duration_ms ADD GENERATED ALWAYS AS IDENTITY"]),
        ("recordings_people", ['DROP COLUMN "user"', "ADD \"user\" text GENERATED ALWAYS AS ('z') STORED"]),
    ],
)
def test_a_column_that_computes_its_value_is_refused(warehouse: Warehouse, table: str, actions: list[str]) -> None:
    load = make_load(contract=replace(RECORDINGS, children=(PEOPLE,)))
    warehouse.sink().open(replace(load, load_id="first"), restart=False)
    for action in actions:
        warehouse.execute(f"ALTER TABLE {table} {action}")
    with pytest.raises(SinkRefusedError, match="has columns that PostgreSQL computes and a load writes") as refused:
        warehouse.sink().open(load, restart=False)
    warehouse.execute(re.findall("ALTER TABLE .*;", str(refused.value))[0])
    assert warehouse.load(load, make_batches(load, 5)).counts == counts(5)


@pytest.mark.parametrize(
    ("action", "what"),
    [('DROP COLUMN "user"', "lacks the columns user"), ("ADD tenant text NOT NULL", "cannot fill: tenant")],
)
def test_a_child_table_that_does_not_fit_is_refused_with_the_sql(warehouse: Warehouse, action: str, what: str) -> None:
    load = make_load(contract=replace(RECORDINGS, children=(PEOPLE,)))
    warehouse.sink().open(replace(load, load_id="first"), restart=False)
    warehouse.execute(f"ALTER TABLE recordings_people {action}")
    with pytest.raises(SinkRefusedError, match=what) as refused:
        warehouse.sink().open(load, restart=False)
    warehouse.execute(re.findall("ALTER TABLE .*;", str(refused.value))[0])
    assert warehouse.load(load, make_batches(load, 5)).counts == counts(5)


@pytest.mark.outcome("PostgreSQL", "key, types or rules of the table are changed while a load runs", "SinkRefusedError")
@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("ALTER TABLE recordings ALTER duration_ms TYPE real", "duration_ms is real, not bigint"),
        ("ALTER TABLE recordings ALTER direction TYPE varchar(9)", "The key or the types .* on_clear='restart'"),
        ("ALTER TABLE recordings DROP CONSTRAINT recordings_pkey", "no unique key on recording_id"),
        ("CREATE RULE lost AS ON INSERT TO recordings DO INSTEAD NOTHING", "has rules that rewrite"),
    ],
)
def test_a_table_that_is_altered_during_a_load_does_not_complete_it(made: Warehouse, statement: str, what: str) -> None:
    load, sink = make_load(), made.sink()
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(5)))
    made.execute(statement)
    last = sink.write(make_batch(load, range(5, 10)))
    with pytest.raises(SinkRefusedError, match=what):
        sink.finish(make_certificate(load, last))
    assert made.execute("SELECT state FROM genesys_ledger WHERE load_id = 'load-1'") == [{"state": "loading"}]


def test_a_target_that_is_a_partition_is_said_to_be_one(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.sink(partition_by="day").open(replace(load, load_id="first"), restart=False)
    for statement in (
        "RENAME TO whole",
        "DETACH PARTITION recordings_20261101",
        "ATTACH PARTITION recordings_20261101 FOR VALUES FROM ('2026-11-01') TO ('2026-11-01 00:00:00.5')",
    ):
        warehouse.execute(f"ALTER TABLE {'recordings' if 'RENAME' in statement else 'whole'} {statement}")
    warehouse.execute("ALTER TABLE recordings_20261101 RENAME TO recordings")
    with pytest.raises(
        SinkRefusedError, match=r"is, or has, a partition that does not take a row of 2026-11-01.*Name the table"
    ):
        warehouse.load(load, make_batches(load, 10))


@pytest.mark.outcome("PostgreSQL", "a trigger's own error for a row", "dead letter")
@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CASE WHEN NEW.duration_ms <> 21 THEN NULL; END CASE;", "case-not-found"),
        (
            "NEW.seen := (SELECT 1 FROM generate_series(1, CASE NEW.duration_ms WHEN 21 THEN 2 ELSE 1 END));",
            "cardinality-violation",
        ),
        ("ASSERT NEW.duration_ms <> 21;", "assert-failure"),
        ("NEW.seen := 1 / (NEW.duration_ms - 21);", "division-by-zero"),
    ],
)
def test_an_error_in_a_trigger_rejects_the_row(made: Warehouse, statement: str, rule: str) -> None:
    made.execute("ALTER TABLE recordings ADD seen integer")
    trigger(made, "BEFORE INSERT", f"{statement} RETURN NEW;")
    load = make_load()
    certificate = made.load(load, make_batches(load, 10))
    assert (certificate.counts, certificate.rules) == (counts(10, dead_letters=1), {rule: 1})
