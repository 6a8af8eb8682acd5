"""The records of a page: their limits, checked before the page is decoded, and their ids."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection
from functools import cache
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AnswerTooLargeError
from airflow_provider_genesys.limits import MOST_RECORDS, MOST_VALUES

_left = threading.local()
_texts = msgspec.json.Decoder(str)
_LOOKED_AT = 64 * 1024
"""Bytes of a broken record in which its id is looked for."""


class _Record(msgspec.Struct, gc=False):
    """A JSON object of which nothing is kept."""

    def __post_init__(self) -> None:
        _left.records -= 1
        if _left.records < 0:
            raise ValueError


@cache
def _decoder(member: str | None) -> msgspec.json.Decoder[Any]:
    records = list[_Record] | None
    page = msgspec.defstruct("Page", [("records", records, None)], rename={"records": member}) if member else records
    return msgspec.json.Decoder(page)


def check_records(body: bytes, member: str | None = None) -> None:
    """Check that a page has no more records than :data:`MOST_RECORDS`. It need not be JSON.

    :param member: name of the member that holds the records; None if the page is a list of them.
    :raises AnswerTooLargeError: it has more; or it has broken records, and more than :data:`MOST_VALUES` values.
    """
    if body.count(b",") < MOST_RECORDS:
        return
    _left.records = MOST_RECORDS
    try:
        _decoder(member).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if _left.records < 0:
            raise too_large(body, f"{MOST_RECORDS:,} records") from None
        # Single records that are no JSON, or no objects, are rejected later: see :mod:`.source.broken_pages`.
        check_values(body)


def check_values(body: bytes) -> None:
    """Raise :class:`AnswerTooLargeError` if a page has more values than :data:`MOST_VALUES`."""
    if body.count(b",") > MOST_VALUES:
        raise too_large(body, f"{MOST_VALUES:,} values")


def check_once(body: bytes, names: Collection[str]) -> None:
    """Check that a page, which is a JSON object, has none of the members ``names`` twice.

    A decoder would take the last one, and the records or the cursor of the first would be lost.

    :raises msgspec.ValidationError: it has one of them twice.
    """
    doubtful = [name for name in names if body.count(b'"%b"' % name.encode()) > 1]
    if not doubtful:
        return
    try:
        own = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    except (ValueError, RecursionError):
        return  # single records are broken, or all is: a decoder says so
    if twice := [name for name in doubtful if own.count(name) > 1]:
        raise msgspec.ValidationError(f"It has the member {twice[0]!r} twice")


def cursor_of(value: msgspec.Raw) -> str | None:
    """Return the cursor that a page has, as text; None after the last page. A number is its digits.

    :raises msgspec.ValidationError: it is something else, so nobody knows whether another page follows.
    """
    text = bytes(value).decode()
    if text in ("", "null"):
        return None
    if text.startswith('"'):
        return str(_texts.decode(text)) or None
    if text[0] in "-0123456789":
        return text
    raise msgspec.ValidationError(f"Its cursor is {text[:40]}, which is neither text nor a number")


def too_large(body: bytes, limit: str) -> AnswerTooLargeError:
    """Return the error for a page that has more than ``limit``."""
    return AnswerTooLargeError(
        f"A page of {len(body):,} bytes has more than {limit}. Lower page_size. If it is low, check what answers at "
        "the connection's host: it may not be Genesys.",
        status=200,
    )


class RecordIds:
    """Reads the ids of records from their member ``name``."""

    def __init__(self, name: str) -> None:
        self._ids = msgspec.json.Decoder(msgspec.defstruct("Id", [("id", str | int)], rename={"id": name}))
        self._text = re.compile(rb'"%b"\s{0,9}:\s{0,9}"([\w-]{1,80})"' % re.escape(name.encode()))

    def of(self, record: memoryview) -> str:
        """Return the id of a record; if it has none, a text made of its bytes."""
        try:
            found: Any = self._ids.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return bytes(record).decode("latin-1")
        return str(found.id)

    def found_in(self, record: bytes) -> str | None:
        """Return the first id in a record that is not JSON; None if there is none."""
        found = self._text.search(record[:_LOOKED_AT])
        return found[1].decode() if found else None

    def of_broken(self, record: bytes) -> str:
        """Return the first id in a record that is not JSON; without an id, a text made of its bytes."""
        return self.found_in(record) or record.decode("latin-1")
