"""Moto's server, quicker: ``python -m airflow_provider_genesys.testing.services.moto``."""

from __future__ import annotations

import time

from moto import backends, server
from moto.sqs import models

# For each message that comes or goes, moto asks dozens of times for each message of the queue whether it is visible by
# now. Its clock subtracts two new datetimes each time.
vars(models).update(unix_time=time.time, unix_time_millis=lambda: time.time() * 1000)

# To learn which services there are, it lists its own folder twice for each request: a quarter of what one takes.
_services = list(backends.list_of_moto_modules())
vars(backends).update(list_of_moto_modules=lambda: _services)

if __name__ == "__main__":
    server.main()
