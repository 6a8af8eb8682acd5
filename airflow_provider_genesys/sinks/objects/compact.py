"""Structs of Thrift's compact protocol, which Parquet's footers are made of.

Only what a footer has is read: no maps. A struct is a dict from the number of a field to its type and value. A value is
an integer, bytes, a dict, or for a list the type of its elements and a list.
"""

from __future__ import annotations

from typing import Any

Struct = dict[int, tuple[int, Any]]

_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 12
_LONG_LIST = 15  # the length of a list in the upper half of a byte; this one says that it follows


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while header := self._byte():
            step, kind = header >> 4, header & 15
            number = number + step if step else self._integer()
            fields[number] = kind, self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return None  # the type says it
        if kind == _BYTE:
            return self._byte()
        if kind <= _I64:
            return self._integer()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._number())
        return self.struct() if kind == _STRUCT else self._list()

    def _list(self) -> tuple[int, list[Any]]:
        header = self._byte()
        length, kind = header >> 4, header & 15
        length = self._number() if length == _LONG_LIST else length
        read = self._byte if kind in (_TRUE, _FALSE) else lambda: self._value(kind)
        return kind, [read() for _ in range(length)]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]

    def _number(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 128:
            number |= (byte & 127) << shift
            shift += 7
        return number | byte << shift

    def _integer(self) -> int:
        number = self._number()
        return number >> 1 ^ -(number & 1)


def read(data: bytes) -> Struct:
    """Return the struct that ``data`` begins with."""
    return _Reader(data).struct()


def written(fields: Struct) -> bytes:
    """Return the bytes of a struct."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


def _write_struct(out: bytearray, fields: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(fields.items()):
        if 0 < number - before <= _LONG_LIST:
            out.append((number - before) << 4 | kind)
        else:
            out.append(kind)
            _write_integer(out, number)
        before = number
        if kind not in (_TRUE, _FALSE):
            _write_value(out, kind, value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind == _STRUCT:
        _write_struct(out, value)
    elif kind in (_LIST, _SET):
        _write_list(out, *value)
    elif kind == _BINARY:
        _write_number(out, len(value))
        out += value
    elif kind == _DOUBLE:
        out += value
    elif kind == _BYTE:
        out.append(value)
    else:
        _write_integer(out, value)


def _write_list(out: bytearray, kind: int, values: list[Any]) -> None:
    out.append(min(len(values), _LONG_LIST) << 4 | kind)
    if len(values) >= _LONG_LIST:
        _write_number(out, len(values))
    for value in values:
        _write_value(out, _BYTE if kind in (_TRUE, _FALSE) else kind, value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_number(out, value << 1 ^ value >> 63)


def _write_number(out: bytearray, value: int) -> None:
    while value >= 128:  # noqa: PLR2004 - seven bits in each byte
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
