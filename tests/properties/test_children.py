"""A child's rows are the same whichever way they are read: straight into their columns, or value by value."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from itertools import accumulate
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.child_objects import ObjectReader
from airflow_provider_genesys.contracts.child_rows import ChildRows
from airflow_provider_genesys.contracts.coerce import coerced
from airflow_provider_genesys.contracts.column import ColumnType
from airflow_provider_genesys.contracts.column_rows import values_at
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.contracts.transform import Transform
from airflow_provider_genesys.source.records import Slice
from airflow_provider_genesys.testing.fake_genesys.conversations import Interactions

CONVERSATIONS = resolve("conversation_details", kind="")
CHILDREN = CONVERSATIONS.children
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
    """Return the rows as a child gives them that cannot decode its objects at once."""
    slow = ChildRows(child)
    slow._reader._decoder = None
    return list(slow.rows(text))


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child.name)
@given(value=VALUES)
def test_whatever_the_json_is(child: Child, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    assert list(ChildRows(child).rows(text)) == by_value(child, text)


LITERALS = st.one_of(
    SCALARS.map(json.dumps),
    st.sampled_from(["1000.0", "1e3", '"1000"', "1.10", "-0", "-0.0", "1e400", "9" * 400, '" 2026-11-22T10:00:00 "']),
    st.sampled_from(['"true"', '"6070649B-AA3C-461D-AA7B-FC5B47970051"', '"0.1"', '"NaN"', "[1.10]", '{"a" : 1.0}']),
)


@pytest.mark.parametrize("kind", get_args(ColumnType))
@given(literal=LITERALS)
def test_a_value_becomes_what_it_becomes_in_a_column_of_the_record(kind: ColumnType, literal: str) -> None:
    child, text = Child("c", "list", (ChildColumn("value", "value", kind),)), literal.encode()
    rows = list(ChildRows(child).rows(b'[{"value": %b}]' % text))
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
    rows = list(ChildRows(segments).rows(participants(**changes)))
    assert rows == by_value(segments, participants(**changes))
    assert [row[:3] for row in rows] == [(1, "p", "s"), (2, "p", "s")]


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child.name)
def test_conversations_as_genesys_gives_them_are_decoded_straight(child: Child) -> None:
    organization = Interactions(50, seed=3)
    for number in range(50):
        text = json.dumps(json.loads(organization.render(number)).get(child.source, [])).encode()
        assert ObjectReader([child]).exact(text) is not None
        assert list(ChildRows(child).rows(text)) == by_value(child, text)


OTHERWISE = Child("otherwise", "participants", (ChildColumn("sessions", "sessions", "json"),))
"""Reads as a value what other children read as a list."""
CONTRACT = replace(CONVERSATIONS, children=(*CHILDREN, OTHERWISE)).with_modes({"type": "discard_value"})
NOW = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
CHANGES = st.dictionaries(st.sampled_from(NAMES), SCALARS, max_size=1)


def transformed(part: Slice, *, children_follow: bool) -> tuple[list[Any], list[Any]]:
    """Return the rows and letters of a slice, and the columns of the child rows that are made of the rows."""
    transform = Transform(CONTRACT, NOW, children_follow=children_follow)
    read, made = [], []
    for _, rows in transform.read(part):
        read.append((list(rows.rows), rows.offsets, rows.dead_letters, rows.drift))
        for child in CONTRACT.children:
            values = values_at(rows.rows, CONTRACT.index(child.source))
            made.append(ChildRows(child).columns(values))
    return read, made


@given(lists=st.lists(CHANGES.map(lambda changes: participants(**changes)) | VALUES.map(json.dumps).map(str.encode)))
def test_rows_are_the_same_of_what_was_decoded_to_judge_them(lists: list[bytes]) -> None:
    start = b'"conversationId": "c", "conversationStart": "2026-11-22T10:00:00Z"'
    records = [b'{%b, "participants": %b}\n' % (start, text) for text in lists]
    ends = list(accumulate(map(len, records)))
    part = Slice(0, sum(map(len, records)), b"".join(records), [0, *ends[:-1]][: len(ends)], ends, "lines")
    assert transformed(part, children_follow=True) == transformed(part, children_follow=False)


def test_what_was_decoded_to_judge_it_is_not_decoded_again() -> None:
    text = b'{"conversationId": "c", "conversationStart": "2026-11-22T10:00:00Z", "participants": %b}' % participants()
    rows = Transform(CONTRACT, NOW, children_follow=True).at_once(Slice(0, len(text), text, [0], [len(text)], "lines"))
    assert rows
    for child in CONTRACT.children:
        made = ChildRows(child)
        vars(made)["_reader"] = None  # it would decode
        values = values_at(rows.rows, CONTRACT.index(child.source))
        assert made.columns(values) == ChildRows(child).columns([value and bytes(value) for value in values])
