"""What a loading operator makes of its arguments and its context."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import (
    AccountError,
    ConfigurationError,
    SinkError,
    SinkRefusedError,
    SinkUnavailableError,
)
from airflow_provider_genesys.operators.verify import compare
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.source.position import Identity, Position
from airflow_provider_genesys.tasks import checkpoint_mirror
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.handle import read_handle
from airflow_provider_genesys.tasks.landed import NOWHERE
from airflow_provider_genesys.tasks.result import open_result
from airflow_provider_genesys.tasks.task_state import is_first_try
from tests.support.task_context import DAY_END, RUN, Store, context, pushed, stand_in


class NoHook:
    """Nothing may be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.mark.parametrize(
    ("try_number", "max_tries", "first"),
    [
        (1, 3, True),  # never tried
        (2, 3, False),  # a retry
        (4, 3, False),  # the last retry
        (2, 4, True),  # cleared after one try
        (3, 4, False),  # the first retry after that
        (5, 7, True),  # cleared again after four
    ],
)
def test_the_first_try_after_a_clear_is_told_from_a_retry(*, try_number: int, max_tries: int, first: bool) -> None:
    assert is_first_try(context(try_number=try_number, max_tries=max_tries), 3) is first


@pytest.mark.parametrize(
    "given",
    [
        {"export_id": "e1", "kind": "recordings", "file_uri": None},
        "{'export_id': 'e1', 'kind': 'recordings', 'file_uri': None}",
        '{"export_id": "e1", "kind": "recordings", "file_uri": null}',
    ],
)
def test_a_handle_is_read_as_dict_or_as_what_a_template_makes_of_one(given: Any) -> None:
    assert read_handle(given, "recordings", NoHook()) == {"export_id": "e1", "kind": "recordings", "file_uri": None}  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["", "None", None, 7, "{broken", {"kind": "recordings"}])
def test_what_is_no_handle_is_an_error(given: Any) -> None:
    with pytest.raises(ConfigurationError):
        read_handle(given, "recordings", NoHook())  # type: ignore[arg-type]


def test_conversations_to_fetch_media_of_are_not_loaded_as_records() -> None:
    hook: Any = NoHook()
    handle, start = {"export_id": "e", "kind": "recording_media"}, Checkpoint("l", "e", "")
    with pytest.raises(ConfigurationError, match="GenesysRecordingMediaToS3Operator"):
        open_result(hook, handle, start, page_size=500, landed=NOWHERE)


def test_the_mirror_writes_at_once_then_rarely_and_at_the_end() -> None:
    given = context()
    with CheckpointMirror(given) as mirror:
        mirror.show({"file_uri": "sealed", "expires_at": "later"})
        for read in range(100):
            mirror.committed(checkpoint(read))
        assert pushed(given)["record_index"] == 0
    assert pushed(given)["record_index"] == 99


def test_people_see_how_far_it_is_first_and_no_sealed_url(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(checkpoint_mirror, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    store = Store()
    given = context(store)
    with CheckpointMirror(given) as mirror:
        mirror.show({"file_uri": "sealed", "expires_at": "later"})
        mirror.committed(checkpoint(20))
        clock[0] = 10.0
        mirror.committed(checkpoint(60))
    shown, xcom = store.get("checkpoint"), pushed(given)
    assert dict(list(shown.items())[:4]) == {"percent": 60.0, "records": 60, "per_second": 4, "seconds_left": 10}
    assert {"file_uri", "expires_at"}.isdisjoint(shown)
    assert list(xcom)[: len(shown)] == list(shown)
    assert (xcom["file_uri"], xcom["expires_at"], xcom["byte_offset"]) == ("sealed", "later", 600)


@pytest.mark.parametrize(("records", "percent"), [(200, 30.0), (None, None), (0, None), ("many", None), (10, 100.0)])
def test_of_pages_and_packed_archives_the_number_of_records_says_how_far_it_is(records: Any, percent: Any) -> None:
    given = context()
    with CheckpointMirror(given) as mirror:
        mirror.show({"records": records})
        mirror.committed(checkpoint(60, "gzip"))
    assert pushed(given)["percent"] == percent


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("kind", [SinkUnavailableError, SinkRefusedError])
def test_the_mirror_shows_which_bytes_a_sink_did_not_take(kind: type[SinkError], committed: bool) -> None:
    given = context()
    mirror = CheckpointMirror(given)

    def fail() -> None:
        with mirror:
            mirror.show({"export_id": "e", "file_uri": "sealed", "expires_at": "later"})
            if committed:
                mirror.committed(checkpoint(3))
            raise kind("a message that may quote a row", code="55P03", failed=(30, 50))

    with pytest.raises(kind):
        fail()
    value = pushed(given)
    assert (value["file_uri"], value.get("byte_offset")) == ("sealed", 30 if committed else None)
    assert value["failed"] == {"export_id": "e", "start": 30, "end": 50, "error": kind.__name__, "code": "55P03"}


@pytest.mark.parametrize(
    ("refuses", "done"),
    [(False, ["0", "99", "closed"]), (True, ["0", "closed"])],
    ids=["it takes all", "it takes nothing"],
)
def test_a_checkpoint_store_is_closed_at_the_end_or_once_it_refuses(
    monkeypatch: pytest.MonkeyPatch, done: list[str], *, refuses: bool
) -> None:
    seen: list[str] = []

    def keep(_: str, text: str) -> None:
        seen.append(str(json.loads(text)["record_index"]))
        if refuses:
            raise SinkUnavailableError("no answer")

    opened = SimpleNamespace(keep=keep, close=lambda: seen.append("closed"))
    monkeypatch.setattr(checkpoint_mirror, "open_store", lambda _: opened)
    with CheckpointMirror(stand_in(RUN, DAY_END), "mine") as mirror:  # type: ignore[arg-type]
        for read in range(100):
            mirror.committed(checkpoint(read))
    assert seen == done


def checkpoint(read: int, packing: Any = "plain") -> Checkpoint:
    return Checkpoint(
        "load",
        "e",
        "2026-11-23T00:00:00+00:00",
        position=Position(10 * read, 10 * read, 10 * read, packing),
        source=Identity(1_000),
        counts=Counts(read, read),
        last_record_id="r",
        committed_at="now",
    )


def certificate(location: str, **changes: Any) -> dict[str, Any]:
    counts = {"read": 10, "written": 8, "dead_letters": 1, "duplicates": 1}
    whole = {
        "export_id": "e",
        "kind": "recordings",
        "window_start": "a",
        "window_end": "b",
        "source": {"length": 3, "etag": "x"},
        "bytes_read": 5,
        "digest": "d",
        "min_timestamp": "t",
        "max_timestamp": "u",
        "contract": "recordings@1#c",
        "location": location,
        "counts": counts,
    }
    return {**whole, **changes}


def test_certificates_of_one_export_agree() -> None:
    other = certificate("s3", counts={"read": 10, "written": 9, "dead_letters": 1, "duplicates": 0})
    verified = compare([certificate("pg"), other])
    assert verified["read"] == 10
    assert verified["sinks"]["s3"] == {"written": 9, "dead_letters": 1, "duplicates": 0}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"digest": "x"}, "digest"),
        ({"bytes_read": 6}, "bytes_read"),
        ({"export_id": "f"}, "export_id"),
        ({"kind": "calls"}, "kind"),
        ({"window_start": "0"}, "window_start"),
        ({"window_end": "c"}, "window_end"),
        ({"source": {"length": 4, "etag": "x"}}, r"length \(4 and 3\)"),
        ({"source": {"length": 3, "etag": "y"}}, r"etag \(y and x\)"),
        ({"min_timestamp": "s"}, r"min_timestamp \(s and t\)"),
        ({"max_timestamp": None}, "max_timestamp"),
        ({"contract": "recordings@2#d"}, r"contract \(recordings@2#d and recordings@1#c\).*may_differ"),
        ({"counts": {"read": 9, "written": 8, "dead_letters": 1, "duplicates": 0}}, r"read \(9 and 10\)"),
        ({"counts": {"read": 10, "written": 8, "dead_letters": 1, "duplicates": 0}}, "does not close"),
    ],
)
def test_certificates_that_differ_fail(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(AccountError, match=named):
        compare([certificate("pg"), certificate("s3", **changes)])


def test_a_window_is_final_where_every_sink_says_so() -> None:
    final = {"reconciliation": {"state": "final"}}
    for other, state in ((final, "final"), ({}, "provisional"), ({"reconciliation": None}, "provisional")):
        assert compare([certificate("pg", **final), certificate("s3", **other)])["state"] == state


def test_one_place_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="two of the same place"):
        compare([certificate("pg"), certificate("pg")])


def test_what_may_differ_is_not_compared() -> None:
    other = certificate("s3", contract="mine@1#d", digest="e")
    assert compare([certificate("pg"), other], ["contract", "digest"])["read"] == 10
    with pytest.raises(AccountError, match="differ in digest"):
        compare([certificate("pg"), other], ["contract"])
    with pytest.raises(ConfigurationError, match="may_differ has sum; it may have export_id"):
        compare([certificate("pg")], ["sum"])


def test_how_far_the_data_went_may_differ_between_two_readings_of_the_same_results() -> None:
    sources = [{"length": None, "etag": None, "available_until": moment} for moment in ("2026-11-23", "2026-11-24")]
    assert compare([certificate("pg", source=sources[0]), certificate("s3", source=sources[1])])["digest"] == "d"


def test_an_export_that_was_asked_for_anew_stands_for_the_original() -> None:
    anew = certificate("s3", export_id="g,h", original_export_id="e")
    assert compare([certificate("pg"), anew])["export_id"] == "e"


def test_no_certificates_are_an_error() -> None:
    with pytest.raises(ConfigurationError):
        compare([])
