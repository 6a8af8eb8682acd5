"""Whether bytes can be decoded as they are: the checks that decoders of JSON do not make in fields that they skip."""

from __future__ import annotations

import ctypes
import sys
from array import array
from codecs import utf_8_decode
from collections.abc import Callable
from typing import Any

_PIECE = 64 * 1024  # bytes checked at a time: their text stays in the processor's cache
_NUL = b"\\u0000"


def _search_of_c() -> Callable[[bytes, int, bytes, int], int | None] | None:
    """Return ``memmem`` of the C library, if it has one: it takes 0.15 CPU s/GB, where Python's search takes 0.24.

    It keeps Python's lock: to wait for that again would take longer than the search.
    """
    search = getattr(ctypes.PyDLL(None), "memmem", None)
    if search is not None:
        search.restype, search.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_size_t] * 2
    return search


_SEARCH = _search_of_c()


def is_plain(data: bytes) -> bool:
    """Whether ``data`` is UTF-8 without a NUL escape, which PostgreSQL refuses. The decoder refuses lone surrogates."""
    return not _has_nul(data) and (data.isascii() or _is_utf8(data))


def contains(data: bytes, text: bytes) -> bool:
    """Whether ``text`` is in ``data``: faster than Python's search where the first byte of ``text`` is frequent."""
    return bool(_SEARCH(data, len(data), text, len(text))) if _SEARCH else text in data


def _has_nul(data: bytes) -> bool:
    if _SEARCH and len(data) > _PIECE:
        return contains(data, _NUL)
    # rfind: its search begins with the backslash, which is rare, and so takes half the time.
    return data.rfind(_NUL) >= 0


def _is_utf8(data: bytes) -> bool:
    if arrow := sys.modules.get("pyarrow"):  # takes a third of the time; it is loaded for Parquet only
        return _is_utf8_to_arrow(arrow, data)
    view, at = memoryview(data), 0
    try:
        while at < len(view):
            at += utf_8_decode(view[at : at + _PIECE], "strict", at + _PIECE >= len(view))[1]
    except UnicodeDecodeError:
        return False
    return True


def _is_utf8_to_arrow(arrow: Any, data: bytes) -> bool:
    offsets = arrow.py_buffer(array("q", (0, len(data))))
    text = arrow.LargeStringArray.from_buffers(1, offsets, arrow.py_buffer(data))
    try:
        text.validate(full=True)
    except arrow.ArrowInvalid:
        return False
    return True
