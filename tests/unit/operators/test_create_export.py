from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import CloudUnavailableError, SinkUnavailableError
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.tasks.failures import AirflowException, AirflowFailException
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import RedisServer, free_port
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from tests.support.task_context import DAY_END, DAY_START, EXPORTS, Store, context, posts, pushed, run


def create(context: dict[str, Any], **arguments: Any) -> Any:
    """Execute a new operator, as each try does."""
    return run(GenesysCreateExportOperator(task_id="create", **arguments), context)


def test_exports_the_data_interval(genesys: FakeGenesys) -> None:
    first = context(Store())
    export_id = create(first)
    archive = genesys.exports[export_id].archive
    assert (archive.window_start, archive.window_end) == (DAY_START, DAY_END)
    assert archive.file_format == "ndjson"
    shown = pushed(first, "export")
    submitted = datetime.fromisoformat(shown.pop("submitted_at"))
    assert abs(submitted - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert len(shown.pop("fingerprint")) == 32
    assert shown == {
        "export_id": export_id,
        "kind": "recordings",
        "window_start": "2026-11-22T00:00:00+00:00",
        "window_end": "2026-11-23T00:00:00+00:00",
        "request": {"filters": {}, "options": {}},
    }


@pytest.mark.outcome("processes", "the task that creates the export is killed after it (Airflow 3.3)", "recovers")
def test_a_retry_adopts_the_export_of_the_earlier_try(genesys: FakeGenesys) -> None:
    store = Store()
    first = context(store)
    export_id = create(first)
    shown = pushed(first, "export")
    retry = context(store)
    assert create(retry) == export_id
    assert pushed(retry, "export") == shown
    assert posts(genesys) == 1


def test_the_id_is_kept_before_anything_else_can_fail(genesys: FakeGenesys, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    first = context(store)

    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("no XCom today")

    with monkeypatch.context() as patch:
        patch.setattr(type(first["ti"]), "xcom_push", full_disk)
        with pytest.raises(OSError, match="no XCom"):
            create(first)
    assert create(context(store)) in genesys.exports
    assert posts(genesys) == 1


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.mark.outcome(
    "processes",
    "the same before Airflow 3.3, with `checkpoint_conn_id`",
    "recovers",
)
def test_before_airflow_3_3_a_retry_adopts_what_a_checkpoint_store_kept(
    genesys: FakeGenesys, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KEPT", json.dumps(redis.connection()))
    export_id = create(context(), checkpoint_conn_id="kept")
    retry = context()
    assert create(retry, checkpoint_conn_id="kept") == export_id
    assert pushed(retry, "export")["export_id"] == export_id
    assert create(context(max_tries=3), checkpoint_conn_id="kept") != export_id
    assert create(context(map_index=1), checkpoint_conn_id="kept") != export_id
    assert posts(genesys) == 3


def test_where_the_checkpoint_store_is_down_no_export_is_created(
    genesys: FakeGenesys, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = {"conn_type": "redis", "host": "127.0.0.1", "port": free_port()}
    monkeypatch.setenv("AIRFLOW_CONN_KEPT", json.dumps(gone))
    monkeypatch.setattr("airflow_provider_genesys.retries.LONGEST_WAIT", 0.01)
    with pytest.raises(SinkUnavailableError, match="Redis, key genesys:checkpoint:task/a_dag/"):
        create(context(), checkpoint_conn_id="kept")
    assert posts(genesys) == 0


@pytest.mark.outcome("jobs", "an export was lost before the try that waits for it", "recovers")
@pytest.mark.parametrize("outcome", ["FAILED", "CANCELLED", "EXPIRED"])
def test_a_retry_does_not_adopt_a_lost_export(genesys: FakeGenesys, outcome: str) -> None:
    store = Store()
    lost = create(context(store))
    genesys.exports[lost].outcome = outcome
    assert create(context(store)) != lost
    assert posts(genesys) == 2


def test_a_retry_does_not_adopt_an_export_that_genesys_forgot(genesys: FakeGenesys) -> None:
    store = Store()
    lost = create(context(store))
    del genesys.exports[lost]
    assert create(context(store)) != lost


def test_a_retry_does_not_adopt_an_export_of_another_request(genesys: FakeGenesys) -> None:
    store = Store()
    ndjson = create(context(store))
    array = create(context(store), file_format="json")
    assert array != ndjson
    assert genesys.exports[array].archive.file_format == "json"


def test_an_unknown_state_is_no_reason_to_make_another(genesys: FakeGenesys) -> None:
    store = Store()
    export_id = create(context(store))
    genesys.exports[export_id].outcome = "ARCHIVING"
    assert create(context(store)) == export_id


def test_a_clear_always_creates(genesys: FakeGenesys) -> None:
    store = Store()
    first = create(context(store))
    cleared = create(context(store, max_tries=3, clear_number=1))
    assert cleared != first
    retry_of_cleared = create(context(store, max_tries=3, clear_number=1))
    assert retry_of_cleared == cleared
    assert posts(genesys) == 2


def test_without_a_state_store_each_try_creates(genesys: FakeGenesys) -> None:
    assert create(context()) != create(context())
    assert posts(genesys) == 2


def test_an_outage_is_left_to_the_retries_and_the_request_is_not_repeated(genesys: FakeGenesys) -> None:
    genesys.fail_next(EXPORTS, status=503, times=3)
    with pytest.raises(CloudUnavailableError):
        create(context(Store()))
    assert posts(genesys) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"window_start": DAY_END, "window_end": DAY_START}, "ends before it starts"),
        ({"kind": "everything"}, "no kind of export named 'everything'"),
        ({"include": ["tea"]}, "answered 400.*include"),
    ],
)
def test_what_no_retry_can_heal_fails_at_once(genesys: FakeGenesys, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(AirflowFailException, match=said):
        create(context(Store()), **arguments)
    assert not genesys.exports


def test_a_window_that_is_not_over_is_warned_of(genesys: FakeGenesys, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(timezone.utc)
    create(context(Store()), window_start=now - timedelta(hours=1), window_end=now + timedelta(hours=1))
    assert "is not over" in capsys.readouterr().out
    assert genesys.exports


@pytest.mark.parametrize(("cancel_on_kill", "status"), [(True, "CANCELLED"), (False, "RUNNING")])
def test_a_killed_worker_cancels_only_when_told_to(
    start_genesys: Callable[..., FakeGenesys], *, cancel_on_kill: bool, status: str
) -> None:
    genesys = start_genesys(job_polls=100)
    operator = GenesysCreateExportOperator(task_id="create", cancel_on_kill=cancel_on_kill)
    export_id = operator.execute(context(Store()))
    genesys.exports[export_id].looks = 50
    operator.on_kill()
    operator.hook.get_conn().close()
    assert genesys.exports[export_id].status == status


def test_a_kill_before_there_is_an_export_does_nothing() -> None:
    GenesysCreateExportOperator(task_id="create", cancel_on_kill=True).on_kill()


def waiting(**arguments: Any) -> dict[str, Any]:
    return {"wait_for_completion": True, "deferrable": False, "poll_interval": 0.01, **arguments}


def test_waits_when_asked_to(start_genesys: Callable[..., FakeGenesys]) -> None:
    genesys = start_genesys(job_polls=3)
    assert genesys.exports[create(context(Store()), **waiting())].status == "COMPLETED"


@pytest.mark.parametrize("outcome", ["FAILED", "EXPIRED"])
def test_one_retry_remakes_an_export_that_failed(start_genesys: Callable[..., FakeGenesys], outcome: str) -> None:
    genesys = start_genesys(job_polls=2, outcome=outcome)
    store = Store()
    with pytest.raises(AirflowException, match="next try of this task creates it again") as caught:
        create(context(store), **waiting())
    assert not isinstance(caught.value, AirflowFailException)
    genesys.outcome = "COMPLETED"
    assert genesys.exports[create(context(store), **waiting())].status == "COMPLETED"
    assert posts(genesys) == 2


def test_a_wait_that_is_too_long_fails_without_a_retry(start_genesys: Callable[..., FakeGenesys]) -> None:
    start_genesys(job_polls=1_000)
    with pytest.raises(AirflowFailException, match=r"has not ended within 0.3 s; its last state was QUEUED"):
        create(context(Store()), **waiting(timeout=timedelta(seconds=0.3)))


def test_making_an_operator_touches_nothing() -> None:
    operator = GenesysCreateExportOperator(task_id="create", genesys_conn_id="there_is_none")
    assert "hook" not in vars(operator)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_missing_key_for_hashing_is_told_before_genesys_is_asked(
    genesys: FakeGenesys, monkeypatch: pytest.MonkeyPatch, *, mapped: bool
) -> None:
    hashing = replace(
        RECORDINGS,
        columns=tuple(replace(one, pii="hash" if one.name == "queueName" else one.pii) for one in RECORDINGS.columns),
    )
    arguments = {"task_id": "load", "table": "t", "contract": hashing, "pii_key": "variable:nobody"}
    with DAG("hashing", schedule=None):
        task = GenesysCreateExportOperator(task_id="create")
        if mapped:
            task >> GenesysExportToPostgresOperator.partial(**arguments).expand(handle=["e"])
        else:
            task >> EmptyOperator(task_id="between") >> GenesysExportToPostgresOperator(handle="e", **arguments)
    with pytest.raises(AirflowFailException, match=r"^Task load: .*'variable:nobody', and there is none"):
        run(task, context(Store()))
    assert posts(genesys) == 0
    monkeypatch.setenv("AIRFLOW_VAR_NOBODY", "a random text of 32 characters..")
    assert run(task, context(Store()))
    assert posts(genesys) == 1
