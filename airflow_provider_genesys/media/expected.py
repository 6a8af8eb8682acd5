"""Checks what arrives as the media of a recording against the media type that Genesys reports for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain

from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.expected import Expected, json_error
from airflow_provider_genesys.source.file_kinds import kind_of
from airflow_provider_genesys.source.records import BOM
from airflow_provider_genesys.source.unpack.unpacked import PackingName, Unpacked

_ENOUGH = 512
_TEXTS = ("text/", "message/", "multipart/")
_JSON = ("/json", "+json")
_PAGES = ("html", "xml")
_WITH_SIGNATURE = ("/ogg", "/wav", "/x-wav", "/wave", "/mpeg", "/mp3", "/mp4", "/webm", "/flac")
"""Media types whose files begin with bytes that name them."""
_PACKED = frozenset({"a gzip file", "a Zstandard file"})
_RECORDINGS = frozenset(
    f"{article} file"
    for article in ["a WAV or another RIFF", "an Ogg", "an MP3", "an MP4", "a WebM or Matroska", "a FLAC", "an AMR"]
)
_PLAIN = ("", "identity", "aws-chunked")
_PACKINGS: dict[str, PackingName] = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}


def expected_media(content_type: str) -> Expected:
    """Return what is expected of a file of a media type, such as ``audio/ogg``; of no type, anything but an error."""
    kind = _kind(content_type)
    return Expected(partial(_fault, kind), pages=kind.endswith(_PAGES))


def unpacked_media(chunks: Iterator[bytes], download: Download, content_type: str) -> Iterator[bytes]:
    """Yield the ``chunks`` of ``download`` without their Content-Encoding.

    :raises NotAnArchiveError: they cannot be unpacked.
    :raises RecordError: the encoding is not known, or a file that is packed has none.
    """
    first = next(chunks, b"")
    whole = chain([first] if first else [], chunks)
    encoding = (download.encoding or "").strip().lower()
    if encoding in _PLAIN or not first:
        if kind_of(first) in _PACKED and _is_known(_kind(content_type)):
            raise RecordError(
                "media-refused",
                f"The file of {download.export_id} is {kind_of(first)} without a Content-Encoding, in place of "
                f"{shown(content_type, 40)}.",
            )
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
    other = _other_file(kind, head)
    if other or not _is_text(body[:_ENOUGH]) or kind.startswith(_TEXTS) or kind.endswith(_PAGES):
        return other
    return _other_text(kind, body, ended=ended)


def _other_text(kind: str, body: bytes, *, ended: bool) -> str | None:
    """Tell a page or an error from a text of media type ``kind``, which is neither."""
    if body.startswith(b"{") and (not kind or kind.endswith(_JSON)):
        return json_error(body, ended=ended)
    if body.startswith((b"<", b"{")):
        return f"a page or an error in place of {shown(kind or 'media', 40)}: {shown(body, 80)!r}"
    if body and kind.endswith(_JSON) and not body.startswith(b"["):
        return f"text in place of {shown(kind, 40)}: {shown(body, 80)!r}"
    return ""


def _other_file(kind: str, head: bytes) -> str:
    """Return what a file is by its first bytes, if that cannot be of media type ``kind``; else an empty text."""
    found = kind_of(head)
    if not head or not _is_known(kind) or found in _PACKED:  # it may have a Content-Encoding
        return ""
    if not head.strip(b"\0"):
        return f"a file that begins with {len(head)} zero bytes, in place of {shown(kind, 40)}"
    if found and not (kind.endswith(_WITH_SIGNATURE) and found in _RECORDINGS):
        return f"{found}, in place of {shown(kind, 40)}"
    if kind.endswith(_JSON) and not _is_text(head[:_ENOUGH]):
        return f"a binary file in place of {shown(kind, 40)}"
    return ""


def _is_known(kind: str) -> bool:
    return kind.endswith((*_WITH_SIGNATURE, *_JSON)) or kind.startswith(_TEXTS)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "replace")
    return all(one.isspace() or (one.isprintable() and one != "\ufffd") for one in text[:-1])
