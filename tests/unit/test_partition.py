"""The window of a run that has a partition, or that asset events have triggered."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import WindowError
from airflow_provider_genesys.window import Window, resolve_window
from tests.support.task_context import context

sdk = pytest.importorskip("airflow.sdk")
if not hasattr(sdk, "CronPartitionTimetable"):
    pytest.skip("partitions came with Airflow 3.2", allow_module_level=True)

from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult  # noqa: E402 - not before Airflow 3.2
from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor  # noqa: E402 - as above


def window(start: str, end: str) -> Window:
    return Window(*(datetime.fromisoformat(one).replace(tzinfo=timezone.utc) for one in (start, end)))


def partitioned(cron: str, zone: str, moment: str, key: str = "a key of somebody's format") -> dict[str, Any]:
    """The context of a run that has no data interval, and the timetable at hand."""
    dag = sdk.DAG("partitioned", schedule=sdk.CronPartitionTimetable(cron, timezone=zone))
    dates = dict.fromkeys(["logical_date", "data_interval_start", "data_interval_end"])
    date = datetime.fromisoformat(moment).replace(tzinfo=timezone.utc)
    return {**context(run={**dates, "partition_key": key, "partition_date": date}), "dag": dag}


@pytest.mark.parametrize(
    ("cron", "zone", "moment", "expected"),
    [
        ("0 * * * *", "UTC", "2026-11-22T05:00", ("2026-11-22T05:00", "2026-11-22T06:00")),
        ("15 * * * *", "UTC", "2026-11-22T05:15", ("2026-11-22T05:00", "2026-11-22T06:00")),
        ("0 0 * * *", "UTC", "2026-11-22T00:00", ("2026-11-22T00:00", "2026-11-23T00:00")),
        ("@daily", "UTC", "2026-11-22T00:00", ("2026-11-22T00:00", "2026-11-23T00:00")),
        ("0 2 * * *", "UTC", "2026-11-22T02:00", ("2026-11-22T00:00", "2026-11-23T00:00")),
        ("0 2 * * *", "Europe/Zurich", "2026-11-22T01:00", ("2026-11-21T23:00", "2026-11-22T23:00")),
        ("0 4 * * *", "Europe/Zurich", "2026-03-29T02:00", ("2026-03-28T23:00", "2026-03-29T22:00")),
        ("0 4 * * *", "Europe/Zurich", "2026-10-25T03:00", ("2026-10-24T22:00", "2026-10-25T23:00")),
        ("0 2 * * 1", "UTC", "2026-11-23T02:00", ("2026-11-23T00:00", "2026-11-30T00:00")),
        ("0 2 * * MON", "UTC", "2026-11-23T02:00", ("2026-11-23T00:00", "2026-11-30T00:00")),
        ("0 2 1 * *", "UTC", "2026-12-01T02:00", ("2026-12-01T00:00", "2027-01-01T00:00")),
        ("0 2 15 * *", "UTC", "2026-11-15T02:00", ("2026-11-15T00:00", "2026-12-15T00:00")),
    ],
)
def test_the_cron_of_the_partitions_says_how_long_they_are(
    cron: str, zone: str, moment: str, expected: tuple[str, str]
) -> None:
    assert resolve_window(None, None, partitioned(cron, zone, moment)) == window(*expected)


@pytest.mark.parametrize(
    "cron", ["*/5 * * * *", "0 */6 * * *", "0 0 1,15 * *", "0 0 31 * *", "0 0 * 1 *", "0 0 * * 1-5"]
)
def test_a_cron_of_no_one_length_is_an_error(cron: str) -> None:
    with pytest.raises(WindowError, match="does not say whether one is"):
        resolve_window(None, None, partitioned(cron, "UTC", "2026-11-22T00:00"))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("2026-11-22", ("2026-11-22T00:00", "2026-11-23T00:00")),
        ("2026-11-22T05", ("2026-11-22T05:00", "2026-11-22T06:00")),
        ("2026-11-23 (W48)", ("2026-11-23T00:00", "2026-11-30T00:00")),
        ("2026-12", ("2026-12-01T00:00", "2027-01-01T00:00")),
    ],
)
def test_without_a_timetable_a_key_of_airflows_mappers_says_it(key: str, expected: tuple[str, str]) -> None:
    assert resolve_window(None, None, {"partition_key": key}) == window(*expected)


@pytest.mark.parametrize("key", ["2026-11-22T00:00:00", "emea", "2026-13-01", "2026"])
def test_a_key_that_says_no_length_is_an_error_that_names_it(key: str) -> None:
    with pytest.raises(WindowError, match=f"partition key '{key}'"):
        resolve_window(None, None, {"partition_key": key})


def test_arguments_and_conf_come_before_the_partition() -> None:
    given = partitioned("0 0 * * *", "UTC", "2026-11-22T00:00")
    assert resolve_window("2026-01-01", "2026-01-02", given) == window("2026-01-01T00:00", "2026-01-02T00:00")
    given["params"] = {"window_start": "2026-01-03", "window_end": "2026-01-04"}
    assert resolve_window(None, None, given) == window("2026-01-03T00:00", "2026-01-04T00:00")


def events(*windows: dict[str, Any]) -> dict[str, Any]:
    of = {"asset": {"name": "calls", "uri": "s3://lake/calls", "extra": {}}, "source_aliases": []}
    of |= dict.fromkeys(["source_task_id", "source_dag_id", "source_run_id", "source_map_index"])
    given = [AssetEventDagRunReferenceResult(**of, extra=one, timestamp=datetime.now(timezone.utc)) for one in windows]
    return {"triggering_asset_events": TriggeringAssetEventsAccessor.build(given)}


def test_a_run_that_our_asset_events_triggered_has_their_window() -> None:
    day = {"window_start": "2026-11-22T00:00:00+00:00", "window_end": "2026-11-23T00:00:00+00:00", "read": 5}
    context = {**events({"of": "others"}, day, day), "partition_key": "2026-11-22T00:00:00"}
    assert resolve_window(None, None, context) == window("2026-11-22T00:00", "2026-11-23T00:00")
    other = {"window_start": "2026-11-21T00:00:00+00:00", "window_end": "2026-11-22T00:00:00+00:00"}
    with pytest.raises(WindowError, match="of 2 windows"):
        resolve_window(None, None, events(day, other))


def test_events_of_others_say_nothing() -> None:
    with pytest.raises(WindowError, match="triggered without a logical date or by an asset"):
        resolve_window(None, None, events({"rows": "5"}))
