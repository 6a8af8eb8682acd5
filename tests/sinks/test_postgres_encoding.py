"""A database in LATIN1: records that it cannot hold are rejected, and names that it cannot hold block nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.contract import RECORDINGS, Column, built_in
from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.dead_letters import opened
from airflow_provider_genesys.sinks.postgres.replay import PostgresReplay
from airflow_provider_genesys.sinks.postgres.snapshots import Snapshots, SnapshotSink
from airflow_provider_genesys.sinks.postgres.verify import verify_table
from airflow_provider_genesys.testing.services import PostgresServer
from tests.sinks.replaying import as_it_is, contract
from tests.sinks.test_postgres_replay import LENIENT, replayed
from tests.sinks.warehouse import Warehouse
from tests.support.emptied import empty
from tests.unit.pipeline.sources import InMemory, a_load

EVOLVING = RECORDINGS.with_modes({"unknown": "evolve"})
NAMES = ["größe", "naïve", "€uro", "日本", "\U0001f600", "back\\u20acslash", "\\u005c"]
WIN1252 = pytest.param("WIN1252", marks=pytest.mark.long)
"""One byte for each character, as LATIN1."""


@pytest.fixture(scope="module")
def foreign_databases(postgres: PostgresServer) -> Callable[[str], str]:
    """Makes a database in an encoding; the tests of this module share it."""

    @cache
    def made(encoding: str) -> str:
        name = f"foreign_{encoding.lower()}"
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
        return postgres.dsn.rsplit("/", 1)[0] + f"/{name}"

    return made


@pytest.fixture(params=["LATIN1", "EUC_JP"])
def foreign(request: pytest.FixtureRequest, foreign_databases: Callable[[str], str]) -> Iterator[Warehouse]:
    """An empty database in another encoding."""
    warehouse = Warehouse(foreign_databases(request.param))
    yield warehouse
    warehouse.close()
    with psycopg.connect(warehouse.dsn, autocommit=True, client_encoding="utf8") as connection:
        empty(connection)


def archive(count: int, **others: Any) -> bytes:
    def one(number: int) -> bytes:
        values = {"recordingId": f"r{number}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1}
        return json.dumps({**values, **others.get(f"r{number}", {})}, ensure_ascii=False).encode()

    return b"\n".join(map(one, range(count)))


@pytest.mark.outcome("PostgreSQL", "a record that the database's encoding cannot hold", "dead letter")
@pytest.mark.parametrize("raw", ["keep", "encrypt"])
@pytest.mark.parametrize("where", ["queue", "recordingId", "metadata"])
def test_a_record_that_the_encoding_cannot_hold_is_rejected(foreign: Warehouse, raw: str, where: str) -> None:
    text = "žluťoučký 🐎 é"
    data = archive(5, r2={where: text if where == "recordingId" else {"name": text}}, r3={"durationMs": text})

    sink = foreign.sink(dead_letter_raw=raw, encrypt=lambda raw, _: raw.hex().encode())
    certificate = run(a_load(), InMemory(data), sink, Options(max_dead_letter_ratio=None))

    assert (certificate.counts.read, certificate.counts.written) == (5, 3)
    assert certificate.rules == {"untranslatable-character": 1, "wrong-type": 1}
    decrypt = lambda raw, _: bytes.fromhex(raw.decode())  # noqa: E731
    kept = [opened(letter, decrypt) for letter in foreign.dead_letters()]
    assert kept == data.split(b"\n")[2:4]


@pytest.mark.outcome("PostgreSQL", "a field's name that the database's encoding cannot hold", "recovers")
@pytest.mark.parametrize("foreign", ["LATIN1", "EUC_JP", "SQL_ASCII"], indirect=True)
@pytest.mark.parametrize("modes", [{"unknown": "evolve"}, {"unknown": "discard_value"}, {"unknown": "quarantine"}])
def test_names_that_the_encoding_cannot_hold_block_nothing(foreign: Warehouse, modes: dict[str, str]) -> None:
    """And a load that is resumed knows them as they were."""
    load = a_load(contract=RECORDINGS.with_modes(modes))
    data = archive(12, **{f"r{place}": {name: "x"} for place, name in enumerate(NAMES)}, r9={"€uro": "y", "größe": "y"})
    options = Options(batch_size=4, flush_interval=60.0, max_dead_letter_ratio=None)

    def load_into(sink: Sink) -> Any:
        return run(load, InMemory(data), sink, options)

    broken = foreign.sink()
    write, written = broken.write, []

    def breaking(batch: Any) -> Any:
        if len(written) == 3:
            raise SinkUnavailableError("broken down")
        written.append(batch)
        return write(batch)

    broken.write = breaking  # type: ignore[method-assign]
    with pytest.raises(SinkUnavailableError):
        load_into(broken)
    certificate = load_into(foreign.sink())

    evolves = "evolve" in modes.values()
    names = {drift.field: drift.count for drift in certificate.drift}
    assert names == {name: 1 if evolves or name not in ("€uro", "größe") else 2 for name in NAMES}
    assert {column.path for column in certificate.evolved} == (
        {name for name in NAMES if "\\" not in name} if evolves else set()
    )
    rejected = len(NAMES) + 1 if "quarantine" in modes.values() else 0
    assert (certificate.counts.written, certificate.counts.dead_letters) == (12 - rejected, rejected)
    if evolves:
        [row] = foreign.execute("SELECT * FROM recordings WHERE recording_id = 'r9'")
        assert list(row.values()).count("y") + list(row.values()).count(b"y") == 2


def test_a_replay_goes_on_past_what_the_encoding_cannot_hold(foreign: Warehouse) -> None:
    data = archive(
        5, r1={"durationMs": None}, r2={"durationMs": None, "queue": {"name": "žluťoučký 🐎"}}, r3={"durationMs": "é"}
    )
    run(a_load(), InMemory(data), foreign.sink(), Options(max_dead_letter_ratio=None))
    foreign.execute("ALTER TABLE recordings ALTER duration_ms DROP NOT NULL")

    named = contract(durationMs={"path": "€uro"})
    assert replayed(foreign, named).still_open == 3

    account = replayed(foreign)

    assert (account.replayed, account.broken) == (1, {"untranslatable-character": 1, "wrong-type": 1})


@pytest.mark.outcome("PostgreSQL", "the run's name has characters that the encoding cannot hold", "recovers")
@pytest.mark.parametrize("foreign", ["LATIN1", "EUC_JP", "SQL_ASCII"], indirect=True)
def test_a_load_is_verified_amended_and_replayed_in_every_encoding(foreign: Warehouse) -> None:
    load = replace(a_load(contract=EVOLVING), run_id="выгрузка/🐎")
    sink = foreign.sink()
    data = archive(4, r1={"durationMs": None}, r2={"durationMs": None}, r3=dict.fromkeys(NAMES, "x"))

    certificate = run(load, InMemory(data), sink, Options(max_dead_letter_ratio=None))
    certificate = replace(certificate, reconciliation={"verdict": "agrees"})
    sink.amend(certificate)

    [verified] = verify_table(foreign.connect, certificate.location)
    assert (verified.problems, verified.certificate) == ((), certificate)
    foreign.execute("ALTER TABLE recordings ALTER duration_ms DROP NOT NULL")
    replay = PostgresReplay(foreign.connect, "recordings", opened=lambda letter: opened(letter, as_it_is))
    assert replay.run(lambda _: LENIENT, "повтор/🐎").replayed == 2


@pytest.mark.parametrize("foreign", ["SQL_ASCII"], indirect=True)
def test_ids_are_compared_with_the_digest_in_a_database_without_encoding(foreign: Warehouse) -> None:
    data = archive(3, r1={"recordingId": "日本"})
    certificate = run(a_load(), InMemory(data), foreign.sink(), Options())
    [verified] = verify_table(foreign.connect, certificate.location)
    assert (verified.problems, verified.digest) == ((), True)


def test_a_child_that_the_encoding_cannot_hold(foreign: Warehouse) -> None:
    columns = tuple(column for column in RECORDINGS.columns if column.name != "participants")
    people = Column("participants", "participants", "json")
    contract = replace(
        RECORDINGS,
        columns=(*columns, people),
        children=(Child("people", "participants", (ChildColumn("name", "name", "string"),)),),
    )
    data = archive(3, r1={"participants": [{"name": "🐎"}]}, r2={"participants": [{"name": "ann"}]})
    certificate = run(a_load(contract=contract), InMemory(data), foreign.sink(), Options(max_dead_letter_ratio=None))
    assert certificate.counts.dead_letters == 1


def test_a_description_that_the_encoding_cannot_hold_is_refused_with_what_to_do(foreign: Warehouse) -> None:
    columns = tuple(replace(column, description="🐎") for column in RECORDINGS.columns)
    with pytest.raises(SinkRefusedError, match="not in UTF8, and a name or a description"):
        foreign.sink().open(a_load(contract=replace(RECORDINGS, columns=columns)), restart=False)


AGGREGATES = built_in("aggregates")


@pytest.mark.outcome("PostgreSQL", "a group of aggregates, or an entity, that the encoding cannot hold", "dead letter")
@pytest.mark.parametrize("foreign", ["LATIN1", WIN1252, "EUC_JP"], indirect=True)
@pytest.mark.parametrize("where", ["id", "metric", "qualifier"])
@pytest.mark.parametrize("replaces", [False, True])
def test_a_row_of_aggregates_that_the_encoding_cannot_hold(foreign: Warehouse, where: str, replaces: bool) -> None:
    def row(number: int, **odd: str) -> bytes:
        start, end = "2026-11-22T00:00:00Z", "2026-11-22T00:30:00Z"
        values = {"id": f"r{number}", "domain": "flows", "intervalStart": start, "intervalEnd": end, "metric": "n"}
        return json.dumps({**values, "count": number, **odd}, ensure_ascii=False).encode()

    data = b"\n".join([row(1), row(2, **{where: "žluťoučký 🐎"}), row(3), row(4, größe="🐎")])
    options = {"write_mode": "replace_window"} if replaces else {}
    certificate = run(
        a_load(contract=AGGREGATES.with_modes({"unknown": "evolve"})),
        InMemory(data),
        foreign.sink(**options),
        Options(max_dead_letter_ratio=None),
    )
    # The last one has an unknown field, which the contract takes in.
    assert certificate.rules == {"untranslatable-character": 2}
    assert [row["count"] for row in foreign.rows_by("count")] == [1, 3]


@pytest.mark.parametrize("foreign", ["LATIN1", WIN1252, "EUC_JP"], indirect=True)
@pytest.mark.parametrize("deletes", ["mark", "remove"])
def test_an_entity_that_the_encoding_cannot_hold_is_rejected_and_nothing_taken_for_deleted(
    foreign: Warehouse, deletes: Any
) -> None:
    def snapshot(load_id: str, **names: str) -> Any:
        data = b"\n".join(
            json.dumps(
                {"recordingId": one, "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1, "queue": {"name": name}}
            ).encode()
            for one, name in names.items()
        )
        sink = SnapshotSink(
            foreign.connect,
            "recordings",
            Snapshots(deletes=deletes, history=True),
            schema="public",
            dead_letter_raw="keep",
        )
        submitted = a_load().submitted_at + timedelta(days=int(load_id))  # type: ignore[operator]  # it is known
        load = replace(a_load(load_id), load_id=load_id, submitted_at=submitted)
        return run(load, InMemory(data), sink, Options(max_dead_letter_ratio=None))

    snapshot("1", a="ann", b="bob", c="carol")
    certificate = snapshot("2", a="ann", b="🐎", c="karol")
    assert certificate.rules == {"untranslatable-character": 1}
    assert (certificate.snapshot or {})["deleted"] == 0
    assert {row["recording_id"] for row in foreign.rows()} == {"a", "b", "c"}
