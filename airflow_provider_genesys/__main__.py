"""``python -m airflow_provider_genesys``: what can be done without a DAG."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.pieces import BY_START_DAY
from airflow_provider_genesys.commands import entities, views
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.window import read_moment, read_window


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked; return 0, or 1 where it cannot be done."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except GenesysError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _plan(chosen: argparse.Namespace) -> int:
    """Print what a backfill of whole days will cost."""
    from airflow_provider_genesys.backfill.plan import make_plan
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    window = read_window("the command's arguments", chosen.window_start, chosen.window_end)
    assert window  # noqa: S101 - both are required
    with GenesysCloudHook(chosen.conn_id) as hook:
        options = {BY_START_DAY: True} if chosen.kind == "conversation_details" else {}
        plan = make_plan(
            hook.get_conn(),
            chosen.kind,
            ExportRequest(window.start, window.end, options=options),
            sample_day=read_moment("--sample-day", chosen.sample_day) if chosen.sample_day else None,
            page_size=chosen.page_size,
        )
    sys.stdout.writelines(f"{line}\n" for line in plan.lines())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_genesys", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    entities.add(verbs)
    views.add(verbs)
    plan = verbs.add_parser("plan", help="what a backfill will cost")
    plan.set_defaults(run=_plan)
    plan.add_argument("window_start", help="first day, e.g. 2026-01-01 (UTC)")
    plan.add_argument("window_end", help="the day after the last one")
    plan.add_argument("--kind", default="conversation_details", help="what is exported (default: conversation_details)")
    plan.add_argument("--sample-day", help="the day that is sampled (default: the window's last)")
    plan.add_argument("--page-size", type=int, default=500, help="records in a page (default: 500)")
    plan.add_argument("--conn-id", default="genesys_default", help="the Airflow connection (default: genesys_default)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
