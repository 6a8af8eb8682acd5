"""The base of all operators that load one export into a sink."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import Context

from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    ForeignAnswerError,
    SourceUnavailableError,
    UrlExpiredError,
)
from airflow_provider_genesys.retries import pause
from airflow_provider_genesys.tasks import reports
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.failures import failing_fast, of_window
from airflow_provider_genesys.tasks.handle import read_handle, submission_of, upstream_of, window_of
from airflow_provider_genesys.tasks.landed import LandedArchives, landed_archives
from airflow_provider_genesys.tasks.recreate import Recreated, load_or_recreate
from airflow_provider_genesys.tasks.rendered import text_or_none
from airflow_provider_genesys.tasks.task_state import is_first_try
from airflow_provider_genesys.times import now
from airflow_provider_genesys.transfers.loader import ExportLoader


class GenesysExportTransferOperator(ExportLoader):
    """Load an export into a sink, from the last committed checkpoint to the end.

    A *retry* continues where the try before it stopped: the checkpoint is kept with the data. A *cleared* task loads
    from the beginning, unless ``on_clear="resume"``; the result is the same.

    XCom ``return_value`` is the certificate's summary. XCom ``checkpoint`` is kept current while the task runs, about
    every 5 seconds; on Airflow 3.3 the task's state store shows the same.

    :param handle: what the sensor returned, or the id of an export that has ended; or where its archive was landed with
        ``output_format="raw"``: what that task returned, or the location in it, ``s3://…``, ``az://…`` or ``gs://…``.
        (templated)
    :param kind: kind of the export, where ``handle`` is an id. (templated)
    :param window_start: start of the window, where the handle has none. (templated)
    :param window_end: end of the window, where the handle has none. (templated)
    :param submitted_at: when the export was requested; needed only if neither Genesys nor the task upstream that
        created it says so. If two exports hold the same record, the row of the later request wins. (templated)
    :param filters: the filters that the export was requested with, if any. Different filters make different loads of
        one window. (templated)
    :param contract: the contract that records are read with: the name of a built-in one, the path of a YAML file
        (relative to the DAG file's folder), or a :class:`~airflow_provider_genesys.contracts.contract.Contract`.
        Default: the built-in contract of the kind. A file is checked when the DAG is parsed. (templated)
    :param contract_modes: modes that replace the contract's own, by kind of difference (``unknown``, ``type``,
        ``missing``): ``evolve``, ``freeze``, ``discard_value`` or ``quarantine``. (templated)
    :param pii_key: where the key for hashing personal data is kept: ``variable:<key>`` or ``connection:<id>`` (its
        password). Default: as the contract says. (templated)
    :param drift_alias: name of the asset alias that an event is emitted through if records differ from the contract.
        The event's extra has the report. None for no event.
    :param shard: the part of the archive to load, one of those that GenesysPlanShardsOperator planned; None for all.
        (templated)
    :param batch_size: records in a batch, at most.
    :param flush_interval: seconds after which a batch goes to the sink even if it is not full.
    :param page_size: records in a page, for kinds whose result is pages; a page is held in memory, and costs a request.
    :param max_dead_letters: dead letters allowed before the load fails; None for any number. (templated)
    :param max_dead_letter_ratio: share of records that may be dead letters, 0 to 1; None for any share. (templated)
    :param dead_letter_raw: what is kept of a rejected record: ``encrypt`` (its bytes, encrypted with the connection's
        client secret), ``keep`` (in clear, without the values that the contract protects) or ``drop``.
    :param allow_empty: whether an export without records is a success.
    :param allow_unused_protected: whether a load is a success if no record has a value at a path that the contract
        hashes, masks or drops. By default it fails: the path may be wrong, and the value then lands in clear.
    :param expect_records: what to do if the export holds another number of records than Genesys reports: ``at_least``
        (fail if records or bytes are missing, warn if there are more), ``fail``, ``warn`` in the log, or ``ignore``.
        The certificate holds both numbers.
    :param reconcile: for conversation details, what to do if the sink and Genesys' aggregates count differently:
        ``fail``, ``warn`` in the log, or ``off`` for no comparison. See ``docs/completeness.md``. (templated)
    :param on_clear: ``restart`` or ``resume``.
    :param deferrable: while the archive cannot be reached, and while an export that had to be created again runs,
        pause in the triggerer rather than in a worker.
        Default: ``[operators] default_deferrable`` of airflow.cfg.
    :param max_outage: seconds (or timedelta) without a new commit after which an unreachable archive fails the try.
        Until then the task waits and continues in the same try.
    :param max_memory_mb: memory in MB (10**6 bytes) that the task's process may hold, Airflow included; a load that
        needs more fails with an explanation before the system kills it. Default: no limit.
    :param processes: processes that read and pack the records for an object store; 1 for the task's process alone,
        ``auto`` for as many as its container's quota gives cores. The result is the same. Without effect where a sink
        or separate files of children need the rows themselves. See ``docs/performance.md``.
    :param genesys_conn_id: the Genesys connection. (templated)
    :param source_conn_id: the connection to the store of a landed archive; default: ``aws_default`` for ``s3://…``,
        ``wasb_default`` for ``az://…``, ``google_cloud_default`` for ``gs://…``. (templated)
    :param source_prefix: URL of the folder below which landed archives may be read. Default: the text of ``handle`` in
        the DAG up to its first template, and the folders that tasks upstream land archives in.
    :param checkpoint_mirror_conn_id: a connection to Redis or DynamoDB, where the checkpoint is written as in XCom, for
        people to see. No try continues from it. (templated)
    """

    template_fields: Sequence[str] = ("handle", "submitted_at", *ExportLoader.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"handle": "json", **ExportLoader.template_fields_renderers}
    outage_pause: ClassVar[tuple[float, float]] = (30.0, 600.0)
    """Seconds of the shortest and the longest pause in an outage."""

    def __init__(
        self,
        *,
        handle: dict[str, Any] | str,
        submitted_at: datetime | str | None = None,
        source_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.handle = handle
        self.submitted_at = submitted_at
        self.source_prefix = source_prefix
        self._handle_in_dag = handle if isinstance(handle, str) else None

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the export and return the certificate's summary."""
        restart = self.on_clear == "restart" and is_first_try(context, self.retries or 0)
        began = Outage(context["ti"].start_date)
        return self._load_through_outages(context, began, self._recreated(context), restart=restart)

    def resume(
        self,
        context: Context,
        event: Any = None,
        began: str | None = None,
        newest: dict[str, Any] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Go on after a pause, from the checkpoint that the sink holds.

        :param event: a dict, of the export that was created again; anything else, of an outage's timer.
        :param began: when the outage began, ISO 8601.
        :param newest: the export that was created again, if one was.
        """
        waited = event if isinstance(event, dict) else None
        # dag.test() of Airflow 3.3 drops ``began``. Then the try's start is used: it is before the outage, so
        # max_outage holds.
        began_at = datetime.fromisoformat(began) if began else context["ti"].start_date
        outage = Outage(now() if waited else began_at)
        recreated = self._recreated(context, newest, waited)
        return self._load_through_outages(context, outage, recreated, restart=False)

    def _recreated(
        self, context: Context, newest: dict[str, Any] | None = None, event: dict[str, Any] | None = None
    ) -> Recreated:
        defer = partial(self.defer, method_name="resume") if self.deferrable else None
        return Recreated(context, self.hook, upstream_of(self), newest, event, defer)

    def _load_through_outages(
        self, context: Context, outage: Outage, recreated: Recreated, *, restart: bool
    ) -> dict[str, Any]:
        """Load. While the source cannot be reached, pause (deferred, if possible) and continue in the same try."""
        while True:
            with failing_fast():
                mirrored_at = text_or_none(self.checkpoint_mirror_conn_id, "checkpoint_mirror_conn_id")
            mirror = CheckpointMirror(context, mirrored_at)
            try:
                with failing_fast(), mirror, self.hook:
                    handle = self.find_handle(context)
                    load = partial(self.load_export, context, mirror, restart=restart)
                    with of_window(handle["window_start"], handle["window_end"]):
                        return load_or_recreate(handle, load, recreated)
            except ForeignAnswerError:
                raise  # waiting does not help
            except (SourceUnavailableError, UrlExpiredError, CloudUnavailableError) as error:
                outage = outage.after(mirror.committed_at)
                if outage.seconds > self.max_outage:
                    raise
                reports.paused(reports.tags_of(context))
                self.log.warning("%s", error)
            seconds = outage.pause(*self.outage_pause)
            self.log.warning("The outage has lasted %.0f s so far; trying again in %.0f s.", outage.seconds, seconds)
            if self.deferrable:
                self.defer(
                    trigger=TimeDeltaTrigger(timedelta(seconds=seconds)),
                    method_name="resume",
                    kwargs={"began": outage.began.isoformat(), "newest": recreated.newest},
                )
            time.sleep(seconds)
            restart = False

    @property
    def landed(self) -> LandedArchives:
        """The landed archives that may be read."""
        named = (self.source_prefix, self._handle_in_dag)
        return landed_archives(self, named, text_or_none(self.source_conn_id, "source_conn_id"), upstream_of(self))

    def find_handle(self, context: Context) -> dict[str, Any]:
        """Return the handle of the export to load, with its window and, if known, the time of its request."""
        handle = read_handle(self.handle, self.kind, self.hook, self.landed)
        window = window_of(handle, self.window_start, self.window_end)
        return {
            **handle,
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "submitted_at": submission_of(handle, self.submitted_at, upstream_of(self), context),
        }


@dataclass(frozen=True)
class Outage:
    """A time without progress.

    :param began: time of the last known progress, aware.
    """

    began: datetime

    def after(self, committed_at: str | None) -> Outage:
        """Return the outage since the newest checkpoint, committed at ``committed_at`` (ISO 8601)."""
        return self if committed_at is None else Outage(max(self.began, datetime.fromisoformat(committed_at)))

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return (now() - self.began).total_seconds()

    def pause(self, least: float, most: float) -> float:
        """Return the seconds to pause: half of what the outage has lasted or more, within bounds, with jitter."""
        # How often was tried is lost over a pause; what that would have taken is not.
        return pause(int(math.log2(max(self.seconds / least, 1))), least, most)
