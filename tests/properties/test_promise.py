"""The promise of docs/guarantees.md, held by a state machine: whatever happens on the way, the end is the perfect run.

A load into a folder, a bucket or a table is advanced, interrupted, cleared, taken over by a second attempt; its URL
expires, its archive is replaced by another. Hypothesis chooses the order, and at the end the load is finished and
compared.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.handle import make_handle, open_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import FencedError, SourceChangedError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import PostgresServer, S3Server
from tests.sinks.batches import DAY, make_load
from tests.sinks.lake import Bucket, client_for

RECORDS, PART = 120, 30_000
_numbers = itertools.count(1)


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The attempt ends here."""


class Place(Protocol):
    """Somewhere that a load goes to, empty at first."""

    def sink(self) -> Any:
        """Return a sink that leads here."""

    def rows(self, certificate: Certificate) -> list[dict[str, Any]]:
        """Return the rows that a reader sees, without what is of the attempt."""

    def remove(self) -> None:
        """Delete everything."""


class Folder:
    """A folder, with a manifest."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp())

    def sink(self) -> Any:
        return LocalSink(self.path, "ndjson", part_size=PART, dead_letter_raw="keep")

    def rows(self, certificate: Certificate) -> list[dict[str, Any]]:
        return lasting(line for part in certificate.parts for line in self.read(part["key"]).splitlines())

    def read(self, key: str) -> bytes:
        return (self.path / key).read_bytes()

    def remove(self) -> None:
        shutil.rmtree(self.path)


class InBucket(Folder):
    """The same in a bucket."""

    server: ClassVar[S3Server]
    bucket: ClassVar[str]

    def __init__(self) -> None:
        self.prefix = f"p{next(_numbers)}"

    def sink(self) -> Any:
        client = partial(client_for, self.server.endpoint_url)
        settings = {"part_size": PART, "dead_letter_raw": "keep"}
        return S3Sink(client, self.bucket, self.prefix, output_format="ndjson", **settings)

    def read(self, key: str) -> bytes:
        return Bucket(self.server.client(), self.bucket).read(key)

    def remove(self) -> None:
        """Nothing: the server goes with the session."""


class Table:
    """A table, with its ledger, in a schema."""

    dsn: ClassVar[str]

    def __init__(self) -> None:
        self.schema = f"s{next(_numbers)}"

    def sink(self) -> Any:
        settings: dict[str, Any] = {"create_schema": True, "write_mode": "replace_window", "dead_letter_raw": "keep"}
        settings["commit_rows"] = 20  # three batches, so that some attempts stop between commits and others behind one
        return PostgresSink(lambda: psycopg.connect(self.dsn), "recordings", schema=self.schema, **settings)

    def rows(self, certificate: Certificate) -> list[dict[str, Any]]:
        query = "SELECT to_jsonb(row) - '{{_loaded_at,processed_at}}'::text[] FROM {}.recordings AS row ORDER BY 1"
        with psycopg.connect(self.dsn) as connection:
            return [row for (row,) in connection.execute(query.format(self.schema)).fetchall()]  # type: ignore[arg-type]

    def remove(self) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")  # type: ignore[arg-type]


def lasting(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return rows without when their load began."""
    return [{name: value for name, value in json.loads(line).items() if name != "processedAt"} for line in lines]


class Stopping:
    """A sink that interrupts its load, or lets a second attempt open it, before the ``stop``-th batch."""

    def __init__(self, place: Place, load: Load, stop: int, *, second: bool = False) -> None:
        self._sink = place.sink()
        self._other = place.sink() if second else None
        self._load, self._left = load, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def write(self, batch: Batch) -> Checkpoint | None:
        self._left -= 1
        if self._left == 0:
            if self._other is None:
                raise Interrupted
            self._other.open(self._load, restart=False)
            self._other.abort()
        return self._sink.write(batch)  # type: ignore[no-any-return]


class Promise(RuleBasedStateMachine):
    """One export, one place."""

    new_place: ClassVar[type[Place]] = Folder

    def __init__(self) -> None:
        super().__init__()
        shared._known.clear()
        self.place = self.new_place()
        self.progress = False  # whether the ledger holds a checkpoint
        self.changed = False  # whether the archive was replaced since
        self.complete: Certificate | None = None

    @initialize(form=st.sampled_from([("ndjson", None), ("json", None), ("ndjson", "gzip"), ("json", "gzip-members")]))
    def begin(self, form: tuple[Any, Any]) -> None:
        self.genesys = FakeGenesys(records=RECORDS, broken=5, requests_per_minute=1_000_000).start()
        self.genesys.file_format, self.genesys.compression = form
        given = self.genesys.connection()
        self.config = CloudConfig.from_connection(
            login=given["login"],
            password=given["password"],
            host=given["host"],
            extra=given["extra"] | {"requests_per_minute": 1_000_000},
        )
        self.client = CloudClient(self.config)
        self.exports = family("recordings", self.config)
        self.export_id = self.exports.create(self.client, ExportRequest(DAY, DAY.replace(day=DAY.day + 1)))
        while not (status := self.exports.status(self.client, self.export_id)).state.terminal:
            pass
        self.handle = make_handle(status, self.config)
        self.load = make_load(self.export_id)

    def attempt(self, sink: Any, *, restart: bool = False) -> Certificate:
        return run(
            self.load,
            lambda start: Download(
                lambda fresh: open_handle(self.handle, self.client, fresh=fresh),
                self.export_id,
                identity=start.source,
                sleep=lambda _: None,
            ),
            sink,
            Options(batch_size=7, flush_interval=60, restart=restart, max_dead_letter_ratio=None),
            self.committed,
        )

    def committed(self, checkpoint: Checkpoint) -> None:
        self.progress = checkpoint.position.record_offset > 0

    def interrupted(self, sink: Stopping, *, restart: bool = False) -> None:
        """Attempt the load; note how it ended."""
        if restart or self.complete:
            self.progress = False
        try:
            self.complete = self.attempt(sink, restart=restart)
            self.changed = False
        except (Interrupted, FencedError):
            self.complete = None
        except SourceChangedError:
            assert self.changed, "the archive is the same"
            self.complete = None

    @rule(batches=st.integers(1, 12))
    def interrupt(self, batches: int) -> None:
        self.interrupted(Stopping(self.place, self.load, batches))

    @rule(batches=st.integers(1, 12))
    def second_attempt(self, batches: int) -> None:
        self.interrupted(Stopping(self.place, self.load, batches, second=True))

    @rule(batches=st.integers(1, 30))
    def clear(self, batches: int) -> None:
        self.interrupted(Stopping(self.place, self.load, batches), restart=True)
        if self.complete is None and not self.progress:
            self.changed = False  # nothing is left of the archive that was there before

    @rule()
    def expire_url(self) -> None:
        self.genesys.expire_urls()

    @precondition(lambda self: not self.changed)
    @rule()
    def replace_archive(self) -> None:
        self.genesys.replace_archive(self.export_id)
        self.changed = True

    def teardown(self) -> None:
        if not hasattr(self, "genesys"):
            return
        try:
            certificate = self.finished()
            perfect = self.new_place()
            expected = self.attempt(perfect.sink())
            assert certificate.counts == expected.counts
            assert certificate.digest == expected.digest
            assert certificate.rules == expected.rules
            rows = perfect.rows(expected)
            assert len(rows) == expected.counts.written
            assert self.place.rows(certificate) == rows
            perfect.remove()
        finally:
            self.client.close()
            self.genesys.close()
            self.place.remove()

    def finished(self) -> Certificate:
        """Finish the load as Airflow would: retry, and where the archive is another one, a person clears the task."""
        sink = self.place.sink()
        try:
            return self.attempt(sink)
        except SourceChangedError:
            assert self.changed, "the archive is the same"
            return self.attempt(sink, restart=True)


class BucketPromise(Promise):
    """Into a bucket."""

    new_place = InBucket


class TablePromise(Promise):
    """Into a table."""

    new_place = Table


@pytest.fixture(scope="module", autouse=True)
def servers(postgres: PostgresServer, s3: S3Server) -> None:
    """Hypothesis makes its machines itself, so that no fixture reaches them."""
    Table.dsn = postgres.create_database("promises")
    InBucket.server, InBucket.bucket = s3, s3.create_bucket("promises")


def _often(share: float) -> settings:
    """Return settings for that share of the examples of a plain test: --long has more of both."""
    examples, checks = round(settings().max_examples * share), list(HealthCheck)
    return settings(max_examples=examples, stateful_step_count=8, deadline=None, suppress_health_check=checks)


Promise.TestCase.settings = _often(1 / 3)
BucketPromise.TestCase.settings = _often(1 / 10)
TablePromise.TestCase.settings = _often(1 / 6)
TestPromise = Promise.TestCase
TestPromiseInBucket = BucketPromise.TestCase
TestPromiseInTable = TablePromise.TestCase
