"""Creates an export at Genesys Cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from airflow.configuration import conf
from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.cloud.exports.base import ExportRequest, Outcome, ended
from airflow_provider_genesys.exceptions import ExportFailedError, ExportGoneError, JobLimitError, NotFoundError
from airflow_provider_genesys.hooks.checkpoint_store import TABLE, open_store
from airflow_provider_genesys.links.genesys import GenesysExportLink
from airflow_provider_genesys.tasks.arguments import check_hash_keys
from airflow_provider_genesys.tasks.availability import LateData, wait_for_data
from airflow_provider_genesys.tasks.connection import UsesGenesys
from airflow_provider_genesys.tasks.failures import AirflowException, failing_fast, of_window
from airflow_provider_genesys.tasks.rendered import INCLUDE, json_mapping, text, text_or_none, words
from airflow_provider_genesys.tasks.task_state import KeptElsewhere, TaskState
from airflow_provider_genesys.tasks.wait import DAY, Defer, Wait, await_job_slot, wait_for_export
from airflow_provider_genesys.times import now
from airflow_provider_genesys.window import resolve_window


class GenesysCreateExportOperator(UsesGenesys, BaseOperator):
    """Ask Genesys Cloud for an export of one window, once.

    Creating is not repeatable, so the export's id is kept as soon as it is known: in the task's state store (Airflow
    3.3 and later), or in the checkpoint store of ``checkpoint_conn_id``. A *retry* adopts the export of an earlier try
    if it is still alive; a *clear* always creates a new one.

    XCom ``return_value`` is the export's id; XCom ``export`` is {export_id, kind, window_start, window_end,
    submitted_at, fingerprint, request: {filters, options}}, times in ISO 8601, UTC.

    :param kind: what to export, e.g. ``recordings`` (the archive). An unknown kind fails the task with a list of all
        kinds. (templated)
    :param window_start: first moment of the export: a datetime or ISO 8601 text, in UTC if it has no zone. Default: the
        run's conf or params ``window_start``, else the start of its data interval. (templated)
    :param window_end: first moment after the export; given together with ``window_start``. (templated)
    :param filters: further conditions, in the form of this kind's API. (templated)
    :param include: the parts of a recording that the archive holds. (templated)
    :param file_format: ``ndjson`` or ``json``. (templated)
    :param options: further settings of this kind of export. (templated)
    :param genesys_conn_id: the Genesys connection. (templated)
    :param checkpoint_conn_id: for an Airflow before 3.3: a connection to Redis (type ``redis``) or DynamoDB (type
        ``aws``) where the export's id is kept. Without it, a retry there creates a second export. (templated)
    :param checkpoint_table: the DynamoDB table. (templated)
    :param cancel_on_kill: cancel the export when Airflow ends the task in a worker. Off by default: Airflow also does
        that on eviction and timeout, and then the next try needs the export.
    :param wait_for_completion: also wait for the export to end. An export that fails or expires fails the try, and the
        next try creates it again; give the task ``retries``.
    :param deferrable: wait in the triggerer instead of a worker. Default: ``[operators] default_deferrable`` of
        airflow.cfg.
    :param late_data: what to do while Genesys lacks data of the window, for kinds that come from analytics: ``wait``
        for it, or ``load`` what there is; then the certificate says that it is incomplete.
    :param poll_interval: seconds before the first poll; later pauses double, with jitter.
    :param max_poll_interval: the longest pause between two polls, in seconds.
    :param timeout: seconds (or timedelta) that each wait (for the data, for the export) may last, over all retries.
    """

    template_fields: Sequence[str] = (
        "kind",
        "window_start",
        "window_end",
        "filters",
        "include",
        "file_format",
        "options",
        "genesys_conn_id",
        "checkpoint_conn_id",
        "checkpoint_table",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json", "options": "json"}
    operator_extra_links = (GenesysExportLink(),)
    ui_color = "#ffe9e0"

    def __init__(
        self,
        *,
        kind: str = "recordings",
        window_start: datetime | str | None = None,
        window_end: datetime | str | None = None,
        filters: dict[str, Any] | None = None,
        include: Sequence[str] = INCLUDE,
        file_format: str = "ndjson",
        options: dict[str, Any] | None = None,
        genesys_conn_id: str = "genesys_default",
        checkpoint_conn_id: str | None = None,
        checkpoint_table: str = TABLE,
        cancel_on_kill: bool = False,
        wait_for_completion: bool = False,
        late_data: LateData = "wait",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 5,
        max_poll_interval: float = 60,
        timeout: float | timedelta = DAY,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.window_start = window_start
        self.window_end = window_end
        self.filters = filters
        self.include = include
        self.file_format = file_format
        self.options = options
        self.genesys_conn_id = genesys_conn_id
        self.checkpoint_conn_id = checkpoint_conn_id
        self.checkpoint_table = checkpoint_table
        self.cancel_on_kill = cancel_on_kill
        self.wait_for_completion = wait_for_completion
        self.late_data = late_data
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.timeout = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self._export_id: str | None = None

    def execute(self, context: Context) -> str:
        """Create the export, or adopt that of an earlier try, and return its id."""
        return self.take_turn(context)

    def take_turn(self, context: Context, event: Any = None, began: str | None = None, **_: Any) -> str:  # noqa: ARG002 -- event: of a timer, says nothing
        """Do the same as :meth:`execute` after a wait for a free job slot; wait again if there is none.

        :param began: when that wait began. dag.test() of Airflow 3.3 drops it; then the try's start is used.
        """
        since = datetime.fromisoformat(began) if began else context["ti"].start_date or now()
        while True:
            try:
                return self._begin(context)
            except JobLimitError as error:
                await_job_slot(error, since, self._wait, self._defer("take_turn", began=since.isoformat()))

    def resume(self, context: Context, event: dict[str, Any] | None = None, **_: Any) -> str:
        """Continue after the event of the export's trigger; without an event, begin like :meth:`execute`."""
        export_id = event.get("export_id") if isinstance(event, dict) else None
        if not isinstance(export_id, str):
            return self.execute(context)
        with failing_fast(), self._one_try(context), self.hook:
            return self._finish(context, export_id, event)

    def _begin(self, context: Context) -> str:
        with failing_fast(), self._one_try(context) as state, self.hook:
            export = self._obtain(context, state)
            context["ti"].xcom_push(key="export", value=export)
            GenesysExportLink.persist(context, self.hook.config.api_url)
            return self._finish(context, export["export_id"])

    def on_kill(self) -> None:
        """Cancel the export, if there is one and ``cancel_on_kill`` is set."""
        if self.cancel_on_kill and self._export_id:
            with self.hook as hook:
                hook.cancel_export(self._export_id, self.kind)

    @property
    def _wait(self) -> Wait:
        return Wait(self.poll_interval, self.max_poll_interval, self.timeout)

    def _defer(self, method: str, **kwargs: Any) -> Defer | None:
        """Return the call that defers this task until ``method`` resumes it; None if it polls in the worker."""
        return partial(self.defer, method_name=method, kwargs=kwargs) if self.deferrable else None

    @contextmanager
    def _one_try(self, context: Context) -> Iterator[TaskState]:
        """Yield the state that all tries of this task share. How this try ends is noted in it."""
        with ExitStack() as stack:
            elsewhere = None
            conn_id = text_or_none(self.checkpoint_conn_id, "checkpoint_conn_id")
            if conn_id and context.get("task_state_store") is None:
                store = open_store(conn_id, table=text(self.checkpoint_table, "checkpoint_table"))
                elsewhere = KeptElsewhere(stack.enter_context(closing(store)), context)
            state = TaskState(context, "export", elsewhere)
            with state.one_try():
                yield state

    def _obtain(self, context: Context, state: TaskState) -> dict[str, Any]:
        self.kind = text(self.kind, "kind")
        window = resolve_window(self.window_start, self.window_end, context)
        if window.end > now():
            self.log.warning("The window %s is not over: later data will be missing from this export.", window)
        request = ExportRequest(
            window.start,
            window.end,
            json_mapping(self.filters, "filters"),
            words(self.include, "include", INCLUDE),
            text(self.file_format, "file_format"),
            json_mapping(self.options, "options"),
        )
        export = self._adopt(state.recall(), request.fingerprint(self.kind))
        if export is None:
            check_hash_keys(self, self.kind)
            late, defer = self.late_data, self._defer("resume")
            with of_window(window.start.isoformat(), window.end.isoformat()):
                wait_for_data(self.hook, self.kind, window.end, self._wait, context, late_data=late, defer=defer)
                export = self._create(request)
        # Keep the id at once: if the try ends between the two calls, the id is lost.
        state.keep(export)
        return export

    def _adopt(self, kept: dict[str, Any] | None, fingerprint: str) -> dict[str, Any] | None:
        """Return the export of an earlier try if it has the same request and is not lost."""
        if not kept or kept["fingerprint"] != fingerprint:
            return None
        try:
            status = self.hook.get_export(kept["export_id"], self.kind)
        except (NotFoundError, ExportGoneError):
            self.log.info("Export %s of an earlier try is gone.", kept["export_id"])
            return None
        if ended(status) in (Outcome.GONE, Outcome.FAILED):
            self.log.info("Export %s of an earlier try is %s.", kept["export_id"], status.raw_state)
            return None
        self.log.info("Adopting export %s, which an earlier try created.", kept["export_id"])
        return kept

    def _create(self, request: ExportRequest) -> dict[str, Any]:
        submitted_at = now()
        export_id = self.hook.create_export(self.kind, request)
        self.log.info("Created export %s.", export_id)
        return {
            "export_id": export_id,
            "kind": self.kind,
            "window_start": request.window_start.isoformat(),
            "window_end": request.window_end.isoformat(),
            "submitted_at": submitted_at.isoformat(),
            "fingerprint": request.fingerprint(self.kind),
            "request": {"filters": request.filters, "options": request.options},
        }

    def _finish(self, context: Context, export_id: str, event: dict[str, Any] | None = None) -> str:
        self._export_id = export_id
        if self.wait_for_completion:
            try:
                wait, defer = self._wait, self._defer("resume")
                window = resolve_window(self.window_start, self.window_end, context)
                with of_window(window.start.isoformat(), window.end.isoformat()):
                    wait_for_export(
                        self.hook, self.kind, export_id, wait, context, event=event, defer=defer, owned=True
                    )
            except (ExportFailedError, ExportGoneError) as error:
                raise AirflowException(f"{error} The next try of this task creates it again.") from None
        return export_id
