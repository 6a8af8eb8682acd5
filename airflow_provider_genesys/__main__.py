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
    # PostgreSQL's client would try for 130 s.
    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    try:
        from airflow_provider_genesys.commands.app import main
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - Airflow reads its settings when it is imported, and they may be wrong
        sys.stderr.write(
            f"Airflow does not start: {type(error).__name__}: {error}. Correct its settings, in airflow.cfg or in the "
            "variables AIRFLOW__..., until `airflow config list` works.\n"
        )
        sys.exit(1)
    sys.exit(main())


if __name__ == "__main__":
    run()
