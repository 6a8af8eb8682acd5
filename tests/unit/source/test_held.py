"""Bytes that wait to be cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.source.split.lines import HeldBytes

pieces = st.binary(max_size=40).map(lambda piece: piece * 700)


@given(steps=st.lists(st.one_of(pieces, st.integers(0, 40_000)), max_size=12))
def test_what_is_taken_is_what_was_added(steps: list[bytes | int]) -> None:
    held, model = HeldBytes(), b""
    for step in steps:
        if isinstance(step, bytes):
            held.add(step)
            model += step
        else:
            assert held.take(step) == model[:step]
            model = model[step:]
        assert (len(held), bytes(held)) == (len(model), model)


def test_a_byte_at_a_time_needs_little_more_than_the_bytes() -> None:
    held = HeldBytes()
    for _ in range(100_000):
        held.add(b"x")
    assert len(held._pieces) < 20
    assert bytes(held) == b"x" * 100_000
