"""What the operator hands on to its sink."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator

OPTIONS = {
    "create_table": False,
    "create_schema": True,
    "write_mode": "replace_window",
    "publish": "atomic",
    "raw_column": True,
    "allow_raw_pii": True,
}


def make(**arguments: Any) -> dict[str, Any]:
    """Return the settings of the sink of an operator."""
    settings = {"task_id": "load", "handle": "e", "table": "t", "dead_letter_raw": "drop", **arguments}
    return vars(GenesysExportToPostgresOperator(**settings).make_sink())


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_reaches_the_sink(name: str) -> None:
    given, default = make(**{name: OPTIONS[name]}), make()
    assert given[f"_{name}"] == OPTIONS[name] != default[f"_{name}"]


def test_partitions_are_cut_as_the_operator_says() -> None:
    assert vars(make(partition_by="month")["_partitions"])["_by"] == "month"
    assert make()["_partitions"] is None


@pytest.mark.parametrize(
    "wrong", [{"write_mode": "replace"}, {"publish": "now"}, {"partition_by": "week"}, {"table": ""}]
)
def test_what_is_no_option_is_an_error_before_anything_is_reached(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        make(**wrong)
