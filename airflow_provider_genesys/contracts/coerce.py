"""Converts one JSON value to a column's type if nothing is lost.

Example: ``"1500"`` and ``1500.0`` become the integer 1500; a time without a zone is taken as UTC. ``1500.5`` is
refused for an integer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec

from airflow_provider_genesys.contracts.column import Column, ColumnType
from airflow_provider_genesys.times import in_utc

_scalar = msgspec.json.Decoder(Any, float_hook=Decimal)
_text = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder(decimal_format="number")
_INT64 = range(-(2**63), 2**63)
_NUMERAL = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*", re.IGNORECASE)
_DIGITS = 40  # before or after the point; a longer number is refused
_SURE = 15  # any number of that many digits survives being a float
_LONGEST_FLOAT = 1100  # characters: no float has more, written in full


def coerced(kind: ColumnType, text: bytes) -> Any:
    """Return the JSON value ``text`` as a value of ``kind``; :data:`ColumnType` has the Python types.

    :raises ValueError: it cannot be converted, or something would be lost.
    """
    if kind == "json":
        return text
    try:
        if kind in _OF_NUMERALS:
            return _OF_NUMERALS[kind](_numeral(text))
        return _COERCIONS[kind](_scalar.decode(text))
    except (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError, RecursionError):
        raise ValueError(kind) from None


def is_of_kind(kind: ColumnType, text: bytes) -> bool:
    """Whether the JSON value ``text`` already has the JSON type of ``kind``, so that no conversion was needed."""
    return kind == "json" or text[:1] in _BEGINNINGS[kind]


def default_of(column: Column) -> Any:
    """Return a column's default as a value of a row.

    :raises ValueError: the column's default is not of its type.
    """
    return coerced(column.type, _encoder.encode(column.default))


def float_of(text: str) -> float:
    """Return the numeral ``text`` as a float.

    :raises ValueError: it is no numeral, or the nearest float, written with as many digits, is another number.
    """
    number = float(text)
    if (len(text) <= _SURE and "e" not in text and "E" not in text) or repr(number) == text:
        return number
    if len(text) > _LONGEST_FLOAT or not isfinite(number):
        raise ValueError
    written = Decimal(text)
    digits = "".join(map(str, written.as_tuple().digits)).rstrip("0")
    if Decimal(f"{number:.{max(len(digits), 1) - 1}e}") != written:
        raise ValueError
    return number


def decimal_of(text: str) -> Decimal:
    """Return the numeral ``text``.

    :raises ValueError: it is no numeral that JSON or a text in JSON may hold, or has too many digits.
    :raises ArithmeticError: its exponent is too large.
    """
    if not _NUMERAL.fullmatch(text):
        raise ValueError
    number = Decimal(text)
    if abs(number.adjusted()) > _DIGITS:
        raise ValueError
    return number


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return str(value)


def _integer(text: str) -> int:
    number = decimal_of(text)
    if number != number.to_integral_value() or int(number) not in _INT64:
        raise ValueError
    return int(number)


def _numeral(text: bytes) -> str:
    """Return the numeral that the JSON value ``text`` is or, as a string, holds.

    :raises ValueError: it is none, or one that only Python reads as a number, e.g. ``1_0``.
    """
    numeral = str(_text.decode(text)) if text.startswith(b'"') else text.decode()
    if not _NUMERAL.fullmatch(numeral):
        raise ValueError
    return numeral.strip()


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError
    return bool(value == "true")


def _timestamp(value: Any) -> datetime:
    if not isinstance(value, str):
        raise TypeError
    return in_utc(msgspec.convert(value.strip(), datetime))


def _uuid(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(msgspec.convert(value.strip(), UUID))  # Python's own reads any text with 32 digits, in any place


_OF_NUMERALS: dict[ColumnType, Callable[[str], Any]] = {
    "integer": _integer,
    "number": float_of,
    "decimal": decimal_of,
}

_COERCIONS: dict[ColumnType, Callable[[Any], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "uuid": _uuid,
}

_NUMBER = b"-0123456789"
_BEGINNINGS: dict[ColumnType, bytes] = {
    "string": b'"',
    "integer": _NUMBER,
    "number": _NUMBER,
    "decimal": _NUMBER + b'"',
    "boolean": b"tf",
    "timestamp": b'"',
    "uuid": b'"',
}
