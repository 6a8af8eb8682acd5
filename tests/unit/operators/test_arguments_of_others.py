"""Every argument of the operators that load nothing reaches the place where it works."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import DeadLetterError
from airflow_provider_genesys.operators import dead_letters as replay_module
from airflow_provider_genesys.operators import export as create_module
from airflow_provider_genesys.operators.dead_letters import GenesysReplayDeadLettersOperator
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.pipeline.replay import EVER, Replayed
from tests.support.task_context import context
from tests.unit.transfers.boundary import Boundary, StubHook
from tests.unit.transfers.test_arguments_arrive import parameters

KEY = "a random text of 32 characters, or more"
HASHING = replace(
    RECORDINGS,
    columns=tuple(replace(one, pii="hash" if one.name == "queueName" else one.pii) for one in RECORDINGS.columns),
)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Boundary:
    boundary = Boundary()
    monkeypatch.setattr(
        "airflow_provider_genesys.hooks.genesys.GenesysCloudHook", lambda conn_id: StubHook(boundary, conn_id)
    )
    return boundary


def created(seen: Boundary, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Any:
    """Execute the operator that creates; return it."""
    kept = SimpleNamespace(close=lambda: None)

    def opened(conn_id: str, *, table: str) -> Any:
        seen.calls.append(("store", {"conn_id": conn_id, "table": table}))
        return kept

    monkeypatch.setattr(create_module, "open_store", opened)
    nothing_kept = SimpleNamespace(get=lambda *_: None, set=lambda *_: None)
    monkeypatch.setattr(create_module, "KeptElsewhere", lambda *_: nothing_kept)
    record = seen.record
    for name in ("wait_for_data", "wait_for_export", "check_hash_keys"):
        monkeypatch.setattr(create_module, name, record(name, getattr(create_module, name)))
    ti = seen.context["ti"]
    monkeypatch.setattr(ti, "xcom_push", record("xcom_push", ti.xcom_push))
    task = GenesysCreateExportOperator(task_id="create", **arguments)
    task.execute(seen.context)  # type: ignore[arg-type]
    return task


def test_what_is_created_is_what_was_asked_for(seen: Boundary, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {
        "kind": "user_details",
        "window_start": "2026-11-20",
        "window_end": "2026-11-21",
        "filters": {"a": 1},
        "include": ["media"],
        "file_format": "json",
        "options": {"b": 2},
        "genesys_conn_id": "mine",
        "checkpoint_conn_id": "kept",
        "checkpoint_table": "there",
        "cancel_on_kill": True,
        "wait_for_completion": True,
        "late_data": "load",
        "deferrable": True,
        "poll_interval": 7,
        "max_poll_interval": 8,
        "timeout": timedelta(seconds=9),
    }
    assert parameters(GenesysCreateExportOperator) == asked.keys()
    task = created(seen, monkeypatch, **asked)
    request = seen.of("create_export")["request"]
    assert seen.of("create_export")["kind"] == seen.of("wait_for_data")["kind"] == "user_details"
    assert (request.window_start.day, request.window_end.day, request.file_format) == (20, 21, "json")
    assert (request.filters, request.options, request.include) == ({"a": 1}, {"b": 2}, ("media",))
    assert seen.of("hook")["conn_id"] == "mine"
    assert seen.of("store") == {"conn_id": "kept", "table": "there"}
    data, export = seen.of("wait_for_data"), seen.of("wait_for_export")
    assert (data["until"].day, data["late_data"]) == (21, "load")
    for waited in (data, export):
        wait = waited["wait"]
        assert (wait.poll_interval, wait.max_poll_interval, wait.timeout) == (7, 8, 9)
        assert waited["defer"].keywords["method_name"] == "resume"
    assert (export["export_id"], export["owned"]) == ("export-2", True)
    [export_xcom] = [given["value"] for name, given in seen.calls if name == "xcom_push" and given["key"] == "export"]
    assert (export_xcom["export_id"], export_xcom["kind"], export_xcom["request"]) == (
        "export-2",
        "user_details",
        {"filters": {"a": 1}, "options": {"b": 2}},
    )
    assert (export_xcom["window_start"][:10], export_xcom["window_end"][:10]) == ("2026-11-20", "2026-11-21")
    assert export_xcom["submitted_at"]
    assert export_xcom["fingerprint"] == request.fingerprint("user_details")
    assert seen.of("check_hash_keys")["task"] is task


def test_without_more_arguments_it_waits_for_nothing_and_keeps_nothing(
    seen: Boundary, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(seen, monkeypatch, deferrable=False)
    assert not [called for called, _ in seen.calls if called in ("store", "wait_for_export")]
    assert seen.of("wait_for_data")["defer"] is None
    assert seen.of("wait_for_data")["late_data"] == "wait"


class Replaying:
    """A replay that only remembers how it was made and run."""

    def __init__(self, calls: list[Any], name: str) -> None:
        self._calls = calls
        self._name = name

    def __call__(self, *given: Any, **more: Any) -> Replaying:
        self._calls.append((self._name, [one() if callable(one) else one for one in given], more))
        return self

    def run(self, contract_of: Any, run_id: str, span: Any) -> Replayed:
        self._calls.append((contract_of, run_id, span))
        return Replayed()


def replayed(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> tuple[Any, Any]:
    """Execute the operator that replays; return how its replay was made, and how it was run."""
    calls: list[Any] = []
    sinks = "airflow_provider_genesys.sinks"
    for name in ("postgres.replay.PostgresReplay", "objects.replay.ObjectReplay", "sqs.replay.SqsReplay"):
        monkeypatch.setattr(f"{sinks}.{name}", Replaying(calls, name.partition(".")[0]))
    for name in ("connect", "client", "open_bucket"):
        monkeypatch.setattr(replay_module, name, lambda *given: given)
    GenesysReplayDeadLettersOperator(task_id="replay", **arguments).execute(context())  # type: ignore[arg-type]
    made, run = calls
    return made, run


EXTRA = {"Metadata": {"a": "b"}}
PLACES: list[tuple[dict[str, Any], str, list[Any], dict[str, Any]]] = [
    ({"table": "t", "schema": "s", "postgres_conn_id": "p"}, "postgres", [("p",), "t"], {"schema": "s"}),
    (
        {"s3_bucket": "b", "s3_prefix": "r", "aws_conn_id": "a", "fencing": "none", "extra_args": EXTRA},
        "objects",
        [("s3", "b", "a", EXTRA), "r"],
        {"fencing": "none"},
    ),
    (
        {"container_name": "b", "blob_prefix": "r", "wasb_conn_id": "w"},
        "objects",
        [("az", "b", "w", None), "r"],
        {"fencing": "conditional"},
    ),
    (
        {"gcs_bucket": "b", "gcs_prefix": "r", "gcp_conn_id": "g"},
        "objects",
        [("gs", "b", "g", None), "r"],
        {"fencing": "conditional"},
    ),
    (
        {"queue_url": "q", "dead_letter_queue_url": "d", "message_group_id": "m", "aws_conn_id": "a"},
        "sqs",
        [("sqs", "a"), "q", "d"],
        {"message_group_id": "m"},
    ),
]
OTHERS: dict[str, Any] = {
    "window_start": "2026-11-20",
    "window_end": "2026-11-21",
    "contract": HASHING,
    "pii_key": "variable:own",
    "genesys_conn_id": "mine",
    "dead_letter_raw": "keep",
}


@pytest.mark.parametrize(("place", "kind", "given", "more"), PLACES, ids=[next(iter(one[0])) for one in PLACES])
def test_letters_are_replayed_where_and_as_was_asked(
    place: dict[str, Any],
    kind: str,
    given: list[Any],
    more: dict[str, Any],
    seen: Boundary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_OWN", KEY)
    monkeypatch.setattr(
        StubHook, "open_dead_letter", lambda hook, letter: (hook.genesys_conn_id, letter), raising=False
    )
    (made, positions, named), (contract_of, run_id, span) = replayed(monkeypatch, **place, **OTHERS)
    assert (made, positions) == (kind, given)
    letter = {"raw_form": "text"}
    assert named.pop("opened")(letter) == ("mine", letter)
    assert named.pop("pii_key")(HASHING) == KEY.encode()
    assert named == more
    assert (run_id, span.since.day, span.until.day) == ("a_dag/scheduled__2026-11-23T00:00:00+00:00/create", 20, 21)
    assert contract_of("recordings") == contract_of("unknown") == HASHING

    (_, _, named), (contract_of, _, span) = replayed(monkeypatch, **place)
    with pytest.raises(DeadLetterError, match="is in clear"):
        named["opened"](letter)
    assert named["pii_key"](RECORDINGS) is None
    assert (span, contract_of("recordings")) == (EVER, RECORDINGS)
    with pytest.raises(DeadLetterError, match="There is no contract"):
        contract_of("unknown")


def test_every_argument_of_a_replay_is_looked_at() -> None:
    assert parameters(GenesysReplayDeadLettersOperator) == OTHERS.keys() | {name for one in PLACES for name in one[0]}
