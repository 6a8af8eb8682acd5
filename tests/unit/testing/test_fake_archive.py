from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.testing.fake_genesys import Archive
from airflow_provider_genesys.testing.fake_genesys.archive import FileFormat
from airflow_provider_genesys.testing.fake_genesys.broken import RULES

START = datetime(2026, 11, 22, tzinfo=timezone.utc)
DAY = timedelta(days=1)
FORMATS: tuple[FileFormat, ...] = ("ndjson", "json", "json-pretty")
RECORDS = 2_500
"""Two whole blocks and part of a third."""


def archive(records: int = RECORDS, **changes: Any) -> Archive:
    return Archive(START, START + DAY, records, **changes)


@cache
def in_order(file_format: FileFormat, records: int) -> bytes:
    return archive(records, file_format=file_format, broken=9, duplicates=9).read()


@given(data=st.data(), file_format=st.sampled_from(FORMATS), records=st.sampled_from([1_024, 1_324]))
def test_any_range_equals_the_same_bytes_read_in_order(
    data: st.DataObject, file_format: FileFormat, records: int
) -> None:
    whole = in_order(file_format, records)
    places = st.integers(0, len(whole) + 3) | st.integers(len(whole) - 5, len(whole))
    start, stop = data.draw(places), data.draw(places)
    assert archive(records, file_format=file_format, broken=9, duplicates=9).read(start, stop) == whole[start:stop]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("records", [0, 1, 2, 1023, 1024, 1025])
def test_every_number_of_records_makes_a_document_of_the_stated_size(records: int, file_format: FileFormat) -> None:
    made = archive(records, file_format=file_format)
    text = made.read()
    assert len(text) == made.size
    decoded = [json.loads(line) for line in text.splitlines()] if file_format == "ndjson" else json.loads(text)
    assert len(decoded) == records
    assert decoded == list(made.good_records())


def test_the_formats_hold_the_same_records() -> None:
    first, *others = (list(archive(file_format=file_format).good_records()) for file_format in FORMATS)
    assert all(other == first for other in others)


def test_the_same_arguments_give_the_same_bytes_and_any_other_argument_other_ids() -> None:
    ids = {record["recordingId"] for record in archive().good_records()}
    assert archive().read() == archive().read()
    assert archive().etag == archive().etag
    for other in (
        archive(seed=2),
        archive(revision=1),
        Archive(START + DAY, START + 2 * DAY, RECORDS),
        Archive(START, START + 2 * DAY, RECORDS),
    ):
        assert ids.isdisjoint(record["recordingId"] for record in other.good_records())
        assert other.etag != archive().etag


def test_the_bytes_are_those_of_every_other_machine_and_python() -> None:
    # Changes with the made-up content only. Anything else that changes it breaks somebody's stored expectation.
    text = archive(seed=7, broken=20, duplicates=20).read()
    assert sha256(text).hexdigest()[:16] == "2cae7f0c6b348992"


def test_another_revision_keeps_the_length() -> None:
    assert archive(revision=1).size == archive().size


def test_records_have_the_shape_of_the_export() -> None:
    for record in archive(1_024).good_records():
        assert list(record)[:5] == ["recordingId", "conversationId", "timestamp", "durationMs", "direction"]
        assert isinstance(record["durationMs"], int)
        assert record["direction"] in {"inbound", "outbound"}
        assert record.get("queue") is None or set(record["queue"]) == {"id", "name"}
        assert set(record["media"]) == {"type", "format", "channels", "sizeBytes"}
        assert 2 <= len(record["participants"]) <= 4
        assert all(participant["sessions"] for participant in record["participants"])
        assert set(record["metadata"]) - {"wrapUpCode"} == {"language", "tags", "note"}


def test_timestamps_ascend_within_the_window_but_for_neighbours() -> None:
    window = Archive(START, START + timedelta(minutes=7), RECORDS)
    times = [datetime.fromisoformat(record["timestamp"].replace("Z", "+00:00")) for record in window.good_records()]
    assert min(times) == START
    assert max(times) < window.window_end
    assert max(times) > window.window_end - timedelta(seconds=1)
    assert times != sorted(times)
    assert times[1::2] + times[:1] == sorted(times[1::2]) + times[:1]


def test_the_data_is_as_varied_as_real_exports() -> None:
    text = archive(10_240).read()
    records = [json.loads(line) for line in text.splitlines()]
    without_queue = sum(record.get("queue") is None for record in records) / len(records)
    assert 1_100 < len(text) / len(records) < 1_350
    assert 0.05 < without_queue < 0.12
    assert {"queue" in record for record in records if record.get("queue") is None} == {True, False}
    assert len({record["recordingId"] for record in records}) == len(records)
    assert len({record["conversationId"] for record in records}) == len(records)
    for wanted in (b'\\"', b"\\\\", b"\\n", b"\\u00fc", b"\\ud83d", "👍".encode(), "東京".encode(), "العميل".encode()):
        assert wanted in text


def fault_of(line: bytes) -> str:
    """Say what is wrong with a record, judged by the standard library."""
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError:
        return "invalid-utf8"
    except json.JSONDecodeError:
        return "truncated" if line.startswith(b"{") else "not-json"
    if "recordingId" not in record:
        return "missing-id"
    if not isinstance(record["durationMs"], int):
        return "duration-text"
    return "nul-escape" if "\0" in record["metadata"]["note"] else "good"


@pytest.mark.parametrize("broken", [0, 1, 6, 25, RECORDS])
def test_the_tally_is_what_an_independent_reader_finds(broken: int) -> None:
    made = archive(broken=broken)
    found = Counter(fault_of(line) for line in made.read().split(b"\n")[:-1])
    good = found.pop("good", 0)
    assert (found, good, found.total() + good) == (made.tally.broken, made.tally.good, made.tally.records)
    assert sum(1 for _ in made.good_records()) == good


def test_broken_records_move_nothing_behind_them() -> None:
    perfect, damaged = archive().read(), archive(broken=25).read()
    pairs = list(zip(perfect.split(b"\n"), damaged.split(b"\n"), strict=True))
    assert len(perfect) == len(damaged)
    assert sum(one != other for one, other in pairs) == 25
    assert all(len(one) == len(other) for one, other in pairs)


def elements(text: bytes) -> int:
    """Count the elements of an array by its brackets and strings alone; fails where they do not balance."""
    depth, commas, in_string, escaped = 0, 0, False, False
    for position, byte in enumerate(text):
        if in_string:
            in_string, escaped = escaped or byte != ord('"'), byte == ord("\\") and not escaped
        elif byte == ord('"'):
            in_string = True
        elif byte in b"[{":
            depth += 1
        elif byte in b"]}":
            depth -= 1
            assert depth or not text[position + 1 :].strip(), f"closed early at {position}"
        elif byte == ord(",") and depth == 1:
            commas += 1
    assert (depth, in_string) == (0, False)
    return commas + 1


@pytest.mark.parametrize("file_format", ["json", "json-pretty"])
def test_an_array_stays_balanced_around_broken_records(file_format: FileFormat) -> None:
    assert elements(archive(200, file_format=file_format, broken=100).read()) == 200


def test_an_array_may_be_told_to_leave_brackets_open() -> None:
    with pytest.raises(AssertionError):
        elements(archive(200, file_format="json", broken=2, balanced=False).read())


@pytest.mark.parametrize("broken", [0, 40, 1_000])
def test_duplicates_repeat_an_id_with_other_content(broken: int) -> None:
    made = archive(broken=broken, duplicates=300)
    seen = Counter(record["recordingId"] for record in made.good_records())
    assert len(seen) == made.tally.distinct_ids
    assert seen.total() == made.tally.good
    assert max(seen.values()) == 2


def test_every_rule_is_used() -> None:
    assert set(archive(broken=len(RULES)).tally.broken) == set(RULES)


@pytest.mark.parametrize("changes", [{"broken": -1}, {"broken": RECORDS + 1}, {"duplicates": RECORDS}])
def test_impossible_numbers_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is not between"):
        archive(**changes)
