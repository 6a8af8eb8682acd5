"""Checks what arrives as the media of a recording against the media type that Genesys reports for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.expected import Expected, json_error
from airflow_provider_genesys.source.records import BOM
from airflow_provider_genesys.source.unpack.unpacked import PackingName, Unpacked

_ENOUGH = 512
_TEXTS = ("text/", "message/", "multipart/")
_JSON = ("/json", "+json")
_PAGES = ("html", "xml")
_PLAIN = ("", "identity", "aws-chunked")
_PACKINGS: dict[str, PackingName] = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}


def expected_media(content_type: str) -> Expected:
    """Return what is expected of a file of a media type, such as ``audio/ogg``; of no type, anything but an error."""
    kind = content_type.partition(";")[0].strip().lower()
    return Expected(partial(_fault, kind), pages=kind.endswith(_PAGES))


def unpacked_media(chunks: Iterator[bytes], download: Download) -> Iterator[bytes]:
    """Yield the ``chunks`` of ``download`` without their Content-Encoding.

    :raises NotAnArchiveError: they cannot be unpacked.
    :raises RecordError: the encoding is not known.
    """
    first = next(chunks, b"")
    whole = chain([first] if first else [], chunks)
    encoding = (download.encoding or "").strip().lower()
    if encoding in _PLAIN or not first:
        yield from whole
    elif packing := _PACKINGS.get(encoding):
        yield from Unpacked(whole, where=f"The file of {download.export_id}", packing=packing)
    else:
        raise RecordError(
            "media-refused", f"The file of {download.export_id} has Content-Encoding {shown(encoding, 40)}."
        )


def _fault(kind: str, head: bytes, *, ended: bool) -> str | None:
    if len(head) < _ENOUGH and not ended:
        return None
    body = head.removeprefix(BOM).lstrip()
    if b"<Error>" in body and b"<Code>" in body:
        return f"an error of the object store, {shown(body)}"
    if not _is_text(body[:_ENOUGH]) or kind.startswith(_TEXTS) or kind.endswith(_PAGES):
        return ""
    if body.startswith(b"{") and (not kind or kind.endswith(_JSON)):
        return json_error(body, ended=ended)
    if body.startswith((b"<", b"{")):
        return f"a page or an error in place of {shown(kind or 'media', 40)}: {shown(body, 80)!r}"
    return ""


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "replace")
    return all(one.isspace() or (one.isprintable() and one != "\ufffd") for one in text[:-1])
