"""A window in pieces: together they are the whole, and each record is of one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.cloud.exports.pieces import BY_START_DAY, cut
from airflow_provider_genesys.exceptions import WindowTooLargeError

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
MOMENTS = st.integers(0, 4 * 86_400_000).map(lambda ms: DAY + timedelta(milliseconds=ms))


@given(MOMENTS, st.integers(60_000 * 64, 3 * 86_400_000), st.integers(0, 6), MOMENTS, st.booleans())
def test_a_record_of_the_window_belongs_to_one_piece_and_any_other_to_none(
    start: datetime, length: int, power: int, begun: datetime, by_day: bool
) -> None:
    end = start + timedelta(milliseconds=length)
    pieces = cut(start, end, 2**power, {BY_START_DAY: by_day})
    first, last = (start.date(), (end - timedelta(microseconds=1)).date()) if by_day else (None, None)
    wanted = first <= begun.date() <= last if first and last else begun < end
    assert sum(piece.owns(begun) for piece in pieces) == wanted
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]


def test_pieces_begin_on_whole_seconds_since_genesys_knows_no_less_than_a_millisecond() -> None:
    assert {piece.start.microsecond for piece in cut(DAY, DAY + timedelta(seconds=1001), 16, {})} == {0}


def test_a_record_that_does_not_say_when_it_began_is_lost_in_no_piece() -> None:
    assert all(piece.owns(None) for piece in cut(DAY, DAY + timedelta(days=1), 4, {}))


def test_no_piece_is_shorter_than_a_minute() -> None:
    assert len(cut(DAY, DAY + timedelta(minutes=4), 4, {})) == 4
    with pytest.raises(WindowTooLargeError, match="8th part"):
        cut(DAY, DAY + timedelta(minutes=4), 8, {})
