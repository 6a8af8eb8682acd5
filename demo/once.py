"""``./run demo``: a daily DAG through real Airflow into PostgreSQL and S3, once, and its account checked."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from airflow_provider_genesys.times import now
from demo.dailies import DAILIES, RECORDINGS
from demo.daily import Daily, Report
from demo.day import AirflowFailedError, prepare, run_day
from demo.embedded import Embedded, embedded
from demo.standalone import ApiServer


def main() -> int:
    """Run the demo; return 0 only if the account closes and the sinks agree with it."""
    chosen = _arguments()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    daily = DAILIES[chosen.dag]
    number = chosen.records or daily.number
    settings = daily.settings if chosen.broken is None else {**daily.settings, "broken": chosen.broken}
    say("starting a fake Genesys Cloud, PostgreSQL and an S3 server")
    with embedded(**{**settings, daily.counted: number}) as services:
        try:
            report = _run(services, daily, number, say)
        except AirflowFailedError as error:
            print(error, file=sys.stderr)
            return 1
        say("done")
        report.show()
        problems = list(report.problems(number))
        for problem in problems:
            print(f"\n  PROBLEM: {problem}", file=sys.stderr)
        if not problems:
            print(f"\n  The account closes, and the sinks agree with it. {time.monotonic() - began:.0f} s in all.")
        _open_page(services, stay=chosen.ui)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__)
    parser.add_argument("--dag", choices=DAILIES, default=RECORDINGS.dag_id, help="a daily DAG of dags/")
    parser.add_argument("--records", type=int, help="how much one export has (default: as suits the DAG)")
    parser.add_argument("--broken", type=float, help="share of broken recordings (default: 0.0005)")
    parser.add_argument(
        "--ui",
        action=argparse.BooleanOptionalAction,
        default=sys.stdin.isatty() and sys.stdout.isatty(),
        help="show the load in Airflow's UI at the end, until Ctrl-C (default: on a terminal)",
    )
    return parser.parse_args()


def _run(services: Embedded, daily: Daily, number: int, say: Callable[[str], None]) -> Report:
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    say(f"Genesys {services.genesys.url}  PostgreSQL {services.postgres.port}  S3 {services.s3.endpoint_url}")
    say("preparing Airflow")
    prepare(services)
    say(f"running the DAG {daily.dag_id} as at {midnight.date()}")
    run_day(services, daily.dag_id, midnight, daily.conf, say)
    if daily.again is not None:
        setattr(services.genesys, daily.counted, int(number * daily.again))
        say("loading the same day again: Genesys has another number of records by now")
        run_day(services, daily.dag_id, midnight + timedelta(hours=1), daily.conf, say)
    return daily.collect(services)


def _open_page(services: Embedded, *, stay: bool) -> None:
    """End with the line that opens the page of all loads; serve it until Ctrl-C if a person is there to look."""
    if not stay:
        print("\n  To see this load in Airflow's UI: ./run demo --ui")
        return
    print("\n  Starting Airflow's UI (some seconds) ...", flush=True)
    with ApiServer(services) as airflow, suppress(KeyboardInterrupt):
        airflow.wait()
        print(f"  Open  {airflow.url}/plugin/genesys-loads  to see the page Genesys loads. Ctrl-C ends it.", flush=True)
        signal.pause()
