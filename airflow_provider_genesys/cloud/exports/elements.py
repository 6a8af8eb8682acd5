"""The records of a page: their limits, checked before the page is decoded, and their ids."""

from __future__ import annotations

import re
import threading
from functools import cache
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AnswerTooLargeError
from airflow_provider_genesys.limits import MOST_RECORDS, MOST_VALUES

_left = threading.local()
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
