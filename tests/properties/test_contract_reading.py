"""The compiled way of reading records gives what the careful way gives, for any contract and any value."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.child_values import ChildValues
from airflow_provider_genesys.contracts.contract import PROCESSED_AT, Column, Contract
from airflow_provider_genesys.contracts.drift import name_of
from airflow_provider_genesys.contracts.examine import Examined, Examiner
from airflow_provider_genesys.contracts.transform import Rows, Transform
from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.source.records import Slice

NOW = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)

NUMBERS = [
    *("0", "-0", "-0.0", "1500", "1500.0", "1e3", "1.5", "0.1", "1e308", "1e309", "1e-400", "1E+5", "0E+50"),
    *("9007199254740993", "9007199254740993.0", "0.1000000000000000055511151231257827"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551616", "1" * 30, "1" * 41, "1" * 42, "1" * 400, "1" * 5_000, "1e99999999999999999999"),
]
TEXTS = [
    *('""', '"a"', '"\\u00fc"', '"ü"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00"', '"\\u0000"', '"\\\\u0000"'),
    *('"1500"', '" 15 "', '"1.5"', '"NaN"', '"Infinity"', '"1e999999"', '"true"', '"no"'),
    *(
        '"2026-11-22T10:00:00Z"',
        '"2026-11-22T10:00:00.1234567+05:30"',
        '"2026-11-22T10:00:00"',
        '" 2026-11-22T10:00:00Z"',
    ),
    *('"2016-12-31T23:59:60Z"', '"0000-01-01T00:00:00Z"', '"0001-01-01T00:00:00+01:00"', '"9999-12-31T23:59:59-01:00"'),
    *(
        '"2026-11-22"',
        '"2026-11-22 10:00:00Z"',
        '"123e4567-e89b-12d3-a456-426614174000"',
        '"{123e4567-e89b-12d3-a456-426614174000}"',
    ),
    *('"123E4567E89B12D3A456426614174000"', '"\xff"'),
]
OTHERS = ["null", " null ", "true", "false", "[]", "{}", '[{"a":null}]', '{"a":"\\u0000"}', "[1, 2]"]
FITTING = {
    "string": ['"a"', '"ü"', '"\\n"', '""'],
    "integer": ["0", "1500", "-9223372036854775808", "9007199254740993"],
    "number": ["0.5", "1500", "1e308", "9007199254740993"],
    "decimal": ["0.1", "1500", '"2.50"', "1e5"],
    "boolean": ["true", "false"],
    "timestamp": ['"2026-11-22T10:00:00Z"', '"2026-11-22T10:00:00.5+02:00"', '"2026-11-22T10:00:00"'],
    "uuid": ['"123e4567-e89b-12d3-a456-426614174000"'],
    "json": ["[1]", '{"a": 1}', '"text"', "0", "null"],
}
UNKNOWN = ["x", "y", "y.z", "", "ü", "id "]
ODD = [PROCESSED_AT, 'q"t', "back\\slash", "n\0l"]
rarely = st.integers(0, 24).map(lambda number: number == 24)
places = st.sampled_from(["a", "b", "c", "o.a", "o.b", "o.p.a", "o.p.b", "r.s.t"])


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    paths = list(draw(st.sets(places, max_size=5)))
    columns = [
        Column(path, path, draw(st.sampled_from(sorted(FITTING))), draw(st.booleans())) for path in sorted(paths)
    ]
    at = Column("at", "at", "timestamp", draw(st.booleans()))
    return Contract(
        "c",
        1,
        "id",
        "at",
        (Column("id", "id", "string", required=True), at, *columns, Column("now", PROCESSED_AT, "timestamp")),
    )


@st.composite
def fields(draw: st.DrawFn, contract: Contract, parent: tuple[str, ...]) -> str:
    """One JSON object, as text: the contract's fields below ``parent``, some of them missing, and unknown ones."""
    parts: list[tuple[str, str]] = []
    for step in sorted(
        {tuple(column.path.split("."))[: len(parent) + 1] for column in contract.columns if column.path != PROCESSED_AT}
    ):
        if step[:-1] != parent or len(step) == len(parent) or (step != ("id",) and draw(rarely)):
            continue
        leaf = next((column for column in contract.columns if column.path == ".".join(step)), None)
        parts.append((step[-1], draw(leaf_values(leaf) if leaf else objects(contract, step))))
    unknown = draw(st.sets(st.sampled_from(ODD if draw(rarely) else UNKNOWN), max_size=2))
    parts += [(name, draw(st.sampled_from(OTHERS + NUMBERS[:3]))) for name in unknown]
    if parts and draw(rarely):
        parts.append((parts[0][0], draw(st.sampled_from(OTHERS + TEXTS))))  # a key that comes twice
    return "{" + ", ".join(f"{json.dumps(name)}:{value}" for name, value in draw(st.permutations(parts))) + "}"


def objects(contract: Contract, path: tuple[str, ...]) -> st.SearchStrategy[str]:
    odd = st.sampled_from(["null", "[]", '"text"', "7"])
    return rarely.flatmap(lambda chance: odd if chance else fields(contract, path))


def leaf_values(column: Column) -> st.SearchStrategy[str]:
    any_other = st.sampled_from(NUMBERS + TEXTS + OTHERS)
    return rarely.flatmap(lambda chance: any_other if chance else st.sampled_from(FITTING[column.type]))


def slice_of(records: list[bytes], shape: Any) -> Slice:
    separator = b"\n" if shape == "lines" else b", "
    starts, ends, data = [], [], b""
    for record in records:
        starts.append(len(data))
        data += record + (separator if shape == "lines" else b"")
        ends.append(len(data))
        data += b"" if shape == "lines" else separator
    return Slice(0, len(data), data, starts, ends, shape)


def with_care(
    part: Slice, contract: Contract
) -> tuple[list[Any], list[int], list[tuple[int, str]], Counter[tuple[str, str]]]:
    """Read every record by :class:`Examiner` alone."""
    rows, offsets, letters, drift = [], [], [], Counter[tuple[str, str]]()
    examiner = Examiner(contract, NOW, {}, ChildValues.of(contract))
    for start, end in zip(part.starts, part.ends, strict=True):
        try:
            examined = examiner.examine(part.raw(start, end))
        except RecordError as error:
            examined = Examined(error=error)
        drift.update((name_of(surprise.path), surprise.kind) for surprise in examined.surprises)
        if examined.row is None:
            letters.append((start, examined.error.rule))  # type: ignore[union-attr]
        else:
            rows.append(examined.row)
            offsets.append(start)
    return rows, offsets, letters, drift


def shown(rows: Iterable[Any]) -> list[str]:
    """Rows as text: True is not 1, -0.0 is not 0.0, a Decimal is its digits."""
    return [repr(row) for row in rows]


def counts(result: Rows) -> Counter[tuple[str, str]]:
    """Records by field and kind of drift."""
    return Counter({(drift.field, drift.kind): drift.count for drift in result.drift})


def applied(transform: Transform, part: Slice) -> Rows:
    """The rows of a slice that no evolution cuts."""
    ((whole, rows),) = transform.read(part)
    assert whole is part
    return rows


def assert_same(result: Rows, part: Slice, contract: Contract) -> None:
    rows, offsets, letters, drift = with_care(part, contract)
    assert shown(result.rows) == shown(rows)
    assert result.offsets == offsets
    assert [(letter.offset, letter.rule) for letter in result.dead_letters] == letters
    assert counts(result) == drift


@given(data=st.data(), contract=contracts(), shape=st.sampled_from(["lines", "array"]))
def test_compiled_reading_equals_careful_reading(data: st.DataObject, contract: Contract, shape: str) -> None:
    transform = Transform(contract, NOW)
    for _ in range(2):  # the second slice is read with what the first one taught
        texts = data.draw(st.lists(fields(contract, ()), min_size=1, max_size=4))
        part = slice_of([text.encode("latin-1" if "\xff" in text else "utf-8", "replace") for text in texts], shape)
        for _ in range(2):
            assert_same(applied(transform, part), part, contract)


def test_a_field_in_every_record_is_learned_from_the_first_few(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("id", "id", "string", required=True), Column("at", "at", "timestamp"))
    contract = Contract("c", 1, "id", "at", columns)
    looked_into, examine = list[bytes](), Examiner.examine

    def noted(self: Examiner, raw: bytes) -> Examined:
        looked_into.append(raw)
        return examine(self, raw)

    monkeypatch.setattr(Examiner, "examine", noted)
    records = [b'{"id":"%d","new":1}' % number for number in range(500)]
    result = applied(Transform(contract, NOW), slice_of(records, "lines"))
    assert looked_into == records[:10]
    assert counts(result) == {("new", "unknown"): 500}


@given(data=st.data(), shape=st.sampled_from(["lines", "array"]))
def test_drift_is_counted_exactly(data: st.DataObject, shape: str) -> None:
    """Held against the standard library, in as many records as hold each unknown field, in whatever order they come."""
    contract = Contract(
        "c", 1, "id", "at", (Column("id", "id", "string", required=True), Column("at", "o.at", "timestamp"))
    )
    transform, seen, wanted = Transform(contract, NOW), Counter(), Counter()
    for _ in range(data.draw(st.integers(1, 4))):
        names = st.lists(st.sampled_from(UNKNOWN + ODD[1:]), unique=True, max_size=3)
        records = [
            {"id": "1", **dict.fromkeys(data.draw(names)), "o": {key: [1] for key in data.draw(names)}}
            for _ in range(data.draw(st.integers(1, 25)))  # after ten, some of the slice is read with what they taught
        ]
        for record in records:
            wanted.update((name_of([key]), "unknown") for key in record if key not in ("id", "o"))
            wanted.update((name_of(["o", key]), "unknown") for key in record["o"])
        part = slice_of([json.dumps(record).encode() for record in records], shape)
        seen.update(counts(applied(transform, part)))
    assert seen == wanted
