"""Places that crash tests load into, the process that loads, and what is compared afterwards."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.handle import make_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.failpoints import SPLIT
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, S3Server
from tests.faults.crash_child import DAY
from tests.faults.kills import UPSERTED, Way
from tests.sinks.lake import Bucket, rows_in
from tests.sinks.queues import Queues, dynamodb_store, state_of

ROOT = Path(__file__).parents[2]
TABLE = "crashes"
ROWS = "rows/"
"""A prefix, beside which an object store keeps the rows of children."""
TWO_BATCHES = 160
"""Records that make a commit of two batches, in tables that take several in one."""
PAGE = 12
"""Conversations in a page."""
CHILD_TABLES = {f"recordings_{child.name}" for child in resolve("conversation_details", kind="").children}
_numbers = itertools.count(1)

Contents = dict[str, Any]
Place = tuple[dict[str, Any], Callable[[], Contents]]
"""How the child makes its sink, and what reads everything that the sink holds."""


class Loader:
    """Runs loads in children of :mod:`.crash_child`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def load(self, **job: Any) -> dict[str, Any]:
        """Run one attempt; return its certificate, or {signal} where it was killed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))


@contextmanager
def loader() -> Iterator[Loader]:
    command = [sys.executable, "-m", "tests.faults.crash_child"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield Loader(process)
        assert process.stdin
        process.stdin.close()


@dataclass
class Source:
    """An export, and how a client gets it."""

    handle: dict[str, Any]
    connection: dict[str, Any]
    size: int
    records_path: str | None = None

    @property
    def export_id(self) -> str:
        return str(self.handle["export_id"])

    def job(self) -> dict[str, Any]:
        job = {"handle": self.handle, "connection": self.connection}
        return {**job, "page_size": PAGE, "records_path": self.records_path}


def make_source(
    genesys: FakeGenesys, kind: str = "recordings", records_path: str | None = None, **settings: Any
) -> Source:
    for name, value in settings.items():
        setattr(genesys, name, value)
    connection = {"host": genesys.url, **genesys.connection()}
    connection = {name: connection[name] for name in ("login", "password", "host", "extra")}
    connection["extra"] = connection["extra"] | {"requests_per_minute": 1_000_000, "verify_tls": False}
    config = CloudConfig.from_connection(**connection)
    with CloudClient(config) as client:
        found = family(kind, config)
        export_id = found.create(client, ExportRequest(*DAY))
        while not (status := found.status(client, export_id)).state.terminal:
            pass
    size = genesys.exports[export_id].delivered.size if export_id in genesys.exports else 0
    return Source(make_handle(status, config), connection, size, records_path)


@dataclass
class Places:
    """Makes places of one sink, each empty."""

    dsn: str
    s3: S3Server
    bucket: str
    folder: Path
    azurite: AzuriteServer
    container: str
    gcs: GCSServer
    part_size: int = 200_000
    output_format: str = "ndjson.gz"
    client: Any = field(init=False)
    blobs: Any = field(init=False)
    google: Any = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.s3.client()
        self.blobs = self.azurite.client().get_container_client(self.container)
        self.google = self.gcs.client().bucket(self.bucket)
        store = dynamodb_store(self.s3, TABLE)
        store.prepare()
        store.close()

    def new(self, sink: str, **settings: Any) -> Place:
        settings = {"part_size": self.part_size, "output_format": self.output_format, **settings}
        makers = {
            "postgres": self._schema,
            "postgres-atomic": self._staged,
            "postgres-window": self._window,
            "s3": self._prefix,
            "local": self._folder,
            "azure": self._blobs,
            "gcs": self._in_google,
            "sqs": self._queues,
        }
        place, read = makers[sink.removesuffix("-upsert")](settings)
        return ({**place, "straight": False, "commit_rows": TWO_BATCHES} if sink in UPSERTED else place), read

    def _schema(self, _: dict[str, Any]) -> Place:
        schema = f"s{next(_numbers)}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        place = {"dsn": self.dsn, "schema": schema, "publish": "batches", "write_mode": "upsert"}
        return place, lambda: tables(self.dsn, schema)

    def _staged(self, settings: dict[str, Any]) -> Place:
        place, read = self._schema(settings)
        replaced = {"publish": "atomic", "write_mode": "replace_window"}
        return {**place, **replaced, "commit_rows": TWO_BATCHES}, read

    def _window(self, settings: dict[str, Any]) -> Place:
        place, read = self._schema(settings)
        return {**place, "write_mode": "replace_window"}, read

    def _prefix(self, settings: dict[str, Any]) -> Place:
        prefix = f"p{next(_numbers)}/"
        bucket = Bucket(self.client, self.bucket)

        def read() -> Contents:
            assert [key for key in bucket.uploads() if key.startswith(prefix)] == []
            return objects({key[len(prefix) :]: bucket.read(key) for key in bucket.listed(prefix)}, prefix)

        place = {"endpoint_url": self.s3.endpoint_url, "bucket": self.bucket, "prefix": f"{prefix}{ROWS}"}
        return {**place, **settings}, read

    def _folder(self, settings: dict[str, Any]) -> Place:
        folder = self.folder / f"f{next(_numbers)}"
        folder.mkdir()

        def read() -> Contents:
            files = (path for path in folder.rglob("*") if path.is_file())
            return objects({path.relative_to(folder).as_posix(): path.read_bytes() for path in files}, "")

        return {"folder": str(folder), **settings}, read

    def _blobs(self, settings: dict[str, Any]) -> Place:
        prefix = f"p{next(_numbers)}/"

        def read() -> Contents:
            names, staged = (
                [blob.name for blob in self.blobs.list_blobs(name_starts_with=prefix, include=include)]
                for include in ([], ["uncommittedblobs"])
            )
            assert names == staged
            held = {name[len(prefix) :]: self.blobs.download_blob(name).readall() for name in names}
            return objects(held, prefix)

        place = {"account_url": self.azurite.account_url, "container": self.container, "prefix": f"{prefix}{ROWS}"}
        return {**place, **settings}, read

    def _in_google(self, settings: dict[str, Any]) -> Place:
        prefix = f"p{next(_numbers)}/"

        def read() -> Contents:
            held = {one.name[len(prefix) :]: one.download_as_bytes() for one in self.google.list_blobs(prefix=prefix)}
            return objects(held, prefix)

        place = {"gcs_url": self.gcs.endpoint_url, "bucket": self.bucket, "prefix": f"{prefix}{ROWS}"}
        return {**place, **settings}, read

    def _queues(self, _: dict[str, Any]) -> Place:
        queues = Queues(self.s3.endpoint_url)
        urls = {"queue_url": queues.records.url, "dead_letter_queue_url": queues.letters.url}
        place = {"endpoint_url": self.s3.endpoint_url, "table": TABLE, **urls}

        def read() -> Contents:
            held = state_of(dynamodb_store(self.s3, TABLE), "load", queues.records.url)
            assert held["state"] == "complete"
            records, letters = queues.records.drain(), queues.letters.drain()
            return {"rows": records.bodies, "letters": letters.bodies, "processed_at": held["processed_at"]}

        return place, read


PROCESSED_AT = [f"2026-11-23T0{attempt}:00:00+00:00" for attempt in range(1, 6)]
"""The times at which the attempts would begin: the one that commits first leaves its own in every row."""
OWN = {"attempts", "ended_at", "location", "parts", "peak_memory_mb", "phases", "seconds", "signal", "started_at"}
OWN |= {"dead_workers", "iceberg", "left", "steps", "took"}
"""What differs between certificates of equal loads."""


@dataclass
class Scene:
    """One export, one kind of place, and what perfect runs leave in such places."""

    loader: Loader
    places: Places
    source: Source
    batch_size: int
    settings: dict[str, Any] = field(default_factory=dict)
    earlier: Source | None = None
    """An export that was requested an hour before; windows hold it when the load begins."""
    perfect: dict[tuple[str, str], tuple[dict[str, Any], Contents]] = field(default_factory=dict)

    def killed_and_taken_up(self, sink: str, *kills: dict[str, Any]) -> list[dict[str, Any]]:
        """Load with these kills, one for each attempt, then without; compare what is there; return all answers."""
        return self.loaded(sink, *kills, {})

    def loaded(self, sink: str, *attempts: dict[str, Any]) -> list[dict[str, Any]]:
        """Make these attempts at one load; compare what is there; return all answers."""
        place, read = self._place(sink)
        times = zip(attempts, PROCESSED_AT, strict=False)
        answers = [self._attempt(sink, place, processed_at, **how) for how, processed_at in times]
        assert "counts" in answers[-1], answers[-1]
        found = read()
        certificate, contents = self.perfect_run(sink, found["processed_at"])
        assert found == contents, difference(found, contents)
        assert _lasting(answers[-1]) == _lasting(certificate)
        return answers

    def perfect_run(self, sink: str, processed_at: str) -> tuple[dict[str, Any], Contents]:
        if (sink, processed_at) not in self.perfect:
            place, read = self._place(sink)
            certificate = self._attempt(sink, place, processed_at)
            assert "counts" in certificate, certificate
            self.perfect[sink, processed_at] = certificate, read()
        return self.perfect[sink, processed_at]

    def way_of(self, sink: str, resumed: dict[str, Any]) -> Way:
        """Return how an attempt took the load up, by how much of the archive it has read."""
        read, whole = (one["steps"].get(SPLIT, 0) for one in (resumed, self.perfect_run(sink, PROCESSED_AT[0])[0]))
        if not read:
            return "closes"
        return "begins again" if read == whole else "goes on"

    def _place(self, sink: str) -> Place:
        place, read = self.places.new(sink, **self.settings)
        if self.earlier and "window" in sink:
            hour_before = (DAY[1] - timedelta(hours=1)).isoformat()
            held = self._attempt(sink, place, hour_before, **self.earlier.job(), submitted_at=hour_before)
            assert "counts" in held, held
        return place, read

    def _attempt(self, sink: str, place: dict[str, Any], processed_at: str, **how: Any) -> dict[str, Any]:
        job = {"sink": sink, "place": place, "processed_at": processed_at, "batch_size": self.batch_size}
        return self.loader.load(**{**job, **self.source.job(), **how})


def difference(found: Contents, expected: Contents) -> str:
    """Return what differs first: the object, table or kind of letters, and the row in it."""
    name = next(name for name in expected if found.get(name) != expected[name])
    here, there = found[name], expected[name]
    if isinstance(here, dict) and isinstance(there, dict):
        if here.keys() != there.keys():
            return f"{name}: not on both sides: {sorted(here.keys() ^ there.keys())}"
        key = next(key for key in there if here[key] != there[key])
        name, here, there = f"{name}, {key}", here[key], there[key]
        if isinstance(here, bytes):
            here, there = rows_in(key, here), rows_in(key, there)
    if not isinstance(here, list):
        return f"{name}: {here!r:.300} in place of {there!r:.300}"
    pairs = enumerate(itertools.zip_longest(here, there))
    rows = next((f"row {n}: {a!r:.2000} in place of {b!r:.2000}" for n, (a, b) in pairs if a != b), None)
    return f"{name}: {rows or 'equal rows in other bytes'}"


def _lasting(certificate: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in certificate.items() if name not in OWN}


_ROWS = "SELECT to_jsonb(row) - '_loaded_at' AS held FROM {}.{} AS row ORDER BY held"
_LETTERS = """
SELECT to_jsonb(letter) - '{{created_at,target}}'::text[] FROM {}.genesys_dead_letters AS letter ORDER BY source_offset
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename"
_LEDGER = "SELECT state, to_jsonb(processed_at) FROM {}.genesys_ledger"


def tables(dsn: str, schema: str) -> Contents:
    """Return every row, dead letter and the state that a schema holds."""
    with psycopg.connect(dsn) as connection:
        letters = connection.execute(_LETTERS.format(schema)).fetchall()
        [(state, processed_at)] = connection.execute(_LEDGER.format(schema)).fetchall()
        names = {name for (name,) in connection.execute(_TABLES, [schema]).fetchall()} - {
            "genesys_dead_letters",
            "genesys_ledger",
        }
        assert names - CHILD_TABLES == {"recordings"}, "a load has left a table behind"
        rows = {name: connection.execute(_ROWS.format(schema, name)).fetchall() for name in sorted(names)}
    assert state == "complete"
    return {"rows": rows, "letters": letters, "processed_at": processed_at}


def _timeless(line: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(line).items() if name != "created_at"}


def objects(held: dict[str, bytes], prefix: str) -> Contents:
    """Return the parts and the dead letters, byte by byte; there is nothing that the manifest does not list."""
    [name] = [key for key in held if key.endswith("_manifest.json")]
    manifest = json.loads(held[name])
    parts, letters = ([part["key"].removeprefix(prefix) for part in manifest[of]] for of in ("parts", "dead_letters"))
    children = [part["key"].removeprefix(prefix) for listed in manifest.get("children", {}).values() for part in listed]
    parts += children
    hidden = {key for key in held if "/." in key}  # a folder's ledger entry or manifest that was not whole
    ledger = sorted(key for key in held.keys() - hidden if "_ledger/" in key)
    stray = (held.keys() - hidden) ^ {name, *parts, *letters, *ledger}
    assert not stray, f"not on both sides, of the store and of the manifest: {sorted(stray)}"
    newest = json.loads(held[ledger[-1]])
    assert newest["state"] == "complete"
    if manifest["contract"] == "raw":
        return {"archive": held[parts[0]]}
    return {
        "parts": {key: held[key] for key in parts},
        # The keys of dead letters are each attempt's own.
        "letters": [_timeless(line) for key in letters for line in held[key].splitlines()],
        "offsets": sorted(json.loads(line)["source_offset"] for key in letters for line in held[key].splitlines()),
        "rows": sum(len(rows_in(key, held[key])) for key in parts),
        "processed_at": newest["processed_at"],
    }
