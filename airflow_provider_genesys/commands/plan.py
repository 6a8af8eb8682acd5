"""``plan``: estimates the cost of a backfill of whole days."""

from __future__ import annotations

from typing import Annotated

import typer

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.pieces import BY_START_DAY
from airflow_provider_genesys.commands.output import say
from airflow_provider_genesys.commands.patience import PATIENCE, waiting_for
from airflow_provider_genesys.exceptions import WindowError
from airflow_provider_genesys.window import read_moment, read_window


def plan(
    window_start: Annotated[str, typer.Argument(help="First day, e.g. 2026-01-01 (UTC).")],
    window_end: Annotated[str, typer.Argument(help="The day after the last one.")],
    kind: Annotated[str, typer.Option(help="What is exported.")] = "conversation_details",
    sample_day: Annotated[str | None, typer.Option(help="The day that is sampled. [default: the last]")] = None,
    page_size: Annotated[int, typer.Option(help="Records in a page.", min=1)] = 500,
    conn_id: Annotated[str, typer.Option(help="The Genesys connection.")] = "genesys_default",
) -> None:
    """Estimate the cost of a backfill of whole days: requests, minutes, bytes, rows.

    Example: airflow-genesys plan 2026-01-01 2026-04-01
    """
    from airflow_provider_genesys.backfill.plan import make_plan
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    window = read_window("the command's arguments", window_start, window_end)
    if window is None:
        raise WindowError("The command's arguments name no window.")
    with GenesysCloudHook(conn_id, patience=PATIENCE) as hook, waiting_for(hook.config.api_url):
        options = {BY_START_DAY: True} if kind == "conversation_details" else {}
        made = make_plan(
            hook.get_conn(),
            kind,
            ExportRequest(window.start, window.end, options=options),
            sample_day=read_moment("--sample-day", sample_day) if sample_day else None,
            page_size=page_size,
        )
    for line in made.lines():
        say(line)
