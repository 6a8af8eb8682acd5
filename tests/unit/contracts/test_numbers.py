"""A number is the same, or refused, on each way that reads it: a whole slice, one record, and both ways of a child."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.child_rows import ChildRows
from airflow_provider_genesys.contracts.column import ColumnType
from airflow_provider_genesys.contracts.contract import Column, Contract
from airflow_provider_genesys.contracts.transform import Transform
from airflow_provider_genesys.source.records import Slice

NOW = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
REFUSED = "refused"

FLOATS: dict[str, Any] = {
    "0.1": 0.1,
    "1.10": 1.1,
    "-0": -0.0,
    "-0.0": -0.0,
    "0e5": 0.0,
    "1E5": 100000.0,
    "1e23": 1e23,
    "100000000000000000000000": 1e23,
    "0.30000000000000004": 0.30000000000000004,
    "0.10000000000000001": 0.1,  # as C's %.17g writes it
    "0.1000000000000000055511151231257827021181583404541015625": 0.1,  # the float, in full
    "0.10000000000000000000": 0.1,
    "9007199254740992": 2.0**53,
    "9007199254740993": REFUSED,
    "9223372036854775808": 2.0**63,
    "123456789012345678901": REFUSED,
    "0.1000000000000000000000000000001": REFUSED,
    "5e-324": 5e-324,
    "4.9e-324": 5e-324,
    "2e-324": REFUSED,
    "1.234567e-320": REFUSED,
    "1e-400": REFUSED,
    "-1e-400": REFUSED,
    "1.7976931348623157e308": 1.7976931348623157e308,
    "1e400": REFUSED,
    "1e-99999999999999999999": REFUSED,
    "9" * 400: REFUSED,
    "1." + "0" * 20_000 + "1": REFUSED,
    '"0.1"': 0.1,
    '" 1e2 "': 100.0,
    '"1e-400"': REFUSED,
    '"9007199254740993"': REFUSED,
    '"NaN"': REFUSED,
    '"1_0"': REFUSED,
    '"\u0661"': REFUSED,
    "true": REFUSED,
}
DECIMALS: dict[str, Any] = {
    "0.1000000000000000000000000000001": Decimal("0.1000000000000000000000000000001"),
    "9007199254740993": Decimal(9007199254740993),
    "-0": Decimal("-0"),
    '"1.10"': Decimal("1.10"),
    '" 1 "': Decimal(1),
    r'"\u0031"': Decimal(1),
    '"1_0"': REFUSED,
    '"\u0661"': REFUSED,
    '"NaN"': REFUSED,
    "1e400": REFUSED,
    "1e-400": REFUSED,
    "false": REFUSED,
}
INTEGERS: dict[str, Any] = {
    "9223372036854775807.0": 2**63 - 1,
    "9223372036854775807.5": REFUSED,
    "1e3": 1000,
    "1e-400": REFUSED,
    '"9223372036854775808"': REFUSED,
}
CASES = [
    (kind, text, value)
    for kind, cases in (("number", FLOATS), ("decimal", DECIMALS), ("integer", INTEGERS))
    for text, value in cases.items()
]


def transform(kind: ColumnType, *, required: bool = False) -> Transform:
    named = (Column("id", "id", "string", required=True), Column("at", "at", "timestamp"))
    return Transform(Contract("c", 1, "id", "at", (*named, Column("v", "v", kind, required=required))), NOW)


def read_by(kind: ColumnType, text: str) -> list[Any]:
    """Return what each way makes of the value."""
    record = b'{"id":"a","v":%s}' % text.encode()
    child = Child("c", "items", (ChildColumn("v", "v", kind),))
    fast, slow = ChildRows(child), ChildRows(child)
    slow._reader._decoder = None
    items = b'[{"v":%s}]' % text.encode()
    found = [
        rows[0][1] if rows[0][1] is not None else REFUSED for rows in (list(one.rows(items)) for one in (fast, slow))
    ]
    for required in (False, True):
        reading = transform(kind, required=required)
        part = Slice(0, len(record), record, [0], [len(record)], "lines")
        if at_once := reading.at_once(part):
            found.append(at_once.rows[0][2])
        examined = reading._examined(record, 0)
        found.append(examined.row[2] if examined.row else REFUSED)
    return found


def bits(value: Any) -> Any:
    return struct.pack("d", value) if isinstance(value, float) else (type(value), str(value))


@pytest.mark.parametrize(
    ("kind", "text", "value"), CASES, ids=[f"{kind} {ascii(text)[:30]}" for kind, text, _ in CASES]
)
def test_each_way_holds_the_number_or_refuses_it(kind: ColumnType, text: str, value: Any) -> None:
    assert set(map(bits, read_by(kind, text))) == {bits(value)}


@given(value=st.floats(allow_nan=False, allow_infinity=False), digits=st.sampled_from([0, 17, 25, 800]))
def test_whoever_writes_a_float_gets_it_back(value: float, digits: int) -> None:
    text = f"{value:.{digits - 1}e}" if digits else repr(value)
    assert set(map(bits, read_by("number", text))) == {bits(value)}


@given(
    value=st.floats(allow_nan=False, allow_infinity=False),
    shift=st.sampled_from(["1.5", "0.5", "1.0000000000000000001"]),
)
def test_no_number_becomes_another_one(value: float, shift: str) -> None:
    """What is read differs from what was written by less than one in its last digit."""
    written = (Decimal(value) * Decimal(shift)).normalize()
    last = Decimal((0, (1,), int(written.as_tuple().exponent)))
    for found in read_by("number", f"{written:e}"):
        assert found == REFUSED or abs(Decimal(found) - written) < last


@pytest.mark.parametrize("kind", ["number", "decimal"])
def test_null_and_a_missing_value_are_null_where_none_is_required(kind: ColumnType) -> None:
    for record in (b'{"id":"a","v":null}', b'{"id":"a"}'):
        part = Slice(0, len(record), record, [0], [len(record)], "lines")
        assert transform(kind).at_once(part).rows[0] == ("a", None, None)  # type: ignore[union-attr]
        assert transform(kind, required=True).at_once(part) is None
