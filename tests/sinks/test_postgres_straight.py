"""Which batches are copied straight into the table, and that the others land as if nobody had tried."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.straight import Straight
from tests.sinks.batches import DAY, LENGTH, make_batches, make_certificate, make_load, recording_row
from tests.sinks.warehouse import Warehouse, counts, write_all

# A row that is written in a savepoint which is rolled back is not in the log.
_LOG = """
CREATE TABLE ways (number serial, way text);
CREATE FUNCTION log_way() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ways (way) VALUES (left(ltrim(current_query(), E' \\n'), 4)); RETURN NULL; END $$;
CREATE TRIGGER log_way AFTER INSERT ON recordings FOR EACH STATEMENT EXECUTE FUNCTION log_way()
"""


@pytest.fixture
def logged(warehouse: Warehouse) -> Warehouse:
    """A table that logs how it is written to."""
    warehouse.sink().open(make_load("earlier"), restart=False)
    for statement in _LOG.split(";\nCREATE"):
        warehouse.execute(statement if statement.lstrip().startswith("CREATE") else f"CREATE{statement}")
    return warehouse


def ways(warehouse: Warehouse) -> list[str]:
    return [row["way"] for row in warehouse.execute("DELETE FROM ways RETURNING number, way")]


def load(warehouse: Warehouse, of: Load, keys: list[int], size: int = 4) -> dict[str, int]:
    """Load records with these keys, and leave no count of the rehearsal."""
    sink = warehouse.sink()
    sink.open(of, restart=False)
    ways(warehouse)
    last = write_all(
        sink, make_batches(of, range(len(keys)), size=size, row=lambda number: recording_row(keys[number]))
    )
    return vars(sink.finish(make_certificate(of, last)).counts)


def test_new_keys_go_straight_into_the_table(logged: Warehouse) -> None:
    load(logged, make_load(), list(range(12)))
    assert ways(logged) == ["COPY"] * 3
    moments = {row["_loaded_at"] for row in logged.rows()}
    (begun,) = logged.execute("SELECT begun_at, completed_at FROM genesys_ledger WHERE export_id = 'export-1'")
    assert len(moments) == 3
    assert begun["begun_at"] <= min(moments) <= max(moments) <= begun["completed_at"]


def test_a_key_of_an_earlier_batch_sends_the_batch_the_long_way_and_the_next_until_one_is_clean(
    logged: Warehouse,
) -> None:
    keys = [*range(8), 3, *range(8, 11), *range(11, 15), *range(15, 19)]
    account = load(logged, make_load(), keys)
    assert account == vars(counts(20, duplicates=1))
    assert ways(logged) == ["COPY", "COPY", "INSE", "INSE", "COPY"]
    assert logged.rows()[3]["_source_offset"] == 8 * LENGTH


def test_batches_that_keep_failing_are_tried_straight_less_and_less(logged: Warehouse) -> None:
    """Key 0 is in every third batch. One clean batch is enough the first time, two the second, four the third."""
    keys = [key for batch in range(12) for key in (batch + 1 if batch % 3 else 0, batch + 100)]
    load(logged, make_load(), keys, size=2)
    assert ways(logged) == ["COPY", "COPY", "COPY", "INSE", "INSE", "COPY", *["INSE"] * 6]


def test_a_whole_load_again_takes_the_long_way(logged: Warehouse) -> None:
    load(logged, make_load(), list(range(12)))
    later = make_load("export-2", submitted_at=DAY + timedelta(days=2))
    load(logged, later, list(range(12)))
    assert ways(logged) == ["INSE"] * 3
    assert {row["_genesys_export_id"] for row in logged.rows()} == {"export-2"}


@pytest.mark.parametrize(
    "alteration",
    [
        "ALTER TABLE recordings ALTER conversation_id TYPE varchar(200)",
        "CREATE DOMAIN short AS varchar(200); ALTER TABLE recordings ALTER conversation_id TYPE short",
    ],
)
def test_columns_of_another_type_are_cast_the_long_way(logged: Warehouse, alteration: str) -> None:
    for statement in alteration.split("; "):
        logged.execute(statement)
    load(logged, make_load(), list(range(8)))
    assert set(ways(logged)) == {"INSE"}


def test_row_level_security_is_heeded_the_long_way(logged: Warehouse) -> None:
    """COPY does not work there for anybody whom the policies bind."""
    logged.execute("ALTER TABLE recordings FORCE ROW LEVEL SECURITY")
    logged.execute("ALTER TABLE recordings ENABLE ROW LEVEL SECURITY")
    logged.execute("CREATE POLICY all_of_them ON recordings USING (true)")
    role = f"bound_{uuid.uuid4().hex}"
    logged.execute(f"CREATE ROLE {role}")
    logged.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    logged.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")

    def bound() -> psycopg.Connection[Any]:
        connection = logged.connect()
        connection.execute(f"SET ROLE {role}")
        connection.commit()
        return connection

    sink = logged.sink(connect=bound, create_table=False)
    of = make_load()
    sink.open(of, restart=False)
    ways(logged)
    sink.finish(make_certificate(of, write_all(sink, make_batches(of, range(8), size=4))))
    assert ways(logged) == ["INSE", "INSE"]
    assert len(logged.rows()) == 8


def test_a_poisonous_row_is_rejected_and_the_others_go_on(logged: Warehouse) -> None:
    logged.execute("ALTER TABLE recordings ADD CHECK (right(recording_id, 2) <> '05')")
    account = load(logged, make_load(), list(range(12)))
    assert account == vars(counts(12, dead_letters=1))
    assert ways(logged) == ["COPY"] * 3


def test_identity_and_generated_columns_of_the_table_fill_themselves(logged: Warehouse) -> None:
    logged.execute("ALTER TABLE recordings ADD number integer GENERATED ALWAYS AS IDENTITY")
    logged.execute("ALTER TABLE recordings ADD short text GENERATED ALWAYS AS (left(recording_id, 3)) STORED")
    load(logged, make_load(), list(range(4)))
    assert ways(logged) == ["COPY"]
    assert [row["number"] for row in logged.rows()] == [1, 2, 3, 4]


def test_both_ways_leave_the_same_table_and_the_same_certificate(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for straight in (True, False):
        warehouse.execute("DROP TABLE IF EXISTS recordings, genesys_ledger, genesys_dead_letters")
        monkeypatch.setattr(Straight, "is_due", straight)
        of = make_load()
        certificate = warehouse.load(of, make_batches(of, range(40), size=7))
        passing = {"location", "started_at", "ended_at", "seconds", "phases", "peak_memory_mb"}
        found.append((warehouse.contents(), {k: v for k, v in vars(certificate).items() if k not in passing}))
    assert found[0] == found[1]


def test_what_is_refused_at_opening_is_refused_as_before(logged: Warehouse) -> None:
    logged.execute("ALTER TABLE recordings ALTER conversation_id TYPE date USING NULL")
    with pytest.raises(SinkRefusedError, match="conversation_id"):
        logged.sink().open(make_load(), restart=False)
