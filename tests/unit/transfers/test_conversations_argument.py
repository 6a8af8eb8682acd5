"""What a media task makes of the arguments that say which conversations."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.transfers.genesys_media_to_s3 import GenesysRecordingMediaToS3Operator
from tests.support.task_context import DAY_END, DAY_START, context

SQL = "SELECT conversation_id FROM calls"
HANDLE = {"window_start": "2026-11-22", "window_end": "2026-11-23", "submitted_at": "2026-11-23T00:00:00Z"}


def load_id(operator: GenesysRecordingMediaToS3Operator) -> str:
    return operator.load_of({"export_id": "e", "kind": operator.kind, **HANDLE}, context()).load_id  # type: ignore[arg-type]


def media(**arguments: Any) -> GenesysRecordingMediaToS3Operator:
    return GenesysRecordingMediaToS3Operator(task_id="media", s3_bucket="b", **arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"handle": "e", "conversations_sql": SQL},
        {"conversations_sql": SQL, "retention_threshold_days": 0},
        {"retention_threshold_days": 0, "write_mode": "replace_window"},
        {"conversations_sql": SQL, "write_mode": "replace_window"},
        {"handle": "e", "conversations_parameters": {"a": 1}},
    ],
)
def test_one_argument_says_which_conversations(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        media(**wrong)


def test_a_load_of_no_export_is_known_by_its_task_over_all_tries() -> None:
    def found(**ti: Any) -> dict[str, Any]:
        return media(conversations_sql=SQL).find_handle(context(**ti))  # type: ignore[arg-type]

    first, second = found(), found(max_tries=5)
    assert first["export_id"] == second["export_id"]
    assert first["submitted_at"] < second["submitted_at"]
    assert (found()["window_start"], found()["window_end"]) == (DAY_START.isoformat(), DAY_END.isoformat())
    others = [found(run_id="another"), found(map_index=3), found(task_id="other")]
    assert len({one["export_id"] for one in [found(), *others]}) == 4


def test_loads_of_other_conversations_are_other_loads() -> None:
    given = [
        {"handle": "e"},
        {"conversations_sql": SQL},
        {"conversations_sql": SQL + " WHERE true"},
        {"conversations_sql": SQL, "conversations_parameters": {"queue": "a"}},
        {"conversations_sql": SQL, "conversations_parameters": {"queue": "b"}},
        {"retention_threshold_days": 0},
        {"retention_threshold_days": "30"},
    ]
    ids = [load_id(media(**one)) for one in given]
    assert len(set(ids)) == len(ids)
    assert load_id(media(retention_threshold_days=30)) == ids[-1]
    assert load_id(media(handle={"export_id": "another"})) == ids[0]


@pytest.mark.parametrize("name", ["conversations_sql", "retention_threshold_days"])
def test_a_template_that_renders_to_nothing_is_an_error_that_names_the_argument(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        load_id(media(**{name: ""}))
