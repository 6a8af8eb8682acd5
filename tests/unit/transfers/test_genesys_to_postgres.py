"""Settings that PostgreSQL's operator refuses."""

from __future__ import annotations

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator


@pytest.mark.parametrize(
    "wrong",
    [
        {"write_mode": "replace"},
        {"publish": "now"},
        {"partition_by": "week"},
        {"table": ""},
        {"table": "public.recordings"},
    ],
)
def test_what_is_no_option_is_an_error_before_anything_is_reached(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        GenesysExportToPostgresOperator(**{"task_id": "load", "handle": "e", "table": "t", **wrong}).make_sink()
