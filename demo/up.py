"""``./run up``: the embedded services with the Airflow UI, until Ctrl-C."""

from __future__ import annotations

import argparse
import time

from demo.interrupt import run

WORDS = """
Airflow     {url}   (no login is asked for)
Genesys     {genesys}   PostgreSQL  {dsn}
S3          {s3}   bucket {bucket}

Where to click
  once      {url}/dags/genesys_recordings_daily - switch the DAG on, top left
  trigger   Trigger, "Single Run": fill in a window, or leave the form as it is and give a logical date
  backfill  Trigger, "Backfill": the first and the last day; Reprocess Behavior "All Runs" loads them again
  watch     a loading task: XCom "checkpoint", or the tab Task State Store, while it runs

Ctrl-C stops everything and removes what it wrote.
"""


def main() -> int:
    """Run until Ctrl-C or SIGTERM."""
    from demo.embedded import BUCKET, embedded
    from demo.standalone import Standalone

    parser = argparse.ArgumentParser(prog="./run up", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="recordings in each day (default: 200000)")
    chosen = parser.parse_args()
    print("starting a fake Genesys Cloud, PostgreSQL, an S3 server and Airflow (about a minute)", flush=True)
    with embedded(records=chosen.records, broken=0.0005) as services, Standalone(services) as airflow:
        airflow.wait()
        places = {"genesys": services.genesys.url, "dsn": services.postgres.dsn, "s3": services.s3.endpoint_url}
        print(WORDS.format(url=airflow.url, bucket=BUCKET, **places), flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    run(main)
