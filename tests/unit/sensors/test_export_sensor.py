from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.exceptions import CloudUnavailableError
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.tasks import wait as wait_module
from airflow_provider_genesys.tasks.failures import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.task_context import DAY_END, DAY_START, EXPORTS, Store, context, looks, new_export, run

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:
    from airflow.exceptions import TaskDeferred

Start = Callable[..., FakeGenesys]


def sensor(export_id: Any, **arguments: Any) -> GenesysExportSensor:
    given = {"deferrable": False, "poll_interval": 0.01, "timeout": 20, **arguments}
    return GenesysExportSensor(task_id="wait", export_id=export_id, **given)


@pytest.mark.parametrize("deferrable", [True, False])
def test_returns_at_once_when_the_export_has_ended(genesys: FakeGenesys, *, deferrable: bool) -> None:
    export_id = new_export()
    handle = run(sensor(export_id, deferrable=deferrable), context(Store()))
    assert looks(genesys) == 1
    assert handle["export_id"] == export_id
    assert handle["state"] == "COMPLETED"
    assert handle["records"] == 5
    assert (handle["window_start"], handle["window_end"]) == ("2026-11-22T00:00:00+00:00", "2026-11-23T00:00:00+00:00")


def test_the_handle_hides_the_signature_and_the_hook_opens_it(genesys: FakeGenesys) -> None:
    handle = run(sensor(new_export()), context(Store()))
    assert "Signature" not in json.dumps(handle)
    assert "X-Amz-Signature=" in GenesysCloudHook().open_file_uri(handle).url
    assert looks(genesys) == 1


def test_polls_in_the_worker_until_the_export_ends(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=4)
    assert run(sensor(new_export()), context(Store()))["state"] == "COMPLETED"
    assert looks(genesys) == 5


def test_defers_with_ids_and_times_only(start_genesys: Start) -> None:
    start_genesys(job_polls=4)
    export_id = new_export()
    with pytest.raises(TaskDeferred) as deferred:
        run(sensor(export_id, deferrable=True, poll_interval=5, timeout=3600), context(Store()))
    trigger = deferred.value.trigger
    kwargs = trigger.serialize()[1]
    deadline = datetime.fromisoformat(kwargs.pop("deadline"))
    assert timedelta(minutes=59) < deadline - datetime.now(timezone.utc) <= timedelta(hours=1)
    assert kwargs == {
        "export_id": export_id,
        "kind": "recordings",
        "genesys_conn_id": "genesys_default",
        "poll_interval": 5,
        "max_poll_interval": 60,
        "cancel_on_kill": False,
    }
    assert deferred.value.method_name == "resume"
    assert not deferred.value.kwargs


def test_a_resume_asks_again_whatever_the_event_says(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=1)
    waiting = sensor(new_export(), deferrable=True)
    event = {"export_id": waiting.export_id, "state": "COMPLETED", "message": ""}
    with pytest.raises(TaskDeferred):
        run(waiting, context(Store()), event)
    assert run(waiting, context(Store()), event)["state"] == "COMPLETED"
    assert looks(genesys) == 2


@pytest.mark.outcome("jobs", "the export ends FAILED or CANCELLED", "ExportFailedError")
@pytest.mark.outcome("jobs", "the export ends EXPIRED, or is not known (404)", "ExportGoneError")
@pytest.mark.parametrize("outcome", ["FAILED", "CANCELLED", "EXPIRED"])
def test_an_export_that_is_lost_fails_at_once_and_says_what_to_clear(genesys: FakeGenesys, outcome: str) -> None:
    export_id = new_export()
    genesys.exports[export_id].outcome = outcome
    with pytest.raises(AirflowFailException, match=f"{export_id} .*Clear the task that created it"):
        run(sensor(export_id), context(Store()))


def test_genesys_own_words_are_passed_on(genesys: FakeGenesys) -> None:
    export_id = new_export()
    body = {"exportId": export_id, "status": "FAILED", "errorMessage": "The query timed out."}
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=body)
    with pytest.raises(AirflowFailException, match=r"ended FAILED at Genesys. The query timed out. Clear"):
        run(sensor(export_id), context(Store()))


@pytest.mark.outcome("jobs", "the export ends EXPIRED, or is not known (404)", "ExportGoneError")
def test_an_export_that_genesys_does_not_know_fails_at_once(genesys: FakeGenesys) -> None:
    with pytest.raises(AirflowFailException, match=r"Genesys does not know export gone.*Clear the task"):
        run(sensor("gone"), context(Store()))
    assert looks(genesys) == 1


@pytest.mark.parametrize("missing", ["", "None", None])
def test_a_missing_export_id_is_told_before_anything_is_asked(genesys: FakeGenesys, missing: Any) -> None:
    with pytest.raises(AirflowFailException, match="got no export_id"):
        run(sensor(missing), context(Store()))
    assert not genesys.requests


@pytest.mark.outcome("jobs", "a state that nobody knows, or that stays for ever", "ExportTimeoutError")
def test_an_unknown_state_is_waited_for_until_the_timeout(
    start_genesys: Start, caplog: pytest.LogCaptureFixture
) -> None:
    genesys = start_genesys(outcome="ARCHIVING")
    with pytest.raises(AirflowSensorTimeout, match=r"not ended within 1 s; its last state was ARCHIVING"):
        run(sensor(new_export(), timeout=1), context(Store()))
    assert looks(genesys) > 2
    assert caplog.text.count("does not know") == 1


STUCK = {
    "conversation_details": "PENDING",
    "user_details": "PENDING",
    "recording_media": "PENDING",
    "recording_bulk": "PROCESSING",
}


@pytest.mark.outcome("jobs", "a state that nobody knows, or that stays for ever", "ExportTimeoutError")
@pytest.mark.parametrize("kind", STUCK)
def test_a_job_that_never_ends_is_waited_for_until_the_timeout(start_genesys: Start, kind: str) -> None:
    genesys = start_genesys(conversations=5)
    options = {"integrationId": "integration-1"} if kind == "recording_bulk" else {}
    with GenesysCloudHook() as hook:
        export_id = hook.create_export(kind, ExportRequest(DAY_START, DAY_END, options=options))
        if kind == "recording_bulk":
            hook.start_export(export_id, kind)
    genesys.job_polls = 100_000
    for job in (*genesys.jobs.values(), *genesys.recording_jobs.values()):
        job.looks = 50_000
    with pytest.raises(AirflowSensorTimeout, match=f"not ended within 0.3 s; its last state was {STUCK[kind]}"):
        run(sensor(export_id, kind=kind, timeout=0.3), context(Store()))


@pytest.mark.outcome("jobs", "429 and 5xx while the export is waited for", "recovers")
def test_rate_limits_and_outages_do_not_end_the_wait(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=3)
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=429, headers={"Retry-After": "0"}, times=8)
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=503, headers={"Retry-After": "0"}, times=8)
    assert run(sensor(export_id), context(Store()))["state"] == "COMPLETED"
    assert looks(genesys) == 8 + 8 + 4


@pytest.mark.outcome("jobs", "the state or the progress goes backwards", "recovers")
def test_a_state_that_goes_backwards_is_waited_through(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=1)
    export_id = new_export()
    for state, percent in [("RUNNING", 90), ("QUEUED", 0), ("RUNNING", 10)]:
        body = {"exportId": export_id, "status": state, "percentComplete": percent}
        genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=body)
    assert run(sensor(export_id), context(Store()))["state"] == "COMPLETED"
    assert looks(genesys) >= 4


@pytest.mark.outcome("jobs", "a file is named before the export has ended", "recovers")
def test_a_file_that_comes_before_completion_is_not_taken(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=1)
    export_id = new_export()
    body = {"exportId": export_id, "status": "RUNNING", "fileUri": "https://early.s3.amazonaws.com/part"}
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=body, times=2)
    handle = run(sensor(export_id), context(Store()))
    assert handle["state"] == "COMPLETED"
    assert "early" not in handle["file_uri"]


def test_a_deferrable_sensor_defers_through_an_outage(start_genesys: Start) -> None:
    genesys = start_genesys()
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=503, headers={"Retry-After": "0"}, times=6)
    with pytest.raises(TaskDeferred):
        run(sensor(export_id, deferrable=True), context(Store()))


def test_an_outage_that_outlasted_the_trigger_is_left_to_the_retries(start_genesys: Start) -> None:
    genesys = start_genesys()
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=503, headers={"Retry-After": "0"}, times=6)
    with pytest.raises(CloudUnavailableError):
        run(sensor(export_id, deferrable=True), context(Store()), {"export_id": export_id, "state": "UNKNOWN"})


def test_the_timeout_counts_from_the_first_try(start_genesys: Start) -> None:
    start_genesys(job_polls=1_000)
    export_id, store = new_export(), Store()
    long_ago = datetime.now(timezone.utc) - timedelta(hours=2)
    with pytest.raises(TaskDeferred):
        run(sensor(export_id, deferrable=True, timeout=3 * 3600), context(store, start_date=long_ago))
    with pytest.raises(AirflowSensorTimeout, match="not ended within 3600 s"):
        run(sensor(export_id, deferrable=True, timeout=3600), context(store))


def test_a_clear_gives_the_whole_timeout_again(start_genesys: Start) -> None:
    start_genesys(job_polls=1_000)
    export_id, store = new_export(), Store()
    long_ago = datetime.now(timezone.utc) - timedelta(hours=2)
    with pytest.raises(AirflowSensorTimeout):
        run(sensor(export_id, deferrable=True, timeout=3600), context(store, start_date=long_ago))
    with pytest.raises(TaskDeferred):
        run(sensor(export_id, deferrable=True, timeout=3600), context(store, max_tries=3, clear_number=1))


def test_an_export_that_ends_at_the_last_moment_is_not_a_timeout(genesys: FakeGenesys) -> None:
    long_ago = datetime.now(timezone.utc) - timedelta(hours=2)
    waiting = sensor(new_export(), deferrable=True, timeout=3600)
    assert run(waiting, context(start_date=long_ago), {"state": "RUNNING"})["state"] == "COMPLETED"
    assert looks(genesys) == 1


@pytest.mark.parametrize("softly", [{"soft_fail": True}, {"never_fail": True}])
@pytest.mark.parametrize(("outcome", "said"), [("FAILED", "ended FAILED"), ("ARCHIVING", "not ended within")])
def test_soft_fail_skips(genesys: FakeGenesys, softly: dict[str, bool], outcome: str, said: str) -> None:
    export_id = new_export()
    genesys.exports[export_id].outcome = outcome
    with pytest.raises(AirflowSkipException, match=said):
        run(sensor(export_id, timeout=0.1, **softly), context(Store()))


@pytest.mark.outcome("jobs", "COMPLETED, and the file comes later", "recovers")
def test_a_file_that_comes_after_completion_is_waited_for(genesys: FakeGenesys) -> None:
    export_id = new_export()
    genesys.fail_next(
        f"{EXPORTS}/{export_id}", status=200, times=2, body={"exportId": export_id, "status": "COMPLETED"}
    )
    assert run(sensor(export_id), context(Store()))["file_uri"]
    assert looks(genesys) == 3


@pytest.mark.outcome("jobs", "COMPLETED, and the file never comes", "ExportGoneError")
def test_a_file_that_never_comes_is_an_error(genesys: FakeGenesys, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(wait_module, "time", SimpleNamespace(sleep=pauses.append))
    export_id = new_export()
    genesys.fail_next(
        f"{EXPORTS}/{export_id}", status=200, times=9, body={"exportId": export_id, "status": "COMPLETED"}
    )
    with pytest.raises(AirflowFailException, match=r"is COMPLETED, but Genesys gives no file .*uri_field.* Clear the"):
        run(sensor(export_id), context(Store()))
    assert looks(genesys) == 1 + wait_module.FILE_POLLS
    assert [pause > 0 for pause in pauses] == [True] * wait_module.FILE_POLLS


WITHOUT_WINDOW = {"status": "COMPLETED", "fileUri": "https://files.example.com/a?Signature=abcdefgh"}


def upstream(export_id: str) -> dict[str, Any]:
    start, end = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
    other = {"export_id": "other", "window_start": "2025-01-01", "window_end": "2025-01-02"}
    return {
        "mapped": [other, None, {"export_id": export_id, "window_start": start, "window_end": end}],
        "unrelated": other,
        "silent": None,
    }


def test_the_window_comes_from_the_task_upstream_where_genesys_does_not_say(genesys: FakeGenesys) -> None:
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=WITHOUT_WINDOW)
    waiting = sensor(export_id)
    waiting.upstream_task_ids.update(upstream(export_id))
    handle = run(waiting, context(Store(), task_id="wait", upstream=upstream(export_id)))
    assert (handle["window_start"], handle["window_end"]) == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")


def test_the_window_of_another_export_is_never_taken(genesys: FakeGenesys) -> None:
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=WITHOUT_WINDOW)
    waiting = sensor(export_id)
    waiting.upstream_task_ids.add("unrelated")
    handle = run(waiting, context(Store(), task_id="wait", upstream=upstream(export_id)))
    assert (handle["window_start"], handle["window_end"]) == (None, None)


def test_a_given_window_comes_first(genesys: FakeGenesys) -> None:
    handle = run(sensor(new_export(), window_start="2026-03-01", window_end="2026-03-02"), context(Store()))
    assert handle["window_start"] == "2026-03-01T00:00:00+00:00"
    assert looks(genesys) == 1


def test_an_id_that_a_native_template_made_a_number_is_still_an_id(genesys: FakeGenesys) -> None:
    genesys.exports["4711"] = genesys.exports[new_export()]
    assert run(sensor(4711), context(Store()))["export_id"] == "4711"


def test_reschedule_mode_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(ValueError, match="deferrable=True"):
        sensor("e-1", mode="reschedule")


def test_a_wait_lasts_a_day_unless_told_otherwise() -> None:
    assert GenesysExportSensor(task_id="wait", export_id="e-1").timeout == 86_400
