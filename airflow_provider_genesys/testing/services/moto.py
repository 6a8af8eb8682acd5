"""Moto's server, quicker with queues: ``python -m airflow_provider_genesys.testing.services.moto``."""

from __future__ import annotations

import time

from moto import server
from moto.sqs import models

# For each message that comes or goes, moto asks dozens of times for each message of the queue whether it is visible by
# now. Its clock subtracts two new datetimes each time.
vars(models).update(unix_time=time.time, unix_time_millis=lambda: time.time() * 1000)

if __name__ == "__main__":
    server.main()
