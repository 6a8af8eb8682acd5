from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports import waiting
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.triggers.export import GenesysExportTrigger
from airflow_provider_genesys.triggers.polling import in_thread
from tests.support.task_context import EXPORTS, looks, new_export

Start = Callable[..., FakeGenesys]


def trigger(export_id: str, seconds: float = 20, **arguments: Any) -> GenesysExportTrigger:
    deadline = (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()
    return GenesysExportTrigger(export_id=export_id, deadline=deadline, **{"poll_interval": 0.01, **arguments})


def fired(one: GenesysExportTrigger) -> dict[str, Any]:
    """Run a trigger to its end, as the triggerer does; return its one event."""

    async def all_events() -> list[Any]:
        events = [event.payload async for event in one.run()]
        await one.cleanup()
        return events

    (payload,) = asyncio.run(all_events())
    return payload


@pytest.mark.parametrize("outcome", ["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"])
def test_fires_when_the_export_ends(start_genesys: Start, outcome: str) -> None:
    genesys = start_genesys(job_polls=3, outcome=outcome)
    export_id = new_export()
    assert fired(trigger(export_id)) == {"export_id": export_id, "state": outcome, "message": ""}
    assert looks(genesys) == 4


def test_the_event_has_genesys_reason_and_no_url(genesys: FakeGenesys) -> None:
    export_id = new_export()
    body = {"status": "FAILED", "errorMessage": "No data.", "fileUri": "https://x.example.com/?Signature=abcdefgh"}
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=body)
    assert fired(trigger(export_id)) == {"export_id": export_id, "state": "FAILED", "message": "No data."}


NASTY = "one\r\nINFO forged\x1b[31m\u202e https://s.example/k?X-Amz-Signature=5ec2e7 " + "x" * 100_000


@pytest.mark.parametrize("status", ["FAILED", NASTY, {"a": [NASTY]}, 10**400])
def test_what_genesys_says_is_clean_in_events_and_in_the_log(
    genesys: FakeGenesys, status: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    export_id = new_export()
    body = {"status": status, "errorMessage": NASTY, "message": NASTY, "percentComplete": NASTY}
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=body)
    event = fired(trigger(export_id))
    assert event["state"] == ("FAILED" if status == "FAILED" else "COMPLETED")  # an unknown state is waited for
    for text in (*event.values(), *caplog.messages):
        assert text.isprintable()
        assert "5ec2e7" not in text
        assert len(text) < 1500


@pytest.mark.outcome("jobs", "an answer with status 200 is empty, a list or an error", "recovers")
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", {"message": "busy", "code": "x"}, {"error": 1}])
def test_one_answer_that_is_none_does_not_end_the_wait(genesys: FakeGenesys, body: Any) -> None:
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=200, body=body)
    assert fired(trigger(export_id))["state"] == "COMPLETED"


def test_a_refusal_in_nasty_words_is_clean_in_the_event(genesys: FakeGenesys) -> None:
    export_id = new_export()
    body = {"message": NASTY, "code": NASTY, "details": [{"fieldName": NASTY}]}
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=400, times=99, body=body)
    text = json.dumps(fired(trigger(export_id)), ensure_ascii=False)
    assert text.isprintable()
    assert "5ec2e7" not in text
    assert len(text) < 2000


def test_the_first_poll_waits_for_the_interval(start_genesys: Start) -> None:
    genesys = start_genesys()
    export_id = new_export()

    async def look_early() -> int:
        running = asyncio.ensure_future(anext_of(trigger(export_id, poll_interval=0.4)))
        await asyncio.sleep(0.3)
        early = looks(genesys)
        await running
        return early

    assert asyncio.run(look_early()) == 0
    assert looks(genesys) == 1


async def anext_of(one: GenesysExportTrigger) -> Any:
    try:
        return await anext(one.run())
    finally:
        await one.cleanup()


async def killed(one: GenesysExportTrigger) -> None:
    await one.on_kill()
    await one.cleanup()


@pytest.mark.outcome("processes", "the triggerer restarts", "recovers")
def test_what_airflow_stores_makes_the_same_trigger_and_holds_no_secret(genesys: FakeGenesys) -> None:
    one = trigger("e-1", genesys_conn_id="genesys_default", poll_interval=7, max_poll_interval=70)
    path, kwargs = one.serialize()
    assert path == "airflow_provider_genesys.triggers.export.GenesysExportTrigger"
    assert GenesysExportTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)
    assert set(kwargs) == {
        "export_id",
        "deadline",
        "kind",
        "genesys_conn_id",
        "poll_interval",
        "max_poll_interval",
        "cancel_on_kill",
    }
    assert genesys.client_secret not in repr(one)


@pytest.mark.outcome("jobs", "429 and 5xx while the export is waited for", "recovers")
def test_an_outage_does_not_end_the_wait(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=2)
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=503, times=20, headers={"Retry-After": "0"})
    assert fired(trigger(export_id))["state"] == "COMPLETED"
    assert looks(genesys) == 23


def test_a_long_retry_after_is_slept_by_the_trigger_itself(start_genesys: Start) -> None:
    genesys = start_genesys()
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=429, headers={"Retry-After": "600"})
    event = fired(trigger(export_id, seconds=0.5))
    assert event["state"] == "UNKNOWN"
    assert event["message"].startswith("Not ended by 20")
    assert looks(genesys) == 1


def test_an_outage_that_is_too_long_is_handed_back(start_genesys: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_ERRORS", 3)
    genesys = start_genesys()
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=503, times=100, headers={"Retry-After": "0"})
    event = fired(trigger(export_id))
    assert event["state"] == "UNKNOWN"
    assert "503" in event["message"]


def test_an_error_that_does_not_heal_is_handed_back_at_once(genesys: FakeGenesys) -> None:
    event = fired(trigger("gone"))
    assert event["state"] == "UNKNOWN"
    assert "404" in event["message"]
    assert looks(genesys) == 1


def test_an_unknown_state_is_waited_for_until_the_deadline(
    start_genesys: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    genesys = start_genesys(outcome="ARCHIVING")
    event = fired(trigger(new_export(), seconds=0.3))
    assert event["state"] == "ARCHIVING"
    assert looks(genesys) > 2
    assert capsys.readouterr().out.count("does not know") == 1


def test_a_deadline_in_the_past_asks_nothing(genesys: FakeGenesys) -> None:
    assert fired(trigger("e-1", seconds=-1))["message"].startswith("Not ended by")
    assert not genesys.requests


def test_polling_leaves_the_event_loop_free(start_genesys: Start) -> None:
    genesys = start_genesys()
    export_id = new_export()
    # The client sleeps for this inside its call, in a thread.
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=503, headers={"Retry-After": "1"})

    async def ticks() -> int:
        running = asyncio.ensure_future(anext_of(trigger(export_id)))
        count = 0
        while not running.done():
            await asyncio.sleep(0.05)
            count += 1
        return count

    assert asyncio.run(ticks()) > 10


def test_a_person_who_kills_the_task_that_created_the_export_cancels_it(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=100)
    export_id = new_export()
    asyncio.run(killed(trigger(export_id, cancel_on_kill=True)))
    assert genesys.exports[export_id].status == "CANCELLED"


def test_a_person_who_clears_a_mere_wait_leaves_the_export_alone(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=100)
    export_id = new_export()
    asyncio.run(killed(trigger(export_id)))
    assert [seen.method for seen in genesys.requests if export_id in seen.path] == []


def test_killing_a_task_whose_export_is_gone_is_no_error(genesys: FakeGenesys) -> None:
    asyncio.run(killed(trigger("gone", cancel_on_kill=True)))
    assert [seen.method for seen in genesys.requests][-1] == "DELETE"


def test_a_cancellation_during_a_poll_keeps_its_message(start_genesys: Start) -> None:
    """Airflow calls on_kill only when the error carries the message that it cancelled with."""
    genesys = start_genesys()
    export_id = new_export()
    genesys.fail_next(f"{EXPORTS}/{export_id}", status=503, headers={"Retry-After": "1"})

    async def said() -> str:
        try:
            await anext_of(trigger(export_id))
        except asyncio.CancelledError as error:
            return str(error)  # here: before Python 3.11 who awaits the task does not get the message
        return ""

    async def cancelled_while_polling() -> str:
        running = asyncio.ensure_future(said())
        await asyncio.sleep(0.5)  # by now it polls: the fake was asked, and the client sleeps for Retry-After
        assert looks(genesys) == 1
        running.cancel("by a person")
        return await running

    assert asyncio.run(cancelled_while_polling()) == "by a person"


def test_two_triggers_ask_at_the_same_time() -> None:
    both = threading.Barrier(2)

    async def asked() -> None:
        await asyncio.gather(*(in_thread(lambda: both.wait(timeout=10)) for _ in range(2)))

    asyncio.run(asked())
