"""Bytes that wait to be cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.source.records import Pieces
from airflow_provider_genesys.source.split.lines import _LARGE, HeldBytes

pieces = st.binary(max_size=40).map(lambda piece: piece * 700)


@given(steps=st.lists(st.one_of(pieces, st.integers(0, 40_000)), max_size=12))
def test_what_is_taken_is_what_was_added(steps: list[bytes | int]) -> None:
    held, model = HeldBytes(), b""
    for step in steps:
        if isinstance(step, bytes):
            held.add(step)
            model += step
        else:
            assert held.take(step)[:] == model[:step]
            model = model[step:]
        assert (len(held), bytes(held)) == (len(model), model)


def test_a_byte_at_a_time_needs_little_more_than_the_bytes() -> None:
    held = HeldBytes()
    for _ in range(100_000):
        held.add(b"x")
    assert len(held._pieces) < 20
    assert bytes(held) == b"x" * 100_000


@given(
    joined=st.lists(st.binary(min_size=1, max_size=9), max_size=6), begin=st.integers(-70, 70), end=st.integers(-70, 70)
)
def test_pieces_that_are_not_joined_are_cut_like_bytes(joined: list[bytes], begin: int, end: int) -> None:
    held, model = Pieces([*map(memoryview, joined)]), b"".join(joined)
    assert (len(held), held[:], held[begin:end]) == (len(model), model, model[begin:end])


def test_bytes_for_a_worker_are_not_joined() -> None:
    held = HeldBytes()
    for _ in range(3):
        held.add(b"x" * (_LARGE // 2))
    taken = held.take(_LARGE)
    assert isinstance(taken, Pieces)
    assert len(taken.pieces) == 2
