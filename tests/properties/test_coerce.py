"""Values of another JSON type are taken where nothing is lost, held against Python's own exact numbers and times."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.coerce import coerced
from airflow_provider_genesys.contracts.column import ColumnType

INT64 = st.integers(-(2**63), 2**63 - 1)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=9)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))  # noqa: DTZ001 - those without a zone are meant


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def refused(kind: ColumnType, text: bytes) -> None:
    with pytest.raises(ValueError, match=kind):
        coerced(kind, text)


@given(number=INT64)
@example(number=2**53 + 1)
@example(number=-(2**63))
def test_an_integer_is_exact_however_it_is_written(number: int) -> None:
    for text in (b"%d" % number, b'"%d"' % number, b"%d.000" % number, b'" %d.0 "' % number):
        assert coerced("integer", text) == number
    assert coerced("string", b"%d" % number) == str(number)


@given(number=st.integers(min_value=2**63) | st.integers(max_value=-(2**63) - 1))
@example(number=2**63)
def test_an_integer_that_does_not_fit_is_none(number: int) -> None:
    refused("integer", b"%d" % number)
    refused("integer", b'"%d"' % number)
    assert coerced("string", b"%d" % number) == str(number)


@given(number=INT64, fraction=st.integers(1, 999))
def test_a_number_with_a_fraction_is_no_integer(number: int, fraction: int) -> None:
    refused("integer", b"%d.%03d" % (number, fraction))


@given(number=DECIMALS)
@example(number=Decimal("0.1000000000000000055511151231257827"))
@example(number=Decimal("1.10"))
def test_a_decimal_keeps_its_digits(number: Decimal) -> None:
    for text in (format(number, "f").encode(), b'"%s"' % format(number, "f").encode()):
        assert coerced("decimal", text).as_tuple() == number.as_tuple()


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_float_that_was_written(number: float) -> None:
    assert coerced("number", as_json(number)) == coerced("number", as_json(repr(number))) == number


@given(moment=MOMENTS, zone=OFFSETS)
def test_a_time_is_the_same_moment_in_utc_whatever_its_zone(moment: datetime, zone: timezone) -> None:
    found = coerced("timestamp", as_json(moment.replace(tzinfo=zone).isoformat()))
    assert found == moment.replace(tzinfo=zone)
    assert found.tzinfo is timezone.utc


@given(moment=MOMENTS)
def test_a_time_without_a_zone_is_one_in_utc(moment: datetime) -> None:
    assert coerced("timestamp", as_json(moment.isoformat())) == moment.replace(tzinfo=timezone.utc)
    assert coerced("timestamp", as_json(moment.isoformat(" ") + "Z")) == moment.replace(tzinfo=timezone.utc)


@given(moment=MOMENTS, zone=OFFSETS)
@example(moment=datetime(2016, 12, 31, 23, 59), zone=timezone.utc)  # noqa: DTZ001 - there was one
def test_a_leap_second_is_no_time(moment: datetime, zone: timezone) -> None:
    whole = moment.replace(second=0, microsecond=0, tzinfo=zone).isoformat()
    refused("timestamp", as_json(whole[:17] + "60" + whole[19:]))


@pytest.mark.parametrize("kind", ["integer", "number", "decimal", "timestamp", "uuid"])
@pytest.mark.parametrize("text", [b"true", b"null", b"[]", b"{}", b'""', b'"much"', b'"NaN"', b"1e999"])
def test_what_is_of_no_such_kind_is_refused(kind: ColumnType, text: bytes) -> None:
    refused(kind, text)


@pytest.mark.parametrize("kind", ["integer", "number", "decimal"])
@pytest.mark.parametrize("text", ["1_000", "1__0", "\u0661\u0662", "\uff11", "0x10", "1e1_0"])
def test_a_text_that_only_python_takes_for_a_number_is_refused(kind: ColumnType, text: str) -> None:
    refused(kind, as_json(text))


@pytest.mark.parametrize(
    "text",
    [
        "0f8fad5b-d9cb-469f-a165-7086772895_e",
        "+f8fad5b-d9cb-469f-a165-70867728950e",
        " f8fad5b-d9cb-469f-a165-70867728950e",
        "0f8fad5b-d9cb-469f-a165-7086772895\u0660e",
        "0f8fad5bd-9cb-469f-a165-70867728950e",
    ],
)
def test_a_text_that_only_python_takes_for_a_uuid_is_refused(text: str) -> None:
    refused("uuid", as_json(text))


@pytest.mark.parametrize(
    ("text", "value"), [(b"true", True), (b"false", False), (b'"true"', True), (b'"false"', False)]
)
def test_a_boolean_may_be_written_as_text(text: bytes, value: bool) -> None:
    assert coerced("boolean", text) is value


@given(text=st.integers().map(str) | st.text(max_size=5).map(json.dumps))
def test_nothing_else_is_a_boolean(text: str) -> None:
    if text not in ('"true"', '"false"'):
        refused("boolean", text.encode())
