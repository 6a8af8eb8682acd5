"""The command line, ``airflow-genesys`` or ``python -m airflow_provider_genesys``, before Airflow is imported."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Run the command that the arguments name, and exit."""
    # Airflow reads its settings when it is imported. It logs to standard output, where only the answer may be.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    # As Airflow's own `airflow connections test` does: otherwise connections in the metadata database are not found.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_provider_genesys.commands.app import main

    sys.exit(main())


if __name__ == "__main__":
    run()
