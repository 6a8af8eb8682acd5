"""What becomes of a load whose export holds another number of records than Genesys tells."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError, IncompleteError
from airflow_provider_genesys.pipeline.completeness import Completeness


@pytest.mark.parametrize("read", [99, 101])
def test_a_difference_fails_where_that_is_asked(read: int) -> None:
    with pytest.raises(IncompleteError, match=f"export-1 holds {read} records, but Genesys reports 100"):
        Completeness(100, "fail").check("export-1", read)


def test_a_difference_is_in_the_log_by_default(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Completeness(100).check("export-1", 99)

    assert "Genesys reports 100" in caplog.text


@pytest.mark.parametrize(
    "completeness", [Completeness(100, "fail"), Completeness(None, "fail"), Completeness(7, "ignore")]
)
def test_nothing_is_said_where_nothing_differs_or_is_told(
    completeness: Completeness, caplog: pytest.LogCaptureFixture
) -> None:
    completeness.check("export-1", 100)

    assert not caplog.text


def test_an_unknown_choice_is_refused() -> None:
    unknown: Any = "shrug"
    with pytest.raises(ConfigurationError, match="expect_records"):
        Completeness(1, unknown)
