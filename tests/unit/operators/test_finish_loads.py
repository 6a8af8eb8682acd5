"""Which loads are finished by another task than the one that began them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.operators.finish_loads import GenesysFinishS3LoadsOperator, _has_failed

RUN = "scheduled__2026-11-23T00:00:00+00:00"


def has_failed(states: dict[str, Any], run_id: str = f"daily/{RUN}/load") -> bool:
    def get_task_states(*, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        assert (dag_id, task_ids, run_ids) == ("daily", ["load"], [RUN])
        return {RUN: states} if states else {}

    ti = SimpleNamespace(dag_id="finish", run_id="r", task_id="finish_loads", get_task_states=get_task_states)
    return _has_failed(run_id, {"ti": ti})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "removed"])
def test_a_load_whose_task_has_failed_for_good_is_taken_up(state: str) -> None:
    assert has_failed({"load": state})


@pytest.mark.parametrize(
    "state", ["running", "queued", "scheduled", "deferred", "up_for_retry", "restarting", None, "success", "skipped"]
)
def test_a_load_whose_task_works_will_work_or_was_marked_is_left_alone(state: str | None) -> None:
    assert not has_failed({"load": state})


def test_a_load_that_this_airflow_does_not_know_is_left_alone() -> None:
    assert not has_failed({})


def test_of_a_mapped_task_no_instance_may_be_at_work() -> None:
    assert has_failed({"load_0": "failed", "load_1": "success"})
    assert not has_failed({"load_0": "failed", "load_1": "running"})


def test_a_load_that_the_same_task_has_begun_is_its_own() -> None:
    assert has_failed({}, run_id="finish/r/finish_loads")


def test_archives_as_they_are_are_not_finished() -> None:
    operator = GenesysFinishS3LoadsOperator(task_id="f", s3_bucket="b", s3_prefix="p", output_format="raw")
    with pytest.raises(ConfigurationError, match="raw"):
        operator.unfinished_loads()
