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
_encoder = msgspec.json.Encoder(decimal_format="number")
_INT64 = range(-(2**63), 2**63)
_NUMERAL = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?\s*", re.IGNORECASE)
_DIGITS = 40  # before or after the point; a longer number is refused


def coerced(kind: ColumnType, text: bytes) -> Any:
    """Return the JSON value ``text`` as a value of ``kind``; :data:`ColumnType` has the Python types.

    :raises ValueError: it cannot be converted, or something would be lost.
    """
    if kind == "json":
        return text
    try:
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


def counted(value: Decimal | None) -> Decimal | None:
    """Return ``value``; raise :class:`ValueError` if it is not a number, or has too many digits."""
    if value is not None and (not value.is_finite() or abs(value.adjusted()) > _DIGITS):
        raise ValueError
    return value


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return str(value)


def _integer(value: Any) -> int:
    number = _decimal(value)
    if number != number.to_integral_value() or int(number) not in _INT64:
        raise ValueError
    return int(number)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise TypeError
    number = Decimal(_numeral(value))
    counted(number)
    return number


def _number(value: Any) -> float:
    """Return the nearest float. Digits may be lost, as the type ``number`` allows."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise TypeError
    number = float(_numeral(value))
    if not isfinite(number):
        raise ValueError
    return number


def _numeral(value: int | Decimal | str) -> int | Decimal | str:
    """Return ``value``; raise :class:`ValueError` for a text that only Python reads as a number, e.g. ``1_0``."""
    if isinstance(value, str) and not _NUMERAL.fullmatch(value):
        raise ValueError
    return value


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


_COERCIONS: dict[ColumnType, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "decimal": _decimal,
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
