"""What has to be there and allowed, and what the errors say where it is not."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError, SinkRefusedError
from airflow_provider_genesys.sinks.postgres.ledger import unfinished_loads
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.testing.services import PostgresServer
from tests.sinks.batches import LENGTH, make_batch, make_batches, make_certificate, make_load, recording_row
from tests.sinks.warehouse import Warehouse, counts, write_all

PAGE = Path(__file__).parents[2] / "docs" / "postgres.md"


@pytest.fixture
def loader(warehouse: Warehouse) -> str:
    """DSN of a role that may connect, and nothing more."""
    role = f"loader_{warehouse.dsn.rpartition('/')[2]}"
    warehouse.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'loader'")
    warehouse.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    warehouse.execute(f"REVOKE ALL ON DATABASE {role.removeprefix('loader_')} FROM PUBLIC")
    warehouse.execute(f"GRANT CONNECT ON DATABASE {role.removeprefix('loader_')} TO {role}")
    warehouse.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    return f"postgresql://{role}:loader@{warehouse.dsn.rpartition('@')[2]}"


def refused(warehouse: Warehouse, **options: Any) -> str:
    """Open a load and return the error; nothing of it may have stayed in the ledger."""
    sink = warehouse.sink(**options)
    with pytest.raises(SinkRefusedError) as caught:
        sink.open(make_load(), restart=False)
    return str(caught.value)


def create_tables(warehouse: Warehouse) -> None:
    warehouse.sink().open(make_load(load_id="first"), restart=False)


def grant(warehouse: Warehouse, loader: str, *, but: str = "", options: bool = False) -> None:
    """Grant what docs/postgres.md lists for every load, and what for ``options``, where the table is there."""
    rights = PAGE.read_text(encoding="utf-8").partition("\n## Rights\n")[2].partition("\n## ")[0]
    always, optional = re.findall(r"^```sql\n(.+?)^```", rights, re.MULTILINE | re.DOTALL)
    role, database = loader.split("/")[2].partition(":")[0], loader.rpartition("/")[2]
    for statement in re.findall(r"^GRANT [^;]+;", always + optional * options, re.MULTILINE):
        table = re.search(r"ON (public\.\S+)", statement)
        there = not table or warehouse.execute("SELECT to_regclass(%s) AS name", table.group(1))[0]["name"]
        if there and (not but or but not in statement):
            warehouse.execute(statement.replace("genesys_loader", role).replace("warehouse", database))


def test_the_rights_in_the_docs_are_enough(warehouse: Warehouse, loader: str) -> None:
    create_tables(warehouse)
    grant(warehouse, loader)
    load = make_load()
    options = {"connect": lambda: psycopg.connect(loader), "create_table": False}
    for restart in (False, True):
        batches = make_batches(load, 20, size=10, dead=[1])
        assert warehouse.load(load, batches, restart=restart, **options).counts == counts(20, dead_letters=1)


@pytest.mark.parametrize(
    ("options", "right", "what"),
    [
        ({"write_mode": "replace_window"}, "GRANT DELETE", "permission denied for table recordings"),
        ({"publish": "atomic"}, "GRANT CREATE", 'GRANT CREATE ON SCHEMA "public"'),
    ],
)
def test_what_an_option_needs_is_in_the_docs_and_missed_before_anything_is_downloaded(
    warehouse: Warehouse, loader: str, options: dict[str, Any], right: str, what: str
) -> None:
    warehouse.sink(**options).open(make_load(load_id="first"), restart=False)
    options = {**options, "connect": lambda: psycopg.connect(loader), "create_table": False}
    grant(warehouse, loader, but=right, options=True)
    assert what in refused(warehouse, **options)
    grant(warehouse, loader, options=True)
    load = make_load()
    for _ in range(2):
        assert warehouse.load(load, make_batches(load, 20), **options).counts == counts(20)


def test_the_queries_in_the_docs_run(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, make_batches(load, 20, dead=[1]))
    queries = re.findall(r"^```sql\n(SELECT.+?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    complete, progress, _, why, _ = [warehouse.execute(query) for query in queries]
    assert len(complete) == 19
    assert [(row["state"], row["read"], row["dead_letters"]) for row in progress] == [("complete", "20", "1")]
    assert [(row["rule"], row["count"]) for row in why] == [("missing-required", 1)]


@pytest.mark.outcome("PostgreSQL", "permission denied", "SinkRefusedError")
@pytest.mark.parametrize("but", ["genesys_ledger", "genesys_dead_letters", "ON public.recordings", "TEMPORARY"])
def test_a_missing_right_shows_before_anything_is_downloaded(warehouse: Warehouse, loader: str, but: str) -> None:
    create_tables(warehouse)
    grant(warehouse, loader, but=but)
    text = refused(warehouse, connect=lambda: psycopg.connect(loader))
    assert "permission denied" in text
    assert "docs/postgres.md" in text


@pytest.mark.outcome("PostgreSQL", "the table is missing and may not be created", "SinkRefusedError")
@pytest.mark.parametrize("create", [True, False])
def test_who_may_not_create_tables_gets_the_sql(warehouse: Warehouse, loader: str, *, create: bool) -> None:
    for table in ("genesys_ledger", "genesys_dead_letters", "recordings"):
        text = refused(warehouse, connect=lambda: psycopg.connect(loader), create_table=create)
        assert f'There is no table "public"."{table}"' in text
        warehouse.execute(text[text.index("CREATE TABLE") :])
    grant(warehouse, loader)
    load = make_load()
    warehouse.load(load, make_batches(load, 10), connect=lambda: psycopg.connect(loader))
    assert len(warehouse.rows()) == 10


def test_the_table_says_what_is_in_it(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    comments = warehouse.execute(
        "SELECT attname, col_description(attrelid, attnum) AS text FROM pg_attribute"
        " WHERE attrelid = 'recordings'::regclass AND attnum > 0"
    )
    texts = {row["attname"]: row["text"] for row in comments}
    assert texts["duration_ms"] == "Length in milliseconds"
    assert all(texts.values())
    (table,) = warehouse.execute("SELECT obj_description('recordings'::regclass) AS text")
    assert table["text"] == "Genesys Cloud: recordings, version 1 of the contract"


@pytest.mark.outcome("PostgreSQL", "the table lacks a column or its key", "SinkRefusedError with the SQL to run")
def test_a_table_that_lacks_columns_is_refused_with_the_sql_to_run(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    warehouse.execute("ALTER TABLE recordings DROP COLUMN queue_name, DROP COLUMN _source_offset")
    text = refused(warehouse)
    assert "lacks the columns queue_name, _source_offset" in text
    warehouse.execute(text[text.index("ALTER TABLE") :])
    load = make_load()
    assert warehouse.load(load, make_batches(load, 3)).counts == counts(3)


@pytest.mark.outcome("PostgreSQL", "the table lacks a column or its key", "SinkRefusedError with the SQL to run")
def test_a_table_without_a_unique_key_is_refused_with_the_sql_to_run(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    warehouse.execute("ALTER TABLE recordings DROP CONSTRAINT recordings_pkey")
    text = refused(warehouse)
    assert "no unique key on recording_id" in text
    warehouse.execute(text[text.index("ALTER TABLE") :])
    load = make_load()
    assert warehouse.load(load, make_batches(load, 3)).counts == counts(3)


@pytest.mark.outcome(
    "PostgreSQL", "an extra column that is NOT NULL without default", "SinkRefusedError with the SQL to run"
)
def test_a_table_with_a_column_that_nobody_fills_is_refused(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    warehouse.execute(
        "ALTER TABLE recordings ADD COLUMN tenant text NOT NULL, ADD COLUMN note text NOT NULL DEFAULT ''"
    )
    text = refused(warehouse)
    assert "cannot fill: tenant" in text
    warehouse.execute(text[text.index("ALTER TABLE") :])
    load = make_load()
    assert warehouse.load(load, make_batches(load, 3)).counts == counts(3)


@pytest.mark.outcome("PostgreSQL", "a column of another type", "SinkRefusedError")
def test_a_column_of_another_type_is_refused(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms TYPE date USING NULL, ALTER duration_ms DROP NOT NULL")
    text = refused(warehouse)
    assert "duration_ms is date, not bigint" in text
    assert 'ALTER COLUMN "duration_ms" TYPE bigint USING "duration_ms"::text::bigint' in text


@pytest.mark.outcome("PostgreSQL", "extra columns, and narrower ones whose values fit", "recovers")
def test_columns_may_be_narrower_or_more_in_any_order(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms TYPE integer, ALTER direction TYPE varchar(10)")
    warehouse.execute("ALTER TABLE recordings ADD COLUMN seen boolean, DROP COLUMN queue_id")
    warehouse.execute("ALTER TABLE recordings ADD COLUMN queue_id text")
    load = make_load()
    assert warehouse.load(load, make_batches(load, 3)).counts == counts(3)
    assert [row["queue_id"] for row in warehouse.rows()] == [None, "queue-1", "queue-2"]


def test_names_that_need_quotes_are_quoted(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.execute('CREATE SCHEMA "Ünusual; schema"')
    sink = PostgresSink(
        warehouse.connect, 'a "table" ', schema="Ünusual; schema", dead_letter_raw="keep", create_table=True
    )
    sink.open(load, restart=False)
    last = write_all(sink, [make_batch(load, range(5), dead=[1])])
    assert sink.finish(make_certificate(load, last)).counts == counts(5, dead_letters=1)
    (row,) = warehouse.execute('SELECT count(*) AS n FROM "Ünusual; schema"."a ""table"" "')
    assert row["n"] == 4


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "per%cent", "nul\0"])
def test_names_that_cannot_be_are_refused_at_once(warehouse: Warehouse, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a table or schema"):
        PostgresSink(warehouse.connect, name, dead_letter_raw="keep")
    with pytest.raises(ConfigurationError, match="cannot name a table or schema"):
        PostgresSink(warehouse.connect, "recordings", schema=name, dead_letter_raw="keep")


def test_a_schema_that_is_not_there_is_refused(warehouse: Warehouse) -> None:
    assert 'schema "elsewhere" does not exist' in refused(warehouse, schema="elsewhere")


@pytest.mark.outcome("PostgreSQL", "a read-only replica", "SinkRefusedError")
def test_a_read_only_server_is_refused(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    read_only = f"{warehouse.dsn}?options=-c%20default_transaction_read_only%3Don"
    text = refused(warehouse, connect=lambda: psycopg.connect(read_only))
    assert "point it at the primary" in text


@pytest.mark.outcome("PostgreSQL", "a wrong password, or no such database", "SinkRefusedError")
@pytest.mark.parametrize(
    ("wrong", "what"),
    [({"password": "hunter2"}, "password authentication failed"), ({"dbname": "no_such"}, "does not exist")],
)
def test_who_is_not_let_in_is_told_so_at_once(warehouse: Warehouse, wrong: dict[str, str], what: str) -> None:
    attempts = []

    def connect() -> psycopg.Connection[Any]:
        attempts.append(1)
        return psycopg.connect(warehouse.dsn, **wrong)

    text = refused(warehouse, connect=connect)
    assert what in text
    assert "hunter2" not in text
    assert len(attempts) == 1


@pytest.mark.outcome("PostgreSQL", "permission denied", "SinkRefusedError")
def test_a_right_that_is_taken_away_meanwhile_fails_the_batch(warehouse: Warehouse, loader: str) -> None:
    create_tables(warehouse)
    grant(warehouse, loader)
    load, sink = make_load(), warehouse.sink(connect=lambda: psycopg.connect(loader))
    sink.open(load, restart=False)
    role = loader.split("/")[2].partition(":")[0]
    warehouse.execute(f"REVOKE INSERT ON recordings FROM {role}")
    with pytest.raises(SinkRefusedError, match=r"bytes 0 to 12000, 10 records.*permission denied for table recordings"):
        sink.write(make_batch(load, range(10)))


@pytest.mark.outcome("PostgreSQL", "row-level security refuses single rows", "dead letter")
def test_a_row_that_a_policy_refuses_is_rejected_and_the_others_land(warehouse: Warehouse, loader: str) -> None:
    create_tables(warehouse)
    grant(warehouse, loader)
    warehouse.execute("ALTER TABLE recordings ENABLE ROW LEVEL SECURITY")
    warehouse.execute("CREATE POLICY short ON recordings USING (true) WITH CHECK (duration_ms <> 1007)")
    load, own = make_load(), Warehouse(loader)

    def row(number: int) -> tuple[Any, ...]:
        return recording_row(number, durationMs=1000 + number)

    certificate = own.load(load, make_batches(load, 10, row=row), create_table=False)
    own.close()

    assert certificate.counts == counts(10, dead_letters=1)
    [letter] = warehouse.dead_letters()
    assert (letter["rule"], letter["source_offset"]) == ("row-level-security", 7 * LENGTH)
    assert letter["message"] == "PostgreSQL refuses the row: row level security"


def test_loads_that_create_the_tables_at_once_do_not_meet(warehouse: Warehouse) -> None:
    errors: list[GenesysError] = []

    def load(number: int) -> None:
        export = make_load(f"export-{number}", load_id=f"load-{number}")
        try:
            warehouse.load(export, make_batches(export, range(number * 10, number * 10 + 10)), retries=0)
        except GenesysError as error:
            errors.append(error)

    threads = [threading.Thread(target=load, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(warehouse.rows()) == 60


@pytest.mark.outcome("PostgreSQL", "a client encoding other than UTF-8", "recovers")
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_the_clients_encoding_does_not_matter(warehouse: Warehouse, encoding: str) -> None:
    load = make_load(run_id="выгрузка")
    foreign = f"{warehouse.dsn}?client_encoding={encoding}"
    warehouse.load(load, make_batches(load, 3), connect=lambda: psycopg.connect(foreign))
    assert warehouse.ledger()["run_id"] == "выгрузка"


def test_settings_of_the_connection_do_not_matter(warehouse: Warehouse) -> None:
    load = make_load()

    def connect() -> psycopg.Connection[Any]:
        options = "-c default_transaction_isolation=serializable -c DateStyle=German -c TimeZone=Asia/Kolkata"
        connection: psycopg.Connection[Any] = psycopg.connect(
            warehouse.dsn, options=options, row_factory=psycopg.rows.dict_row, cursor_factory=psycopg.ClientCursor
        )
        connection.execute("SELECT 1")
        return connection

    warehouse.load(load, make_batches(load, 20, size=10, dead=[3]), connect=connect)
    expected = warehouse.rows()
    sink = warehouse.sink(connect=connect)
    sink.open(load, restart=True)
    assert sink.processed_at == "2026-11-02T03:00:00+00:00"
    sink.write(make_batch(load, range(20), dead=[3]))
    sink.abort()
    [begun] = unfinished_loads(connect, "public", "recordings")
    assert (begun.window_start, begun.submitted_at) == (load.window_start, load.submitted_at)
    fixed = [{**row, "_loaded_at": None} for row in warehouse.rows()]
    assert fixed == [{**row, "_loaded_at": None} for row in expected]


def test_without_psycopg_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['psycopg'] = None; import airflow_provider_genesys.sinks.postgres.sink"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in done.stderr
    assert "pip install 'airflow-provider-genesys[postgres]'" in done.stderr


def test_another_driver_is_refused(postgres: PostgresServer) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    sink = PostgresSink(lambda: psycopg2.connect(postgres.dsn), "recordings", dead_letter_raw="keep")
    with pytest.raises(ConfigurationError, match="psycopg 3 is needed"):
        sink.open(make_load(), restart=False)
