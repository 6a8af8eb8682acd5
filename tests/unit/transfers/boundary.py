"""One run of a loading operator up to its boundaries: what it hands to hooks, stores, sinks and the pipeline."""

from __future__ import annotations

import inspect
from contextlib import suppress
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus
from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.exceptions import NotFoundError, SourceUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Load, LoadFacts
from airflow_provider_genesys.tasks import reports
from tests.support.task_context import DAY_END, DAY_START, RUN, stand_in

try:
    from airflow.sdk.lineage import HookLineageCollector
except ImportError:  # before Airflow 3.3
    from airflow.lineage.hook import HookLineageCollector

PACKAGE = "airflow_provider_genesys"
HANDLE = {
    "export_id": "export-1",
    "window_start": DAY_START.isoformat(),
    "window_end": DAY_END.isoformat(),
    "submitted_at": DAY_END.isoformat(),
    "records": 7,
}


_PLACES = ("bucket", "connect", "client", "container", "store")
"""Arguments of sinks and indexes that open their place when it is first used."""


class SleptError(Exception):
    """The task would hold its worker now."""


class Boundary:
    """What was seen beyond an operator; ``calls`` are (name, arguments) in their order."""

    def __init__(self, *, outage: bool = False, lost: bool = False) -> None:
        self.outage = outage
        self.lost = lost
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.context: dict[str, Any] = {**stand_in(RUN, DAY_END), "outlet_events": OutletEventAccessors()}
        self.collector = HookLineageCollector()
        self.counted: list[str] = []
        self.raised: BaseException | None = None
        self.returned: Any = None

    def of(self, name: str) -> dict[str, Any]:
        """Return the arguments of the last call of ``name``."""
        return [arguments for called, arguments in self.calls if called == name][-1]

    @property
    def load(self) -> Load:
        return self.of("run")["load"]  # type: ignore[no-any-return]

    @property
    def options(self) -> Any:
        return self.of("run")["options"]

    def record(self, name: str, original: Any, result: Any = None) -> Any:
        """Return a stand-in for ``original`` that keeps its arguments by name."""
        signature = inspect.signature(original)

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            opened = {place: make() for place, make in bound.arguments.items() if place in _PLACES and callable(make)}
            self.calls.append((name, {**bound.arguments, **bound.kwargs, **opened}))
            return result(**bound.arguments) if callable(result) else result

        return stand_in

    def run(self, load: Load, result: Any, sink: Any, options: Any, watch: Any) -> Certificate:
        """Do as :func:`pipeline.run.run` does: look at the result, and tell a checkpoint."""
        if self.outage:
            raise SourceUnavailableError("out of reach")
        start = Checkpoint(load.load_id, load.export_id, "2026-11-23T01:00:00+00:00")
        result(start)
        watch(Checkpoint(load.load_id, load.export_id, "2026-11-23", counts=Counts(7, 7), committed_at="now"))
        drift = [Drift("new", "unknown", 1, 0, "boolean")]
        window = (load.window_start.isoformat(), load.window_end.isoformat())
        counts, location = Counts(7, 7), "s3://lake/raw/"
        return Certificate(
            load.load_id, load.export_id, load.kind, *window, str(load.contract), start.source, 70, counts, "0",
            drift=drift, location=location, submitted_at=DAY_END.isoformat(),
        )  # fmt: skip


class StubHook:
    """Genesys Cloud that only remembers who asked."""

    def __init__(self, boundary: Boundary, genesys_conn_id: str) -> None:
        self.genesys_conn_id = genesys_conn_id
        self.config = SimpleNamespace(
            api_url="https://api.example.com",
            timeout=60,
            verify=True,
            client_secret="",
            archive=None,
            allowed_download_hosts=(),
        )
        self._boundary = boundary
        boundary.calls.append(("hook", {"conn_id": genesys_conn_id}))

    def __enter__(self) -> StubHook:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_conn(self) -> str:
        return f"client of {self.genesys_conn_id}"

    def get_export(self, export_id: str, kind: str) -> ExportStatus:
        self._boundary.calls.append(("get_export", {"export_id": export_id, "kind": kind}))
        if self._boundary.lost:
            raise NotFoundError("never heard of it")
        return ExportStatus(export_id, kind, ExportState.COMPLETED, "COMPLETED")

    def make_handle(self, status: ExportStatus, **_: Any) -> dict[str, Any]:
        return {**HANDLE, "export_id": status.export_id, "kind": status.kind}

    def create_export(self, kind: str, request: Any) -> str:
        self._boundary.calls.append(("create_export", {"kind": kind, "request": request}))
        return "export-2"

    def encrypt_dead_letter(self, raw: bytes, bound_to: bytes) -> bytes:
        return b"encrypted by " + self.genesys_conn_id.encode() + b": " + raw


def observe(operator: type, arguments: dict[str, Any], *, outage: bool = False, lost: bool = False) -> Boundary:
    """Make an operator, and execute it; what it raises is kept, too."""
    seen = Boundary(outage=outage, lost=lost)
    with pytest.MonkeyPatch.context() as patch:
        _stand_in(seen, patch)
        try:
            task = operator(task_id="load", **arguments)
            if hasattr(task, "unfinished_loads"):
                _begun(seen, patch, task)
            seen.returned = task.execute(seen.context)
        except BaseException as error:  # noqa: BLE001 - a deferral is none of Exception
            seen.raised = error
    return seen


def _begun(seen: Boundary, patch: pytest.MonkeyPatch, task: Any) -> None:
    """Let a ledger hold a load that the operator's task has begun."""
    handle = {**HANDLE, "kind": task.kind}
    known = {**handle, "window_start": DAY_START, "window_end": DAY_END}
    load_id = ""
    with suppress(Exception):  # what is wrong shows when it is executed
        load_id = task.load_of(handle, seen.context).load_id
    begun = LoadFacts(
        load_id=load_id,
        shard=0,
        export_id=known["export_id"],
        kind=task.kind,
        window_start=known["window_start"],
        window_end=known["window_end"],
        submitted_at=datetime(2026, 11, 23, tzinfo=timezone.utc),
        contract="",
        run_id="a_dag/a_run/a_task",
    )
    patch.setattr(f"{PACKAGE}.operators.finish_loads._has_failed", lambda *_: True)
    for sink in ("postgres", "objects"):
        name = f"{PACKAGE}.sinks.{sink}.ledger.unfinished_loads"
        patch.setattr(name, seen.record("unfinished_loads", _imported(name), lambda **_: [begun]))


def _stand_in(seen: Boundary, patch: pytest.MonkeyPatch) -> None:
    def record(name: str, result: Any = None) -> None:
        path = f"{PACKAGE}.{name}"
        patch.setattr(path, seen.record(name.rpartition(".")[2], _imported(path), result))

    settings = SimpleNamespace(prefix="raw", fencing="conditional")
    sink = SimpleNamespace(
        open=lambda *_, **__: None,
        abort=lambda: None,
        landing=lambda: None,
        reading=lambda: ("a store", settings),
    )
    patch.setattr(f"{PACKAGE}.hooks.genesys.GenesysCloudHook", lambda conn_id: StubHook(seen, conn_id))
    record("pipeline.run.run", seen.run)
    loop = _imported(f"{PACKAGE}.pipeline.run.run")

    def land(load: Load, handle: Any, archive: Any, landing: Any, options: Any, watch: Any) -> Certificate:
        return loop(load, archive, landing, options, watch)  # type: ignore[no-any-return]

    record("pipeline.land.land", land)
    record("source.pages.open_pages", lambda **_: None)
    record("source.landed.find_landed", SimpleNamespace(handle={**HANDLE, "kind": "recordings"}))
    record("source.landed.LandedArchive")
    record("tasks.landed.open_folder", ("a store", "a folder"))
    record("tasks.checkpoint_mirror.open_store", SimpleNamespace(keep=lambda *_: None, close=lambda: None))
    record("sinks.postgres.snapshots.SnapshotSink", sink)  # before the class that it is derived from
    for name in (
        "postgres.sink.PostgresSink",
        "s3.S3Sink",
        "azure_blob.AzureBlobSink",
        "gcs.GCSSink",
        "sqs.sink.SqsSink",
    ):
        record(f"sinks.{name}", sink)
    record("stores.gcs.GCSStore", lambda bucket, **_: bucket)
    record("stores.s3.S3Store", lambda client, bucket, **_: (client, bucket))
    record("stores.azure_blob.AzureStore", lambda container, **_: container)
    record("media.open.open_media", (SimpleNamespace(read=None, close=lambda: None), 1))
    record("entities.walk.ListingWalk", SimpleNamespace(pages=lambda export_id: export_id))
    record("sinks.objects.manifest.point_to", result=True)
    record("transfers.loader.reconciled", lambda certificate, **_: certificate)
    record("media.query.QueryIndex")
    record("media.index.of_retention")
    record("transfers.genesys_media_to_s3.s3_media")
    record("transfers.genesys_media_to_azure_blob.azure_media")
    record("transfers.genesys_media_to_gcs.gcs_media")
    for room in ("transfers.genesys_to_gcs", "transfers.genesys_media_to_gcs"):
        patch.setattr(f"{PACKAGE}.{room}.gcs_bucket", lambda *given: given)
    for room in ("transfers.genesys_to_postgres", "transfers.media"):
        patch.setattr(f"{PACKAGE}.{room}.connect", lambda conn_id: f"connection {conn_id}")
    for room in (
        "transfers.genesys_to_s3",
        "transfers.genesys_media_to_s3",
        "transfers.genesys_to_sqs",
    ):
        patch.setattr(f"{PACKAGE}.{room}.client", lambda *given: given)
    for room in ("transfers.genesys_to_azure_blob", "transfers.genesys_media_to_azure_blob"):
        patch.setattr(f"{PACKAGE}.{room}.azure_container", lambda *given: given)
    patch.setattr(f"{PACKAGE}.transfers.genesys_to_sqs.open_store", lambda conn_id, *, table: (conn_id, table))
    patch.setattr(reports, "_collector", lambda: seen.collector)
    counted = SimpleNamespace(incr=lambda name, *_, **__: seen.counted.append(name))
    counted.timing = counted.gauge = counted.incr
    patch.setattr(reports, "stats", counted)

    def sleep(seconds: float) -> None:
        raise SleptError(seconds)

    for room in ("transfers.base", "operators.finish_loads"):
        patch.setattr(f"{PACKAGE}.{room}.time", SimpleNamespace(sleep=sleep))


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)
