"""Make one JSON value a value of a column's type, where nothing is lost by it.

``"1500"`` and ``1500.0`` are taken for an integer, a time without a zone for one in UTC; half a number is not.
"""

from __future__ import annotations

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
_DIGITS = 40  # before or behind the point; more is no number that anybody counts with


def coerced(kind: ColumnType, text: bytes) -> Any:
    """Return the JSON value ``text`` as a value of ``kind``, as :data:`ColumnType` has it.

    :raises ValueError: it cannot be one, or something would be lost.
    """
    if kind == "json":
        return text
    try:
        return _COERCIONS[kind](_scalar.decode(text))
    except (msgspec.MsgspecError, ValueError, TypeError, ArithmeticError, RecursionError):
        raise ValueError(kind) from None


def is_of_kind(kind: ColumnType, text: bytes) -> bool:
    """Whether the JSON value ``text`` is of the kind of JSON that values of ``kind`` have, so that nothing changed."""
    return kind == "json" or text[:1] in _BEGINNINGS[kind]


def default_of(column: Column) -> Any:
    """Return the value that replaces one that is missing, as it is in a row.

    :raises ValueError: the column's default is not of its type.
    """
    return coerced(column.type, _encoder.encode(column.default))


def counted(value: Decimal | None) -> Decimal | None:
    """Return ``value``; raise :class:`ValueError` where it is no number, or one of absurd size."""
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
    number = Decimal(value)
    counted(number)
    return number


def _number(value: Any) -> float:
    """Return the nearest float; that is what the type says, whatever the literal looks like."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
        raise TypeError
    number = float(value)
    if not isfinite(number):
        raise ValueError
    return number


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
    return str(UUID(value))


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
