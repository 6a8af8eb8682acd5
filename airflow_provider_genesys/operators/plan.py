"""Estimates the cost of a backfill before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.tasks.connection import UsesGenesys
from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.rendered import json_mapping, text
from airflow_provider_genesys.window import absent, read_moment, resolve_window


class GenesysPlanBackfillOperator(UsesGenesys, BaseOperator):
    """Export one sample day, and estimate from it and Genesys' aggregates what the days of a window will cost.

    For conversation and user details. XCom ``return_value`` is {kind, window_start, window_end, days, records, pages,
    comparisons, requests, minutes, bytes, rows: {table: number}, sampled_day, sampled_records, counted_by,
    available_until}, all but ``days`` estimates. The sampled day's export costs more requests.

    :param kind: what is to be exported. (templated)
    :param window_start: first moment of the backfill, which covers whole UTC days. Default: as for
        :class:`~airflow_provider_genesys.operators.export.GenesysCreateExportOperator`. (templated)
    :param window_end: first moment after it. (templated)
    :param sample_day: any moment of the UTC day to sample. Default: the window's last day. (templated)
    :param filters: as for the export. (templated)
    :param options: as for the export. (templated)
    :param page_size: records per page, as for the loading operator.
    :param timeout: seconds that the sampled day's export may take.
    :param poll_interval: seconds before the first poll of the sampled day's export; later pauses double, with jitter.
    :param genesys_conn_id: the Genesys connection. (templated)
    """

    template_fields: Sequence[str] = (
        "kind",
        "window_start",
        "window_end",
        "sample_day",
        "filters",
        "options",
        "genesys_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json", "options": "json"}
    ui_color = "#f3ecff"

    def __init__(
        self,
        *,
        kind: str = "conversation_details",
        window_start: datetime | str | None = None,
        window_end: datetime | str | None = None,
        sample_day: datetime | str | None = None,
        filters: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        page_size: int = 500,
        timeout: float = 3600,
        poll_interval: float = 5,
        genesys_conn_id: str = "genesys_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.window_start = window_start
        self.window_end = window_end
        self.sample_day = sample_day
        self.filters = filters
        self.options = options
        self.page_size = page_size
        self.timeout = timeout
        self.poll_interval = poll_interval
        self.genesys_conn_id = genesys_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the plan and return it."""
        from airflow_provider_genesys.backfill.plan import make_plan

        with failing_fast(), self.hook:
            window = resolve_window(self.window_start, self.window_end, context)
            filters, options = json_mapping(self.filters, "filters"), json_mapping(self.options, "options")
            request = ExportRequest(window.start, window.end, filters, options=options)
            plan = make_plan(
                self.hook.get_conn(),
                text(self.kind, "kind"),
                request,
                sample_day=None if absent(self.sample_day) else read_moment("sample_day", self.sample_day),
                page_size=self.page_size,
                timeout=self.timeout,
                poll_interval=self.poll_interval,
            )
        for line in plan.lines():
            self.log.info("%s", line)
        return plan.as_json()
