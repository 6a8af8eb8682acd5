"""``./run demo``: a daily DAG through real Airflow into PostgreSQL and S3, once, and its account checked."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone

from demo.dailies import DAILIES, RECORDINGS
from demo.daily import Daily, Report
from demo.day import AirflowFailedError, prepare, run_day
from demo.embedded import embedded


def main() -> int:
    """Run the demo; return 0 only if the account closes and the sinks agree with it."""
    chosen = _arguments()
    daily = DAILIES[chosen.dag]
    number = chosen.records or daily.number
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    try:
        report = _run(daily, number, {} if chosen.broken is None else {"broken": chosen.broken}, say)
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
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__)
    parser.add_argument("--dag", choices=DAILIES, default=RECORDINGS.dag_id, help="a daily DAG of dags/")
    parser.add_argument("--records", type=int, help="how much one export has (default: as suits the DAG)")
    parser.add_argument("--broken", type=float, help="share of broken recordings (default: 0.0005)")
    return parser.parse_args()


def _run(daily: Daily, number: int, settings: dict[str, float], say: Callable[[str], None]) -> Report:
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    say("starting a fake Genesys Cloud, PostgreSQL and an S3 server")
    with embedded(**{**daily.settings, **settings, daily.counted: number}) as services:
        say(f"Genesys {services.genesys.url}  PostgreSQL {services.postgres.port}  S3 {services.s3.endpoint_url}")
        say("preparing Airflow")
        prepare(services)
        say(f"running the DAG {daily.dag_id} as at {midnight.date()}")
        run_day(services, daily.dag_id, midnight, daily.conf, say)
        return daily.collect(services)


if __name__ == "__main__":
    sys.exit(main())
