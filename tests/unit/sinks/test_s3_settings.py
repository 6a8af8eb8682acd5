from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.objects.ndjson import BLOCK
from airflow_provider_genesys.sinks.s3 import S3Sink


def no_client() -> Any:
    raise AssertionError("nothing touches the network before open")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"output_format": "csv"}, "output_format is 'csv'; it has to be one of: ndjson.gz, ndjson"),
        ({"fencing": "maybe"}, "fencing"),
        ({"dead_letter_raw": "hide"}, "dead_letter_raw"),
        ({"dead_letter_raw": "encrypt"}, "needs the function that encrypts"),
        ({"part_size": 0}, "part_size"),
        ({"part_size": 17 * 1024**3}, "part_size"),
        ({"retries": -1}, "retries"),
        ({"prefix": "a/../b"}, "prefix"),
        ({"partition_format": "%Y/%m"}, "partition_format is '%Y/%m' and makes '2026/11'; each step has to be a name"),
        ({"partition_format": ""}, "partition_format"),
        ({"partition_format": "dt=%Y/"}, "partition_format"),
        ({"partition_format": "_dt=%Y"}, "partition_format"),
        ({"partition_format": "dt=%%"}, "partition_format"),
        ({"extra_args": {"Key": "x"}}, "extra_args has Key; it may have ACL"),
        ({"extra_args": {"SSECustomerKey": "x"}}, "extra_args has SSECustomerKey"),
        ({"extra_args": {"StorageClass": "DEEP_ARCHIVE"}}, "lifecycle rule"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_at_once(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigurationError, match=error):
        S3Sink(no_client, "lake", **{"prefix": "raw", "dead_letter_raw": "drop", **settings})


@pytest.mark.parametrize(
    ("settings", "align_every"),
    [
        ({}, BLOCK),
        ({"part_size": 8 * BLOCK}, BLOCK),
        ({"part_size": 8 * BLOCK + 1}, 8 * BLOCK + 1),
        ({"output_format": "ndjson", "part_size": 8 * BLOCK}, 8 * BLOCK),
    ],
)
def test_slices_end_where_members_do_if_parts_end_there_too(settings: dict[str, Any], align_every: int) -> None:
    assert S3Sink(no_client, "lake", "raw", dead_letter_raw="drop", **settings).align_every == align_every


def test_nothing_is_asked_for_before_open() -> None:
    sink = S3Sink(no_client, "lake", "raw", part_size=1000, encrypt=bytes)

    assert sink.cut_every == 1000
    sink.abort()
