"""``python -m airflow_provider_genesys``: the same as ``airflow-genesys``."""

from __future__ import annotations

from airflow_provider_genesys.commands.start import run

if __name__ == "__main__":
    run()
