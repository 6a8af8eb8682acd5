"""``./run demo``: export a day of recordings through real Airflow into PostgreSQL and S3, and check the account."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timedelta, timezone

from demo.day import AirflowFailedError, prepare, run_day
from demo.embedded import embedded
from demo.report import collect, show

DAG_ID = "genesys_recordings_daily"


def main() -> int:
    """Run the demo; return 0 only if the account closes and both sinks agree with it."""
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__)
    parser.add_argument("--records", type=int, default=60_000, help="recordings in the day (default: 60000)")
    parser.add_argument("--broken", type=float, default=0.0005, help="share of broken records (default: 0.0005)")
    chosen = parser.parse_args()
    began = time.monotonic()
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    say("starting a fake Genesys Cloud, PostgreSQL and an S3 server")
    with embedded(records=chosen.records, broken=chosen.broken) as services:
        say(f"Genesys {services.genesys.url}  PostgreSQL {services.postgres.port}  S3 {services.s3.endpoint_url}")
        say("preparing Airflow")
        try:
            prepare(services)
            say(f"running the DAG {DAG_ID} for {(midnight - timedelta(days=1)).date()}")
            run_day(services, DAG_ID, midnight, say)
            report = collect(services)
        except AirflowFailedError as error:
            print(error, file=sys.stderr)
            return 1
        say("done")
        show(report)
        problems = list(report.problems(chosen.records))
    for problem in problems:
        print(f"\n  PROBLEM: {problem}", file=sys.stderr)
    if not problems:
        print(f"\n  The account closes, and PostgreSQL and S3 agree with it. {time.monotonic() - began:.0f} s in all.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
