"""Reads a page in which the text of single records is broken: those are rejected later, and the others are loaded."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import msgspec

from airflow_provider_genesys.cloud.exports.base import Page, UnreadablePageError
from airflow_provider_genesys.cloud.exports.elements import check_records
from airflow_provider_genesys.exceptions import ForeignAnswerError, NotAnArchiveError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.source.records import Slice
from airflow_provider_genesys.source.split.array import ArraySplitter
from airflow_provider_genesys.source.split.base import Splitter
from airflow_provider_genesys.source.split.path import PathSplitter

log = logging.getLogger(__name__)

_raw = msgspec.json.Decoder(list[msgspec.Raw])
_MAY_HOLD = re.compile(rb'[\[\]{}"]')
_SEPARATORS = b", \t\r\n"


def repaired(error: UnreadablePageError) -> Page:
    """Return the page that ``error`` has, with the records that are not JSON after all others.

    Commas between records may be missing or too many. Text behind the page is ignored if it can hold no record.

    :raises UnreadablePageError: ``error`` itself, if more than that is wrong with it.
    """
    try:
        body = _without_rest(error.body)
        slices = _drained(PathSplitter(error.member, where="The page", max_record_bytes=len(body) + 1), body)
        if not slices:
            return error.read(body)
        records = _records(slices)
        broken = [record for record in records if not _is_json(record)]
        whole = b",".join(record for record in records if _is_json(record))
        before, behind = body[: slices[0].start], body[slices[-1].end :].lstrip(_SEPARATORS)
        page = error.read(before + whole + behind)
    except (NotAnArchiveError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise error from None
    ids = [error.id_of(record) for record in broken]
    return replace(page, ids=[*page.ids, *ids], records=[*page.records, *(memoryview(record) for record in broken)])


def _without_rest(body: bytes) -> bytes:
    """Return ``body`` without the text behind its JSON object, if that text has no quote and no bracket."""
    end = body.rfind(b"}") + 1
    rest = body[end:].strip()
    if not rest or _MAY_HOLD.search(rest):
        return body
    log.warning("A page of Genesys' ends with other text, which is ignored: %s", shown(rest, 80))
    return body[:end]


def elements(body: bytes) -> list[bytes]:
    """Return the elements of a JSON array, also around those that are no JSON. An empty body has none.

    :raises ForeignAnswerError: it is no array, or cut off.
    :raises AnswerTooLargeError: it has too many.
    """
    check_records(body)
    try:
        return [bytes(one) for one in _raw.decode(body)] if body.strip() else []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        try:
            slices = _drained(ArraySplitter(where="The answer", max_record_bytes=len(body) + 1), body)
        except NotAnArchiveError:
            what = f"{len(body)} bytes are no JSON array: {error}. If this happens again, check for a proxy."
            raise ForeignAnswerError(f"An answer of Genesys cannot be read: its {what}", status=200) from error
    return _records(slices)


def _records(slices: list[Slice]) -> list[bytes]:
    return [part.raw(start, end) for part in slices for start, end in zip(part.starts, part.ends, strict=True)]


def _drained(splitter: Splitter, body: bytes) -> list[Slice]:
    slices = []
    splitter.feed(body)
    while splitter.pending and (part := splitter.take(len(body))):
        slices.append(part)
    splitter.close()
    while splitter.pending and (part := splitter.take(len(body))):
        slices.append(part)
    return slices


def _is_json(record: bytes) -> bool:
    try:
        _raw.decode(b"[" + record + b"]")
        record.decode()  # its text is not looked at before
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
