"""Tables of the user's whose columns have other types than the contract: exact, rejected, or refused with the SQL."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.contract import RECORDINGS, Column, Contract
from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.snapshots import Snapshots, SnapshotSink
from tests.sinks.batches import DAY, make_batch, make_batches, make_certificate, make_load, recording_row
from tests.sinks.replaying import letters_of, record
from tests.sinks.test_postgres_replay import replayed
from tests.sinks.warehouse import Warehouse, counts

KINDS = ("string", "integer", "number", "decimal", "boolean", "timestamp", "uuid", "json")
EVERY_TYPE = Contract(
    name="types",
    version=1,
    key="id",
    timestamp="at",
    columns=(
        Column("id", "id", "string", required=True),
        Column("at", "at", "timestamp", required=True),
        *(Column(f"{kind}Value", f"{kind}Value", kind) for kind in KINDS),
    ),
)
TIME = datetime(2026, 11, 22, 23, 30, 0, 123456, tzinfo=timezone.utc)
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def load_of(kind: str, values: list[Any]) -> tuple[Load, Any]:
    """Return a load and its one batch, in which the column of the type ``kind`` has ``values``."""
    load = make_load(contract=EVERY_TYPE)
    rows = [
        (f"r{number}", DAY, *(value if one == kind else None for one in KINDS)) for number, value in enumerate(values)
    ]
    return load, replace(make_batch(load, range(len(values))), rows=rows)


def made(warehouse: Warehouse, kind: str, type_of_column: str) -> None:
    """Make a table whose column for ``kind`` has another type."""
    sink = warehouse.sink()
    sink.open(make_load(contract=EVERY_TYPE, load_id="maker"), restart=False)
    sink.abort()
    warehouse.execute("CREATE DOMAIN padded AS char(3) CHECK (value <> 'xyz')")
    warehouse.execute(f"ALTER TABLE recordings ALTER {kind}_value TYPE {type_of_column} USING NULL")


@pytest.mark.outcome("PostgreSQL", "a row whose values a column would hold as others", "dead letter")
@pytest.mark.parametrize(
    ("kind", "type_of_column", "values", "kept"),
    [
        ("string", "varchar(3)", ["abc", "ab ", "abc ", "abcd", "  "], [0, 1, 4]),
        ("string", "char(3)", ["abc", "ab ", "ab", "abcd", "é", "né!", ""], [0, 5]),
        ("string", "padded", ["abc", "ab", "xyz"], [0]),
        ("string", "varchar", ["x" * 300], [0]),
        ("integer", "smallint", [32767, 32768, -1], [0, 2]),
        ("integer", "integer", [2**31 - 1, 2**31], [0]),
        ("integer", "numeric(12,0)", [15_300, 10**12], [0]),
        ("integer", "numeric(5,2)", [999, 1000], [0]),
        ("integer", "double precision", [2**53, 2**53 + 1], [0]),
        ("integer", "varchar(3)", [123, 1234], [0]),
        ("integer", "text", [2**63 - 1], [0]),
        ("number", "numeric", [0.5, 0.1, 0.30000000000000004, 1e300], [0, 1, 3]),
        ("number", "text", [0.30000000000000004, 1e300], [0, 1]),
        ("decimal", "numeric(12,2)", [Decimal("1.10"), Decimal("1.005"), Decimal("1e11")], [0]),
        ("decimal", "double precision", [Decimal("1.1"), Decimal("1.10000000000000000001")], [0]),
        ("boolean", "text", [True, False], [0, 1]),
        ("timestamp", "timestamptz(3)", [TIME, TIME.replace(microsecond=123000)], [1]),
        ("timestamp", "timestamptz(6)", [TIME], [0]),
        ("timestamp", "text", [TIME], [0]),
        ("uuid", "char(36)", [UUID], [0]),
        ("json", "json", [b'{"n": 1.10}'], [0]),
    ],
)
def test_a_value_is_held_as_it_is_or_rejected(
    warehouse: Warehouse, kind: str, type_of_column: str, values: list[Any], kept: list[int]
) -> None:
    made(warehouse, kind, type_of_column)
    load, batch = load_of(kind, values)

    certificate = warehouse.load(load, [batch])

    assert certificate.counts == counts(len(values), dead_letters=len(values) - len(kept))
    assert [row["id"] for row in warehouse.rows_by("id")] == [f"r{number}" for number in kept]
    cast = {"decimal": "numeric", "string": "text", "json": "jsonb"}
    back = {"number": "double precision", "integer": "bigint", "timestamp": "timestamptz"}
    found = warehouse.execute(
        f"SELECT {kind}_value::{ {**cast, **back}.get(kind, kind) } AS value FROM recordings ORDER BY id"
    )
    wanted = [values[number] for number in kept]
    assert [str(row["value"]) for row in found] == [_shown(kind, value) for value in wanted]
    letters = warehouse.dead_letters()
    for letter in (one for one in letters if one["rule"] == "inexact-value"):
        assert f"column {kind}_value of type " in letter["message"]
    assert all(letter["stage"] == "sink" for letter in letters)


def _shown(kind: str, value: Any) -> str:
    return "{'n': 1.1}" if kind == "json" else str(value)


REFUSED = [
    ("string", "name"),
    ("string", '"char"'),
    ("string", "bytea"),
    ("integer", "real"),
    ("integer", "numeric(12,-3)"),
    ("integer", "money"),
    ("integer", "text[]"),
    ("integer", "boolean"),
    ("number", "real"),
    ("number", "integer"),
    ("decimal", "integer"),
    ("decimal", "numeric(12,-3)"),
    ("decimal", "rounded"),
    ("timestamp", "date"),
    ("timestamp", "time"),
    ("timestamp", "timestamptz(0)"),
    ("timestamp", "timestamp(0)"),
    ("timestamp", "timestamp"),
    ("json", "bytea"),
]


@pytest.mark.outcome("PostgreSQL", "a column whose type would hold most values as others", "SinkRefusedError")
@pytest.mark.parametrize(
    ("kind", "type_of_column", "zone"),
    [
        # Without --long only times meet another zone.
        pytest.param(*of, zone, marks=[] if zone == "UTC" or of[0] == "timestamp" else [pytest.mark.long])
        for zone in ("UTC", "Europe/Berlin")
        for of in REFUSED
    ],
)
def test_a_type_that_would_change_most_values_is_refused_with_the_sql(
    warehouse: Warehouse, kind: str, type_of_column: str, zone: str
) -> None:
    database = warehouse.dsn.rpartition("/")[2]
    warehouse.execute(f"ALTER DATABASE \"{database}\" SET timezone = '{zone}'")
    warehouse.execute("CREATE DOMAIN whole AS numeric(12,-2)")
    warehouse.execute("CREATE DOMAIN rounded AS whole CHECK (value > 0)")
    made(warehouse, kind, type_of_column)
    values = {"string": "x", "integer": 1, "number": 0.1, "decimal": Decimal("0.1"), "timestamp": TIME, "json": b"[1]"}
    load, batch = load_of(kind, [values[kind]])

    if (type_of_column, zone) == ("timestamp", "UTC"):
        warehouse.load(load, [batch])
        assert warehouse.rows_by("id")[0]["timestamp_value"].replace(tzinfo=timezone.utc) == TIME
        return
    with pytest.raises(SinkRefusedError, match=rf"{kind}_value is .*, not ") as refused:
        warehouse.load(load, [batch])
    repaired = re.search(r"Run: (ALTER TABLE .*);", str(refused.value))
    assert repaired
    warehouse.execute(repaired[1])
    assert warehouse.load(load, [batch]).counts == counts(1)
    [row] = warehouse.rows_by("id")
    assert row[f"{kind}_value"] == ([1] if kind == "json" else values[kind])


def test_what_stood_in_a_timestamp_without_zone_is_the_same_moment_after_the_sql(warehouse: Warehouse) -> None:
    database = warehouse.dsn.rpartition("/")[2]
    warehouse.execute(f"ALTER DATABASE \"{database}\" SET timezone = 'Europe/Berlin'")
    load, batch = load_of("timestamp", [TIME])
    warehouse.load(load, [batch])
    warehouse.execute("ALTER TABLE recordings ALTER timestamp_value TYPE timestamp")
    with pytest.raises(SinkRefusedError) as refused:
        warehouse.load(make_load("export-2", contract=EVERY_TYPE), [])
    warehouse.execute(str(refused.value).partition("Run: ")[2])
    assert warehouse.rows_by("id")[0]["timestamp_value"] == TIME


@pytest.mark.parametrize(
    ("column", "type_of_column"),
    [
        ("_genesys_submitted_at", "date"),
        ("_genesys_submitted_at", "timestamptz(0)"),
        ("_loaded_at", "timestamptz(0)"),
        ("_source_offset", "real"),
        ("_source_shard", "boolean USING false"),
    ],
)
def test_lineage_has_to_be_exact(warehouse: Warehouse, column: str, type_of_column: str) -> None:
    warehouse.load(make_load(), [make_batch(make_load(), range(1))])
    warehouse.execute(f"ALTER TABLE recordings ALTER {column} TYPE {type_of_column}")
    with pytest.raises(SinkRefusedError, match=f"{column} is .*Run: ALTER TABLE"):
        warehouse.load(make_load("export-2"), [])


def test_beside_the_table_values_are_looked_at_as_they_land(warehouse: Warehouse) -> None:
    made(warehouse, "decimal", "numeric(12,2)")
    load, batch = load_of("decimal", [Decimal("1.25"), Decimal("1.255")])
    certificate = warehouse.load(load, [batch], publish="atomic")
    assert (certificate.counts, certificate.rules) == (counts(2, dead_letters=1), {"inexact-value": 1})


def test_what_landed_beside_the_table_before_its_type_was_changed_is_not_published_as_another_value(
    warehouse: Warehouse,
) -> None:
    made(warehouse, "decimal", "numeric")
    load, batch = load_of("decimal", [Decimal("1.255")])
    sink = warehouse.sink(publish="atomic")
    sink.open(load, restart=False)
    last = sink.write(batch)
    sink.abort()
    warehouse.execute("ALTER TABLE recordings ALTER decimal_value TYPE numeric(12,2)")
    again = warehouse.sink(publish="atomic")
    again.open(load, restart=False)
    with pytest.raises(SinkRefusedError, match=r"decimal_value of type numeric.*on_clear='restart'"):
        again.finish(make_certificate(load, last))
    assert warehouse.load(load, [batch], publish="atomic", restart=True).rules == {"inexact-value": 1}


def test_a_column_that_is_there_already_as_the_contract_evolves_is_looked_at(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    warehouse.execute("ALTER TABLE recordings ADD wrap_up varchar(3), ADD score real")
    for name, kind, value in (("wrapUp", "string", "sold"), ("score", "decimal", Decimal("0.1"))):
        batch = make_batch(load, range(1), row=lambda n, value=value: (*recording_row(n), value))  # type: ignore[misc]
        batch = replace(batch, contract=RECORDINGS.evolved([Column(name, name, kind)]))  # type: ignore[arg-type]
        if name == "score":
            with pytest.raises(SinkRefusedError, match="score is real, not numeric"):
                warehouse.load(replace(load, load_id="second"), [batch])
        else:
            assert sink.write(batch).rules == {"inexact-value": 1}


def test_a_replay_holds_values_as_they_are_too(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, [letters_of(load, {3: record(3, durationMs=12), 4: record(4, durationMs=123)})])
    warehouse.execute(
        "ALTER TABLE recordings ALTER duration_ms TYPE varchar(2) USING NULL, ALTER duration_ms DROP NOT NULL"
    )
    account = replayed(warehouse)
    assert (account.replayed, account.broken) == (1, {"inexact-value": 1})
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms TYPE real USING NULL")
    with pytest.raises(SinkRefusedError, match="duration_ms is real, not bigint"):
        replayed(warehouse)


CHILD = Child(
    "legs", "participants", (ChildColumn("spoke", "spoke", "timestamp"), ChildColumn("score", "score", "decimal"))
)
PARENTS = replace(RECORDINGS, children=(CHILD,))


@pytest.mark.parametrize(
    ("column", "type_of_column", "told"),
    [
        ("spoke", "date", "spoke is date, not timestamptz"),
        ("spoke", "timestamptz(0)", r"spoke is timestamp\(0\) with time zone, not timestamptz"),
        ("score", "numeric(12,2)", r"score is numeric\(12,2\), not numeric"),
        ("ordinal", "smallint", "ordinal is smallint, not integer"),
        ("recording_id", "varchar(40)", r"recording_id is character varying\(40\), not text"),
    ],
)
def test_a_child_table_has_to_be_exact(warehouse: Warehouse, column: str, type_of_column: str, told: str) -> None:
    load = make_load(contract=PARENTS)
    warehouse.load(load, [make_batch(load, range(1))])
    warehouse.execute(f"ALTER TABLE recordings_legs ALTER {column} TYPE {type_of_column}")
    with pytest.raises(SinkRefusedError, match=rf'"recordings_legs" has .*{told}. Run: (ALTER TABLE .*);') as refused:
        warehouse.load(load, [make_batch(load, range(1))], restart=True)
    warehouse.execute(str(refused.value).partition("Run: ")[2])
    assert warehouse.load(load, [make_batch(load, range(1))], restart=True).counts == counts(1)


def test_a_history_has_to_be_exact(warehouse: Warehouse) -> None:
    def opened() -> None:
        sink = SnapshotSink(
            warehouse.connect, "recordings", Snapshots(history=True), schema="public", dead_letter_raw="keep"
        )
        sink.open(make_load(), restart=False)
        sink.abort()

    opened()
    warehouse.execute("ALTER TABLE recordings_history ALTER _valid_from TYPE date")
    with pytest.raises(SinkRefusedError, match="_valid_from is date, not timestamptz"):
        opened()


CITEXT = """
CREATE TYPE citext;
CREATE FUNCTION citextin(cstring) RETURNS citext AS 'textin' LANGUAGE internal IMMUTABLE STRICT;
CREATE FUNCTION citextout(citext) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT;
CREATE TYPE citext (INPUT = citextin, OUTPUT = citextout, LIKE = text, COLLATABLE = true);
CREATE CAST (text AS citext) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (citext AS text) WITHOUT FUNCTION AS IMPLICIT
"""
"""As the extension makes it, which the server of these tests comes without."""


@pytest.mark.outcome("PostgreSQL", "a key that takes different ids for the same one (`citext`)", "SinkRefusedError")
@pytest.mark.parametrize("type_of_column", ["citext", "nearly_text"])
def test_a_key_that_takes_two_ids_for_one_is_refused_with_the_sql(warehouse: Warehouse, type_of_column: str) -> None:
    warehouse.execute(CITEXT)
    warehouse.execute("CREATE DOMAIN nearly_text AS citext")
    load, rows = make_load(), [recording_row(1, recordingId="rec-A"), recording_row(2, recordingId="rec-a")]
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute(f"ALTER TABLE recordings ALTER recording_id TYPE {type_of_column}")

    def row(number: int) -> tuple[Any, ...]:
        return rows[number]

    with pytest.raises(SinkRefusedError, match="takes ids for the same which differ") as refused:
        warehouse.load(load, make_batches(load, 2, row=row))
    repaired = re.search(r"Run: (ALTER TABLE .*);", str(refused.value))
    assert repaired
    warehouse.execute(repaired[1])
    assert warehouse.load(load, make_batches(load, 2, row=row)).counts == counts(2)


@pytest.mark.outcome("PostgreSQL", "a key whose collation takes different ids for the same one", "SinkRefusedError")
@pytest.mark.parametrize("type_of_column", ["text COLLATE loose", "loosely"])
@pytest.mark.parametrize("history", [False, True])
def test_a_key_with_a_loose_collation_is_refused_with_the_sql(
    warehouse: Warehouse, type_of_column: str, history: bool
) -> None:
    """The catalog says that the collation is loose; the server of these tests comes without ICU, which makes such."""
    warehouse.execute('CREATE COLLATION loose FROM "C"')
    warehouse.execute("UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'loose'")
    warehouse.execute("CREATE DOMAIN loosely AS text COLLATE loose")
    load = make_load()

    def loaded() -> Any:
        if history:
            sink = SnapshotSink(warehouse.connect, "recordings", Snapshots(), schema="public", dead_letter_raw="keep")
            sink.open(load, restart=True)
            return sink.finish(make_certificate(load, sink.write(make_batch(load, range(2))) or sink.flush()))
        return warehouse.load(load, [make_batch(load, range(2))])

    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute("ALTER TABLE recordings ADD IF NOT EXISTS _deleted_at timestamptz")
    warehouse.execute(f"ALTER TABLE recordings ALTER recording_id TYPE {type_of_column}")
    with pytest.raises(SinkRefusedError, match="takes ids for the same which differ") as refused:
        loaded()
    warehouse.execute(str(refused.value).partition("Run: ")[2])
    assert loaded().counts == counts(2)


def test_a_lineage_column_that_is_too_short_is_refused_as_the_load_opens(warehouse: Warehouse) -> None:
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute("ALTER TABLE recordings ALTER _genesys_export_id TYPE varchar(3)")
    with pytest.raises(SinkRefusedError, match=r"opening it.*such as _genesys_export_id, is too short.*TYPE text"):
        warehouse.sink().open(make_load(), restart=False)
