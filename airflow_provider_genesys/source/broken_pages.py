"""Reads a page in which the text of single records is broken: those are set aside later, and the others are loaded."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from airflow_provider_genesys.cloud.exports.base import Page, UnreadablePageError
from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.records import Slice
from airflow_provider_genesys.source.split.path import PathSplitter

_raw = msgspec.json.Decoder(list[msgspec.Raw])
_SEPARATORS = b", \t\r\n"


def mended(error: UnreadablePageError) -> Page:
    """Return the page that ``error`` has, with the records that are no JSON behind all others.

    :raises UnreadablePageError: ``error`` itself, if not just single records are broken.
    """
    try:
        slices = _split(error.body, error.member)
        records = [part.raw(start, end) for part in slices for start, end in zip(part.starts, part.ends, strict=True)]
        broken = [record for record in records if not _is_json(record)]
        if not broken:
            raise error
        whole = b",".join(record for record in records if _is_json(record))
        before, behind = error.body[: slices[0].start], error.body[slices[-1].end :].lstrip(_SEPARATORS)
        page = error.read(before + whole + behind)
    except (NotAnArchiveError, msgspec.MsgspecError, RecursionError):
        raise error from None
    ids = [error.id_of(record) for record in broken]
    return replace(page, ids=[*page.ids, *ids], records=[*page.records, *(memoryview(record) for record in broken)])


def _split(body: bytes, member: str) -> list[Slice]:
    splitter = PathSplitter(member, where="The page", max_record_bytes=len(body) + 1)
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
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
