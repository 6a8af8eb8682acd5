"""A child's rows are the same whichever way they are read: straight into their columns, or value by value."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.coerce import coerced
from airflow_provider_genesys.contracts.column import ColumnType
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.testing.fake_genesys.conversations import Interactions

CHILDREN = resolve("conversation_details", kind="").children
NAMES = sorted(
    {column.place[1] for child in CHILDREN for column in child.columns} | {"sessions", "segments", "metrics"}
)
TIMES = st.sampled_from(["2026-11-22T10:00:00Z", "2026-11-22T10:00:00.123Z", "2026-11-22T10:00:00+02:00", "2026-11-22"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    TIMES,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)


def by_value(child: Child, text: bytes) -> list[tuple[Any, ...]]:
    """Return the rows as a child gives them that cannot decode them otherwise."""
    slow = replace(child)
    vars(slow)["_decoder"] = None
    return list(slow.rows(text))


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child.name)
@given(value=VALUES)
def test_whatever_the_json_is(child: Child, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    assert list(child.rows(text)) == by_value(child, text)


LITERALS = st.one_of(
    SCALARS.map(json.dumps),
    st.sampled_from(["1000.0", "1e3", '"1000"', "1.10", "-0", "-0.0", "1e400", "9" * 400, '" 2026-11-22T10:00:00 "']),
    st.sampled_from(['"true"', '"6070649B-AA3C-461D-AA7B-FC5B47970051"', '"0.1"', '"NaN"', "[1.10]", '{"a" : 1.0}']),
)


@pytest.mark.parametrize("kind", get_args(ColumnType))
@given(literal=LITERALS)
def test_a_value_becomes_what_it_becomes_in_a_column_of_the_record(kind: ColumnType, literal: str) -> None:
    child, text = Child("c", "list", (ChildColumn("value", "value", kind),)), literal.encode()
    rows = list(child.rows(b'[{"value": %b}]' % text))
    try:
        wanted = None if text == b"null" else coerced(kind, text)
    except ValueError:
        wanted = None
    wanted = wanted.decode() if isinstance(wanted, bytes) else wanted
    assert rows == by_value(child, b'[{"value": %b}]' % text) == [(1, wanted)]
    assert type(rows[0][1]) is type(wanted)


def participants(**changes: Any) -> bytes:
    """One participant with a session of two segments, one of which is changed."""
    segment = {"segmentStart": "2026-11-22T10:00:00Z", "segmentType": "interact", "conference": False}
    session = {"sessionId": "s", "mediaType": "voice", "segments": [segment, {**segment, **changes}]}
    return json.dumps([{"participantId": "p", "purpose": "agent", "sessions": [session]}]).encode()


@pytest.mark.parametrize(
    "changes",
    [{}, {"segmentType": 5}, {"segmentStart": "2026-11-22T12:00:00+02:00"}, {"conference": "no"}, {"segmentEnd": "x"}],
)
def test_a_value_of_another_type_or_zone(changes: dict[str, Any]) -> None:
    segments = next(child for child in CHILDREN if child.name == "segments")
    rows = list(segments.rows(participants(**changes)))
    assert rows == by_value(segments, participants(**changes))
    assert [row[:3] for row in rows] == [(1, "p", "s"), (2, "p", "s")]


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child.name)
def test_conversations_as_genesys_gives_them_are_decoded_straight(child: Child) -> None:
    organization = Interactions(50, seed=3)
    for number in range(50):
        text = json.dumps(json.loads(organization.render(number)).get(child.source, [])).encode()
        assert child._decoder
        found = child._decoder.rows(text)
        assert found is not None
        assert [(n, *row) for n, row in enumerate(found, 1)] == by_value(child, text)
