"""The promise of docs/guarantees.md, held by a state machine: whatever happens on the way, the end is the perfect run.

A load into a folder is advanced, interrupted, cleared, taken over by a second attempt; its URL expires, its archive is
replaced by another. Hypothesis chooses the order, and at the end the load is finished and compared.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

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
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.sinks.batches import DAY, make_load

RECORDS, PART = 120, 30_000


class Interrupted(Exception):  # noqa: N818 - it is no error
    """The attempt ends here."""


class Stopping:
    """A sink that interrupts its load, or lets a second attempt open it, before the ``stop``-th batch."""

    def __init__(self, folder: Path, load: Load, stop: int, *, second: bool = False) -> None:
        self._sink = LocalSink(folder, "ndjson", part_size=PART, dead_letter_raw="keep")
        self._other = LocalSink(folder, "ndjson", part_size=PART, dead_letter_raw="keep") if second else None
        self._load, self._left = load, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def write(self, batch: Batch) -> Checkpoint | None:
        self._left -= 1
        if self._left == 0:
            if self._other is None:
                raise Interrupted
            self._other.open(self._load, restart=False)
        return self._sink.write(batch)


class Promise(RuleBasedStateMachine):
    """One export, one folder."""

    def __init__(self) -> None:
        super().__init__()
        shared._known.clear()
        self.folder = Path(tempfile.mkdtemp())
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

    def attempt(self, sink: Any, *, restart: bool = False, folder_load: Load | None = None) -> Certificate:
        return run(
            folder_load or self.load,
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
        self.interrupted(Stopping(self.folder, self.load, batches))

    @rule(batches=st.integers(1, 12))
    def second_attempt(self, batches: int) -> None:
        self.interrupted(Stopping(self.folder, self.load, batches, second=True))

    @rule(batches=st.integers(1, 30))
    def clear(self, batches: int) -> None:
        self.interrupted(Stopping(self.folder, self.load, batches), restart=True)
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
            perfect = Path(tempfile.mkdtemp())
            sink = LocalSink(perfect, "ndjson", part_size=PART, dead_letter_raw="keep")
            expected = self.attempt(sink)
            assert certificate.counts == expected.counts
            assert certificate.digest == expected.digest
            assert certificate.rules == expected.rules
            assert rows(self.folder, certificate) == rows(perfect, expected)
            shutil.rmtree(perfect)
        finally:
            self.client.close()
            self.genesys.close()
            shutil.rmtree(self.folder)

    def finished(self) -> Certificate:
        """Finish the load as Airflow would: retry, and where the archive is another one, a person clears the task."""
        sink = LocalSink(self.folder, "ndjson", part_size=PART, dead_letter_raw="keep")
        try:
            return self.attempt(sink)
        except SourceChangedError:
            assert self.changed, "the archive is the same"
            return self.attempt(sink, restart=True)


def rows(folder: Path, certificate: Certificate) -> list[dict[str, Any]]:
    """The rows of the parts that the certificate lists, without what is of the attempt."""
    lines = [line for part in certificate.parts for line in (folder / part["key"]).read_bytes().splitlines()]
    return [{name: value for name, value in json.loads(line).items() if name != "processedAt"} for line in lines]


Promise.TestCase.settings = settings(
    max_examples=25, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPromise = Promise.TestCase
