"""What becomes of a load whose export holds another number of records than Genesys reports."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError, IncompleteError
from airflow_provider_genesys.pipeline.budget import Completeness


@pytest.mark.parametrize("read", [99, 101])
def test_a_difference_fails_where_that_is_asked(read: int) -> None:
    with pytest.raises(IncompleteError, match=r"export-1 holds .* that Genesys reports"):
        Completeness(100, "fail").check("export-1", read, 1)


@pytest.mark.parametrize("reported", [Completeness(100), Completeness(99, reported_bytes=5001)])
def test_missing_records_or_bytes_fail_by_default(reported: Completeness) -> None:
    with pytest.raises(IncompleteError, match=r"export-1 holds (99 of 100 records|5000 of 5001 bytes) that Genesys"):
        reported.check("export-1", 99, 5000)


@pytest.mark.parametrize("reported", [Completeness(100), Completeness(102, "warn"), Completeness(101, "warn", 9999)])
def test_a_difference_is_in_the_log(reported: Completeness, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        reported.check("export-1", 101, 5000)

    assert "that Genesys reports" in caplog.text


@pytest.mark.parametrize(
    "completeness", [Completeness(100, "fail"), Completeness(None, "fail"), Completeness(7, "ignore")]
)
def test_nothing_is_said_where_nothing_differs_or_is_told(
    completeness: Completeness, caplog: pytest.LogCaptureFixture
) -> None:
    completeness.check("export-1", 100, 5000)

    assert not caplog.text


def test_an_unknown_choice_is_refused() -> None:
    unknown: Any = "shrug"
    with pytest.raises(ConfigurationError, match="expect_records"):
        Completeness(1, unknown)
