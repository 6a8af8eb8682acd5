"""Finish loads that earlier runs began and gave up: those in a sink's ledger that are not complete."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import Context

from airflow_provider_genesys.exceptions import (
    CheckpointError,
    ExportGoneError,
    ExportTimeoutError,
    GenesysError,
    NotFoundError,
    SourceChangedError,
)
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.rendered import INCLUDE, json_mapping, text, text_or_none, words
from airflow_provider_genesys.times import iso_time, now
from airflow_provider_genesys.transfers.genesys_to_azure_blob import AzureBlobLoader
from airflow_provider_genesys.transfers.genesys_to_gcs import GCSLoader
from airflow_provider_genesys.transfers.genesys_to_postgres import PostgresLoader
from airflow_provider_genesys.transfers.genesys_to_s3 import S3Loader
from airflow_provider_genesys.transfers.loader import ExportLoader
from airflow_provider_genesys.transfers.object_store import ObjectStoreLoader

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.exports.base import ExportStatus
    from airflow_provider_genesys.pipeline.load import LoadFacts

FAILED = {"failed", "upstream_failed", "removed"}
ENDED = {*FAILED, "success", "skipped"}


class GenesysFinishLoadsOperator(ExportLoader):
    """Finish the loads that the sink's ledger has as begun and whose tasks have failed for good.

    A load continues from its checkpoint while its export is alive. If the export is gone, a new export of the same
    window is created, and the load begins again when that has ended. Meanwhile the task waits without a worker.

    Only loads of this operator's kind, contract and filters are finished. A load is left alone if its task runs, waits
    or will be tried again, if a person marked it as a success, or if this Airflow does not know it.

    XCom ``return_value`` is a list with the certificate's summary of each finished load. If a load fails, or its ledger
    cannot be read, the others are still finished; then the task fails with the first error.

    For the other parameters see the loading operator of the sink; its settings have to be the same.

    :param include: for a new export, as for :class:`.export.GenesysCreateExportOperator`. (templated)
    :param file_format: of a new export, likewise. (templated)
    :param options: of a new export, likewise. (templated)
    :param poll_interval: seconds between two looks at exports that are not ready.
    :param timeout: seconds (or timedelta) that a new export may take.
    """

    template_fields: Sequence[str] = (
        *ExportLoader.template_fields,
        "include",
        "file_format",
        "options",
    )

    def __init__(
        self,
        *,
        include: Sequence[str] = INCLUDE,
        file_format: str = "ndjson",
        options: dict[str, Any] | None = None,
        poll_interval: float = 60,
        timeout: float | timedelta = timedelta(days=1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.include = include
        self.file_format = file_format
        self.options = options
        self.poll_interval = poll_interval
        self.timeout = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout

    @abstractmethod
    def unfinished_loads(self) -> Sequence[LoadFacts | CheckpointError]:
        """Return the loads that the sink's ledger has as begun; an error in place of each that cannot be read."""

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Finish them all, and return the summaries of their certificates."""
        return self._finish_all(context, [])

    def resume(
        self,
        context: Context,
        event: Any = None,  # noqa: ARG002 - of a timer, says nothing
        finished: list[dict[str, Any]] | None = None,
        **_: Any,
    ) -> list[dict[str, Any]]:
        """Continue after the wait for an export; the ledger says for which."""
        return self._finish_all(context, finished or [])

    def _finish_all(self, context: Context, finished: list[dict[str, Any]]) -> list[dict[str, Any]]:
        while True:
            with self.hook:
                with failing_fast():
                    found = self.unfinished_loads()
                    unread = [error for error in found if isinstance(error, CheckpointError)]
                    loads = [load for load in found if not isinstance(load, CheckpointError)]
                    given_up = list(self._given_up(loads, context))
                outcomes = [*unread, *(self._outcome(load, context) for load in given_up)]
            finished += [outcome for outcome in outcomes if isinstance(outcome, dict)]
            if None not in outcomes:
                break
            self._wait(context, finished)
        for unreadable in unread:
            self.log.warning("%s", unreadable)
        errors = [outcome for outcome in outcomes if isinstance(outcome, GenesysError)]
        with failing_fast():
            for error in sorted(errors, key=lambda error: not error.retryable):
                raise error
        return finished

    def _outcome(self, load: LoadFacts, context: Context) -> dict[str, Any] | GenesysError | None:
        """Return the certificate's summary; None while the export is not ready; or the error of a failed load."""
        try:
            return self._finish(load, context)
        except GenesysError as error:
            self.log.warning("Load %s of export %s: %s", shown(load.load_id), shown(load.export_id), error)
            return error

    def _given_up(self, loads: Sequence[LoadFacts], context: Context) -> Iterator[LoadFacts]:
        """Yield the loads that this operator has to finish."""
        kind = text(self.kind, "kind")
        for load in loads:
            if load.kind != kind or self.load_of(_handle(load), context).load_id != load.load_id:
                self.log.info("Load %s is left alone: it is of another kind, contract or filter.", shown(load.load_id))
            elif not _has_failed(load.run_id, context):
                self.log.info(
                    "Load %s is left alone: its task %s has not failed, or is not known here.",
                    shown(load.load_id),
                    shown(load.run_id),
                )
            else:
                yield load

    def _finish(self, load: LoadFacts, context: Context) -> dict[str, Any] | None:
        status = self._alive(load)
        if status is None:
            self._create_again(load, context)
        if status is None or not status.state.terminal:
            return None
        handle = self.hook.make_handle(status, window_start=load.window_start, window_end=load.window_end)
        handle["submitted_at"] = iso_time(load.submitted_at) or handle["submitted_at"]
        try:
            mirrored_at = text_or_none(self.checkpoint_mirror_conn_id, "checkpoint_mirror_conn_id")
            with CheckpointMirror(context, mirrored_at) as mirror:
                return self.load_export(context, mirror, handle, restart=False)
        except (ExportGoneError, SourceChangedError) as error:
            self.log.warning("%s", error)
            self._create_again(load, context)
            return None

    def _alive(self, load: LoadFacts) -> ExportStatus | None:
        """Return the state of the load's export; None if it is lost."""
        try:
            status = self.hook.get_export(load.export_id, load.kind)
        except (NotFoundError, ExportGoneError):
            return None
        from airflow_provider_genesys.cloud.exports.base import Outcome, ended

        return None if ended(status) in (Outcome.GONE, Outcome.FAILED) else status

    def _create_again(self, load: LoadFacts, context: Context) -> None:
        """Create a new export of the window, and keep its id in the ledger for the next look and the next try."""
        from airflow_provider_genesys.cloud.exports.base import ExportRequest

        request = ExportRequest(
            load.window_start,
            load.window_end,
            json_mapping(self.filters, "filters"),
            words(self.include, "include", INCLUDE),
            text(self.file_format, "file_format"),
            json_mapping(self.options, "options"),
        )
        submitted_at = now().isoformat()
        export_id = self.hook.create_export(load.kind, request)
        lost = shown(load.export_id)
        self.log.warning("Export %s is lost; export %s of the same window was created.", lost, export_id)
        sink = self.make_sink()
        try:
            again = {**_handle(load), "export_id": export_id, "submitted_at": submitted_at}
            sink.open(self.load_of(again, context), restart=False)
        finally:
            sink.abort()

    def _wait(self, context: Context, finished: list[dict[str, Any]]) -> None:
        """Pause; deferred if possible."""
        if now() - context["ti"].start_date > timedelta(seconds=self.timeout):
            raise ExportTimeoutError(f"Exports were not ready after {self.timeout:.0f} s; the next run looks again.")
        if self.deferrable:
            pause = TimeDeltaTrigger(timedelta(seconds=self.poll_interval))
            self.defer(trigger=pause, method_name="resume", kwargs={"finished": finished})
        time.sleep(self.poll_interval)


class GenesysFinishPostgresLoadsOperator(GenesysFinishLoadsOperator, PostgresLoader):
    """Finish what :class:`.GenesysExportToPostgresOperator` has begun in earlier runs."""

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysFinishLoadsOperator.template_fields, *PostgresLoader.template_fields))
    )

    def unfinished_loads(self) -> list[LoadFacts]:
        """Return the loads that the ledger of the table has as begun."""
        from airflow_provider_genesys.sinks.postgres.ledger import unfinished_loads

        return unfinished_loads(self.connect, text(self.schema, "schema"), self.table_name())


class _FinishObjectLoads(GenesysFinishLoadsOperator, ObjectStoreLoader):
    def unfinished_loads(self) -> list[LoadFacts | CheckpointError]:
        """Return the loads that the ledgers below the prefix have as begun, and the errors of those not readable."""
        from airflow_provider_genesys.sinks.objects.ledger import unfinished_loads

        store, settings = self.reading()
        return unfinished_loads(store, settings.prefix, settings.fencing)


class GenesysFinishS3LoadsOperator(_FinishObjectLoads, S3Loader):
    """Finish what :class:`.GenesysExportToS3Operator` has begun in earlier runs; not with ``output_format="raw"``."""

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysFinishLoadsOperator.template_fields, *S3Loader.template_fields))
    )


class GenesysFinishAzureBlobLoadsOperator(_FinishObjectLoads, AzureBlobLoader):
    """Finish what :class:`.GenesysExportToAzureBlobOperator` has begun in earlier runs; not ``output_format="raw"``."""

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysFinishLoadsOperator.template_fields, *AzureBlobLoader.template_fields))
    )


class GenesysFinishGCSLoadsOperator(_FinishObjectLoads, GCSLoader):
    """Finish what :class:`.GenesysExportToGCSOperator` has begun in earlier runs; not with ``output_format="raw"``."""

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysFinishLoadsOperator.template_fields, *GCSLoader.template_fields))
    )


def _handle(load: LoadFacts) -> dict[str, Any]:
    facts = load.as_json()
    return {name: facts[name] for name in ("export_id", "kind", "window_start", "window_end", "submitted_at")}


def _has_failed(run_id: str, context: Context) -> bool:
    """Whether no task works on the load or will: its task has failed for good, or is this one.

    :param run_id: the load's, ``dag_id/run_id/task_id``.
    """
    ti = context["ti"]
    dag_id, _, task = run_id.partition("/")
    run, _, task_id = task.rpartition("/")
    if (dag_id, run, task_id) == (ti.dag_id, ti.run_id, ti.task_id):
        return True
    found = ti.get_task_states(dag_id=dag_id, task_ids=[task_id], run_ids=[run]).get(run, {})
    states = {str(getattr(state, "value", state)) for state in found.values()}
    return states <= ENDED and bool(states & FAILED)
