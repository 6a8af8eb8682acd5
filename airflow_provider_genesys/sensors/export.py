"""Waits until an export at Genesys Cloud has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from airflow.configuration import conf
from airflow.sdk import BaseSensorOperator, Context

from airflow_provider_genesys.cloud.exports.base import ExportStatus
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    ExportFailedError,
    ExportGoneError,
    ExportTimeoutError,
)
from airflow_provider_genesys.links.genesys import GenesysExportLink
from airflow_provider_genesys.tasks.connection import UsesGenesys
from airflow_provider_genesys.tasks.failures import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    failing_fast,
    of_window,
)
from airflow_provider_genesys.tasks.handle import upstream_export, upstream_of
from airflow_provider_genesys.tasks.rendered import text
from airflow_provider_genesys.tasks.wait import DAY, Wait, wait_for_export
from airflow_provider_genesys.window import Window, absent, read_window

CREATE_AGAIN = "Clear the task that created it, with its downstream tasks, to export the window again."


class GenesysExportSensor(UsesGenesys, BaseSensorOperator):
    """Wait until an export has ended, and return where its result is.

    The first poll is at once. If the export has ended, the sensor returns. Otherwise it defers, or polls in the worker
    if not ``deferrable``. Polls have exponential backoff and jitter, and survive rate limits and outages of the API.

    XCom ``return_value`` is the handle: {export_id, kind, state, window_start, window_end, file_uri, expires_at, size,
    etag, records, submitted_at, request}. The signature in ``file_uri`` is encrypted;
    ``GenesysCloudHook.open_file_uri`` gives the URL in clear.

    An export that failed or expired fails the task at once, without a retry: it has to be created again.

    :param export_id: id of the export, e.g. ``create.output``. (templated)
    :param kind: the kind of export, as given to the operator that created it. (templated)
    :param window_start: start of the window, for the handle. Default: what Genesys, else XCom ``export`` of an upstream
        task says of this export. (templated)
    :param window_end: end of the window, given together with ``window_start``. (templated)
    :param poll_interval: seconds before the first poll after the first look; later pauses double, with jitter.
    :param max_poll_interval: the longest pause between two polls, in seconds.
    :param timeout: seconds (or timedelta) that the whole wait may last. On Airflow 3.3 and later it counts from the
        first try, before from the begin of each try. Not retried, and a skip with ``soft_fail``.
    :param deferrable: wait in the triggerer rather than in a worker.
        Default: ``[operators] default_deferrable`` of airflow.cfg.
    :param genesys_conn_id: the Genesys connection. (templated)
    """

    template_fields: Sequence[str] = ("export_id", "kind", "window_start", "window_end", "genesys_conn_id")
    operator_extra_links = (GenesysExportLink(),)
    ui_color = "#fff4e5"

    def __init__(
        self,
        *,
        export_id: str,
        kind: str = "recordings",
        window_start: datetime | str | None = None,
        window_end: datetime | str | None = None,
        poll_interval: float = 5,
        max_poll_interval: float = 60,
        timeout: float | timedelta = DAY,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        genesys_conn_id: str = "genesys_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poll_interval, timeout=timeout, **kwargs)
        if self.reschedule:
            raise ValueError("GenesysExportSensor has no mode='reschedule'. Use deferrable=True: it holds no worker.")
        self.export_id = export_id
        self.kind = kind
        self.window_start = window_start
        self.window_end = window_end
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.deferrable = deferrable
        self.genesys_conn_id = genesys_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait, and return the handle."""
        return self.resume(context)

    def resume(self, context: Context, event: dict[str, Any] | None = None, **_: Any) -> dict[str, Any]:
        """Continue after the trigger's ``event``, or begin without one. The state is asked again, not read from it."""
        with self._failing_softly(), failing_fast(), _with_advice(), self.hook:
            export_id, kind = self._id(), text(self.kind, "kind")
            export = upstream_export(upstream_of(self), context, export_id)
            GenesysExportLink.persist(context, self.hook.config.api_url)
            wait = Wait(self.poll_interval, self.max_poll_interval, self.timeout)
            defer = partial(self.defer, method_name="resume") if self.deferrable else None
            with of_window(*self._named_window(export)):
                status = wait_for_export(self.hook, kind, export_id, wait, context, event=event, defer=defer)
            window = self._window(status, export)
            start, end = (window.start, window.end) if window else (None, None)
            handle = self.hook.make_handle(status, window_start=start, window_end=end)
            noted = export or {}
            submitted_at = handle["submitted_at"] or noted.get("submitted_at")
            return {**handle, "submitted_at": submitted_at, "request": noted.get("request")}

    def _named_window(self, export: dict[str, Any] | None) -> tuple[Any, Any]:
        """Return the window for messages, as far as it is known before Genesys is asked."""
        given = (self.window_start, self.window_end)
        return (
            given
            if not absent(self.window_start) or export is None
            else (export.get("window_start"), export.get("window_end"))
        )

    def _id(self) -> str:
        if absent(self.export_id):
            raise ConfigurationError(
                "The sensor got no export_id. Did the task that creates the export run, and push its return value?"
            )
        return text(self.export_id, "export_id")

    def _window(self, status: ExportStatus, export: dict[str, Any] | None) -> Window | None:
        """Return the window: as given, as Genesys reports it, or as the task upstream that made the export says."""
        for source, start, end in (
            ("the sensor's arguments", self.window_start, self.window_end),
            ("the answer of Genesys", status.window_start, status.window_end),
            *(
                [("XCom 'export' of a task upstream", export.get("window_start"), export.get("window_end"))]
                if export
                else []
            ),
        ):
            if window := read_window(source, start, end):
                return window
        return None

    @contextmanager
    def _failing_softly(self) -> Iterator[None]:
        try:
            yield
        except (AirflowFailException, AirflowSensorTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from None
            raise


@contextmanager
def _with_advice() -> Iterator[None]:
    try:
        yield
    except (ExportFailedError, ExportGoneError) as error:
        raise AirflowFailException(f"{error} {CREATE_AGAIN}") from None
    except ExportTimeoutError as error:
        raise AirflowSensorTimeout(f"{error} Clear this task to wait on.") from None
