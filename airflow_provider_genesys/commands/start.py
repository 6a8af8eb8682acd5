"""Where the command line begins: before Airflow is imported, since it reads its settings then."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Do what the command line says, and exit."""
    # Airflow logs to standard output, where what is asked for has to be alone.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    from airflow_provider_genesys.commands.app import main

    sys.exit(main())
