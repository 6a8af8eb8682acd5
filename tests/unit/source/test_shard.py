"""Where an archive is cut, and what is believed of the pieces."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.exceptions import (
    AccountError,
    DeadLetterBudgetError,
    SinkUnavailableError,
    SourceChangedError,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.shards import check_end, holds, join_certificates
from airflow_provider_genesys.source.position import Identity, Position
from airflow_provider_genesys.source.shards import WHOLE, Shard, plan_shards
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

NOW = "2026-11-24T00:00:00+00:00"


def record(number: int, more: str = "") -> bytes:
    """A line of about 100 bytes, and ``more`` characters."""
    whole = {
        "recordingId": f"r-{number:05}",
        "timestamp": f"2026-11-22T10:00:{number % 60:02}Z",
        "durationMs": number,
        "x": more,
    }
    return json.dumps(whole).encode() + b"\n"


LINES = b"".join(record(number) for number in range(200))


def planned(archive: bytes, *, shards: int, size: int = 1, chunk: int = 64 * 1024) -> list[Shard]:
    return plan_shards(
        lambda known: InMemory(archive, chunk, known), "export-1", shard_size=size, max_shards=shards, now=NOW
    )


def loaded(archive: bytes, shard: Shard | None, **options: Any) -> tuple[Certificate, Shelf]:
    shelf = Shelf()
    load = a_load() if shard is None else replace(a_load(), shard=shard.number, range=shard)
    settings = Options(**{"batch_size": 7, "max_dead_letter_ratio": None, **options})
    return run(load, InMemory(archive), MemorySink(shelf), settings), shelf


@given(
    lines=st.lists(
        st.sampled_from([b"\n", b"\r\n", b"{}\n", record(1), record(2, "y" * 300)]), min_size=1, max_size=40
    ),
    shards=st.integers(2, 9),
    chunk=st.integers(1, 500),
    last=st.sampled_from([b"", b'{"id": "last"}']),
)
def test_the_ranges_meet_and_begin_where_a_line_does(lines: list[bytes], shards: int, chunk: int, last: bytes) -> None:
    archive = b'{"id": "first"}\n' + b"".join(lines) + last
    plan = planned(archive, shards=shards, chunk=chunk)
    assert len(plan) != 1
    if plan:
        assert [shard.number for shard in plan] == list(range(1, len(plan) + 1))
        assert {shard.count for shard in plan} == {len(plan)}
        assert [0, *(shard.end for shard in plan)] == [*(shard.start for shard in plan), len(archive)]
        assert all(archive[shard.start - 1 : shard.start] == b"\n" for shard in plan[1:])
        assert all(shard.start < shard.end for shard in plan)


def test_the_shards_together_hold_what_the_whole_holds() -> None:
    whole, rows = loaded(LINES, None)
    pieces = [loaded(LINES, shard) for shard in planned(LINES, shards=4)]
    assert len(pieces) == 4
    # processedAt, the last column, is the time of the plan.
    assert [row[:-1] for _, shelf in pieces for row in shelf.rows] == [row[:-1] for row in rows.rows]
    assert {row[-1].isoformat() for _, shelf in pieces for row in shelf.rows} == {NOW}
    joint = join_certificates([certificate for certificate, _ in reversed(pieces)])
    for fact in ("counts", "digest", "bytes_read", "min_timestamp", "max_timestamp", "source", "rules", "drift"):
        assert getattr(joint, fact) == getattr(whole, fact), fact
    assert [shard.number for shard in joint.shards] == [1, 2, 3, 4]


def test_a_shard_is_as_long_as_was_asked_for() -> None:
    assert len(planned(LINES, shards=100, size=len(LINES) // 3)) == 3
    assert planned(LINES, shards=100, size=len(LINES)) == []


@pytest.mark.parametrize(
    "archive",
    [gzip.compress(LINES), b"[" + LINES.strip().replace(b"\n", b",") + b"]", b"", b"\n\n"],
    ids=["gzip", "array", "empty", "blank"],
)
def test_what_cannot_be_cut_is_loaded_in_one_piece(archive: bytes) -> None:
    assert planned(archive, shards=4) == []


def test_one_long_record_is_in_one_shard() -> None:
    archive = record(1) + record(2, "y" * 10_000) + record(3)
    assert [(shard.start, shard.end) for shard in planned(archive, shards=8)] == [
        (0, len(archive) - len(record(3))),
        (len(archive) - len(record(3)), len(archive)),
    ]


def test_a_shard_of_another_archive_is_never_loaded() -> None:
    shard = planned(LINES, shards=4)[2]
    other = LINES.replace(b"r-00099", b"r-99999")
    with pytest.raises(SourceChangedError):
        loaded(other, shard)


def test_a_checkpoint_of_an_older_plan_is_not_continued() -> None:
    before, after = planned(LINES, shards=4)[2], planned(LINES, shards=3)[2]

    shelf = Shelf()
    load = replace(a_load(), shard=3, range=before)
    with pytest.raises(SinkUnavailableError):
        run(load, InMemory(LINES), MemorySink(shelf, fail_at=2), Options(batch_size=7))
    assert shelf.rows
    run(replace(load, range=after), InMemory(LINES), MemorySink(shelf), Options(batch_size=7))
    assert shelf.rows == loaded(LINES, after)[1].rows


def joint_of(shards: int = 3) -> list[Certificate]:
    return [loaded(LINES, shard)[0] for shard in planned(LINES, shards=shards)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found[:-1],
        lambda found: found[1:],
        lambda found: [*found, found[0]],
        lambda found: [replace(found[0], digest="0", contract="another@1#0"), *found[1:]],
        lambda found: [replace(found[0], source=Identity(1, "other")), *found[1:]],
        lambda found: [
            found[0],
            replace(found[1], shard=replace(found[1].shard, start=found[1].shard.start + 1)),
            found[2],
        ],
        lambda found: [replace(found[0], shard=None), *found[1:]],
    ],
    ids=["last missing", "first missing", "twice", "another contract", "another archive", "a gap", "no shard"],
)
def test_shards_that_are_not_one_whole_are_not_joined(spoil: Any) -> None:
    with pytest.raises(AccountError, match="do not make one whole"):
        join_certificates(spoil(joint_of()))


class JoiningMemory(MemorySink):
    """Joins what it is given."""

    certificates: list[Certificate]

    def join(self, load: Any, joined: Any) -> Certificate | None:
        return joined(self.certificates)


def test_the_share_of_dead_letters_is_judged_over_all_shards() -> None:
    half = len(LINES) // 2
    archive = LINES[:half].rsplit(b"\n", 1)[0] + b"\n" + b"broken\n" * 30 + LINES[half:]
    first, second = planned(archive, shards=2)
    sink = JoiningMemory(Shelf())
    sink.certificates = [loaded(archive, first)[0], loaded(archive, second)[0]]
    of_all = sum(one.counts.dead_letters for one in sink.certificates) / sum(
        one.counts.read for one in sink.certificates
    )
    load = replace(a_load(), shard=2, range=second)
    assert max(one.counts.dead_letters / one.counts.read for one in sink.certificates) > of_all + 0.01
    run(load, InMemory(archive), sink, Options(max_dead_letter_ratio=of_all + 0.01))
    with pytest.raises(DeadLetterBudgetError):
        run(load, InMemory(archive), sink, Options(max_dead_letter_ratio=of_all - 0.01))


@pytest.mark.parametrize(
    ("first", "end", "own"), [(100, 100, True), (100, 200, True), (100, 201, False), (99, 150, False), (0, 150, False)]
)
def test_a_checkpoint_belongs_to_the_range_that_it_began_and_did_not_pass(first: int, end: int, own: bool) -> None:
    begun = Checkpoint("load-1", "export-1", NOW, first=first, position=Position(end))
    assert holds(Shard(1, 3, 100, 200), begun) is own


def test_a_shard_is_read_to_its_end() -> None:
    for end in (199, 201):
        with pytest.raises(AccountError, match=f"was read to byte {end}, and ends at byte 200"):
            check_end(Shard(1, 3, 100, 200), Checkpoint("load-1", "export-1", NOW, position=Position(end)))
    check_end(Shard(1, 3, 100, 200), Checkpoint("load-1", "export-1", NOW, position=Position(200)))
    check_end(WHOLE, Checkpoint("load-1", "export-1", NOW, position=Position(200)))
