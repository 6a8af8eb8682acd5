"""``python -m airflow_provider_genesys``: the same as ``airflow-genesys``."""

from __future__ import annotations

import sys

from airflow_provider_genesys.commands.app import main

if __name__ == "__main__":
    sys.exit(main())
