"""How long a command tries to reach a service, and what it says meanwhile: somebody sits before it and waits."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from airflow_provider_genesys import retries
from airflow_provider_genesys.outside import printable

PATIENCE = 15.0
"""Seconds after which Genesys Cloud is not asked again."""
RETRIES = 1
"""How often a request to an object store is sent again."""
LONGEST = 30
"""Seconds for which a command tries to reach any service. A try to connect takes 10 s, to PostgreSQL as well: see
``__main__``."""
QUIET = 2.0
"""Seconds before a command says that it waits."""


@contextmanager
def waiting_for(whom: str) -> Iterator[None]:
    """If what is done within takes longer than :data:`QUIET`, say on standard error for whom the command waits."""
    line = f"Waiting for {printable(whom)}. If it cannot be reached, the command ends within {LONGEST} s.\n"
    timer = Timer(QUIET, sys.stderr.write, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def retries_shown() -> Iterator[None]:
    """Show on standard error that a request failed, and when it is sent again."""
    shown = logging.StreamHandler(sys.stderr)
    logs = [logging.getLogger(name) for name in (retries.__name__, "airflow_provider_genesys.cloud.http.client")]
    for log in logs:
        log.addHandler(shown)
        log.setLevel(logging.WARNING)
        log.propagate = False  # Airflow's log goes to standard output
    try:
        yield
    finally:
        for log in logs:
            log.removeHandler(shown)
            log.setLevel(logging.NOTSET)
            log.propagate = True
