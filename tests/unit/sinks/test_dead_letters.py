"""What is kept of a record that was rejected, and the way back to its bytes."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.exceptions import ConfigurationError, DeadLetterError
from airflow_provider_genesys.sinks.dead_letters import DeadLetterLines, DeadLetterRows, RawBytes, opened
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.testing.sink_conformance.source import DAY, PROCESSED_AT, make_batch, make_load


def turned(raw: bytes, _: bytes = b"") -> bytes:
    return raw[::-1]


def test_a_dead_letter_says_what_of_which_load_where_why_and_when() -> None:
    load = make_load()
    before = datetime.now(timezone.utc)

    batch = make_batch(load, range(3, 4), dead={3})
    line = DeadLetterLines(DeadLetterRows(load, RawBytes("keep", None))).pack(batch)

    shown = json.loads(line)
    assert before <= datetime.fromisoformat(shown.pop("created_at").replace("Z", "+00:00"))
    assert shown == {
        "load_id": "load-1",
        "shard": 0,
        "export_id": "export-1",
        "kind": "recordings",
        "window_start": "2026-11-01T00:00:00Z",
        "window_end": "2026-11-02T00:00:00Z",
        "submitted_at": "2026-11-02T00:00:00Z",
        "processed_at": "2026-11-02T03:00:00Z",
        "contract": str(load.contract),
        "run_id": "dag/run/task",
        "source_offset": 3600,
        "stage": "contract",
        "rule": "missing-required",
        "message": "durationMs is missing",
        "raw": '{"recordingId": "recording-0000003"}',
        "raw_form": "text",
        "state": "open",
        "replayed_at": None,
        "replayed_by": None,
        "replayed_contract": None,
    }
    assert load.window_start == DAY


@given(raw=st.binary() | st.text().map(str.encode))
def test_the_exact_bytes_come_back(raw: bytes) -> None:
    kept, form = RawBytes("keep", None).kept(raw)

    assert opened(json.loads(json.dumps({"raw": kept, "raw_form": form})), turned) == raw


@pytest.mark.parametrize(
    ("raw", "form"), [(b"{}", "text"), ("größe 😀".encode(), "text"), (b"\xff", "base64"), (b"a\0b", "base64")]
)
def test_bytes_are_text_where_a_text_can_hold_them(raw: bytes, form: str) -> None:
    assert RawBytes("keep", None).kept(raw)[1] == form


def test_encrypted_bytes_are_kept_as_the_cipher_gave_them() -> None:
    letter = RawBytes("encrypt", turned).kept(b"abc")

    assert letter == ("cba", "encrypted")
    assert opened({"raw": "cba", "raw_form": "encrypted"}, turned) == b"abc"


def test_bytes_that_were_not_kept_do_not_come_back() -> None:
    raw, form = RawBytes("drop", None).kept(b"abc")

    assert (raw, form) == (None, "dropped")
    with pytest.raises(DeadLetterError, match="not kept"):
        opened({"raw": raw, "raw_form": form}, turned)


def test_a_record_in_clear_is_protected_and_says_that_it_is_not_what_came() -> None:
    kept = RawBytes("keep", None).kept(b"abc", b"", lambda raw: raw.upper())

    assert kept == ("ABC", "protected")
    with pytest.raises(DeadLetterError, match="not kept unchanged"):
        opened({"raw": "ABC", "raw_form": "protected"}, turned)


def test_a_record_without_anything_to_protect_is_the_record_as_it_came() -> None:
    assert RawBytes("keep", None).kept(b"abc", b"", lambda raw: raw) == ("abc", "text")


def test_a_record_that_cannot_be_protected_is_in_clear_nowhere() -> None:
    assert RawBytes("keep", turned).kept(b"abc", b"", lambda _: None) == ("cba", "encrypted")
    assert RawBytes("keep", None).kept(b"abc", b"", lambda _: None) == (None, "dropped")


def test_what_is_encrypted_is_the_record_as_it_came() -> None:
    assert RawBytes("encrypt", turned).kept(b"abc", b"", lambda raw: raw.upper()) == ("cba", "encrypted")


def test_a_nul_in_a_message_does_not_keep_the_letter_out_of_postgresql() -> None:
    letter = DeadLetter(0, b"{}", "contract", "wrong-type", "a\0b is not of type integer")
    [row] = DeadLetterRows(make_load(), RawBytes("drop", None)).rows([letter], PROCESSED_AT.isoformat(), None)

    assert row["message"] == "a\ufffdb is not of type integer"


@pytest.mark.parametrize(("how", "encrypt"), [("encrypt", None), ("shred", turned)])
def test_a_form_that_cannot_be_is_refused(how: Any, encrypt: Any) -> None:
    with pytest.raises(ConfigurationError, match="dead_letter_raw"):
        RawBytes(how, encrypt)
