"""Names the kind of a file by its first bytes, so that a PDF is refused as a PDF and not taken for broken NDJSON."""

from __future__ import annotations

import re
from codecs import utf_8_decode
from itertools import chain

TELLING = 512
"""Number of first bytes that are needed: a member of a tar file begins with a block of that many."""

_KINDS = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file",
    b"PK\x05\x06": "a zip file",
    b"PK\x07\x08": "one piece of a zip file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf": "a 7z file",
    b"\x04\x22\x4d\x18": "an LZ4 file",
    b"\x02\x21\x4c\x18": "an LZ4 file",
    b"\xff\x06\x00\x00sNaPpY": "a Snappy file",
    b"\x5d\x00\x00": "an LZMA file",
    b"LZIP": "an lzip file",
    b"\x89LZO": "an lzop file",
    b"\x1f\x9d": "a compress (.Z) file",
    b"\x1f\xa0": "a compress (.Z) file",
    b"x\x01": "a zlib stream",
    b"x\x9c": "a zlib stream",
    b"x\xda": "a zlib stream",
    b"Rar!\x1a\x07": "a RAR file",
    b"MSCF": "a cabinet file",
    b"!<arch>\n": "an ar archive",
    b"!<thin>\n": "an ar archive",
    b"07070": "a cpio archive",
    b"xar!": "an xar archive",
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"ARROW1": "an Arrow file",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"FEA1": "a Feather file",
    b"SEQ": "a Hadoop sequence file",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"%PDF-": "a PDF",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"Salted__": "a file encrypted by OpenSSL",
    b"age-encryption.org": "a file encrypted by age",
    b"-----BEGIN PGP": "a file encrypted by PGP",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"RIFF": "a WAV or another RIFF file",
    b"OggS": "an Ogg file",
    b"#!AMR": "an AMR file",
    b"ID3": "an MP3 file",
    b"\xff\xfb": "an MP3 file",
    b"\xff\xf3": "an MP3 file",
    b"fLaC": "a FLAC file",
    b"\x1aE\xdf\xa3": "a WebM or Matroska file",
    b"\x7fELF": "a program",
    b"HTTP/1.": "an HTTP response with its head",
    b"\x1e{": "a JSON text sequence (RFC 7464)",
}
_TEXTS = {
    "a MIME message": rb"(--\S{1,70}\r?\n)?(MIME-Version|Content-[A-Za-z-]+|Received|Return-Path):",
    "SQL": rb"(?i)--[ \r\n]|/\*|(INSERT|CREATE|DROP|BEGIN|SET|USE|COPY|PRAGMA|SELECT|LOCK)\b",
    "YAML": rb"%YAML|---\s|(- )?[\w\"'-]+:(\s|$)",
    "CSV or another table of text": rb"[^\r\n,;\t|]*([,;\t|][^\r\n,;\t|]*)+\r?\n[^\r\n]*[,;\t|]",
}
"""By the kind of a text file: what it begins with."""
_RECORD_BEGINS = re.compile(rb"^[ \t]*[{\[]", re.MULTILINE)
_CHECKSUM = slice(148, 156)  # in a block that begins a member of a tar file
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
_ENOUGH, _LOOKED_AT = 4, 32  # this many control characters in this many first bytes: the file is not text
_BEFORE_JSON = re.compile(rb"[^{\[]*")


def kind_of(head: bytes) -> str | None:
    """Return the kind of a file that begins with ``head``, e.g. "a PDF"; None for JSON and for unknown kinds."""
    named = next((name for begin, name in _KINDS.items() if head.startswith(begin)), None)
    if named is None and head[4:8] == b"ftyp":
        named = "an MP4 file"
    return named or ("a tar file" if _is_tar(head) else None)


def text_kind_of(head: bytes) -> str | None:
    """Return the kind of a text file that begins with ``head``, e.g. "SQL"; None if a line may be a record."""
    if _RECORD_BEGINS.search(head):
        return None
    return next((name for name, begin in _TEXTS.items() if re.match(begin, head)), None)


def is_binary(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is not text in UTF-8.

    What comes before the first bracket is no record, so there one wrong byte is enough.
    """
    if len(_CONTROL.findall(head[:_LOOKED_AT])) >= _ENOUGH:
        return True
    before = _BEFORE_JSON.match(head[:TELLING])[0]  # type: ignore[index]  # it matches the empty text, too
    return bool(_CONTROL.search(before)) or not _is_utf8(before, ended=len(before) < len(head))


def _is_utf8(text: bytes, *, ended: bool) -> bool:
    try:
        utf_8_decode(text, "strict", ended)
    except UnicodeDecodeError:
        return False
    return True


def _is_tar(head: bytes) -> bool:
    """Whether ``head`` has the checksum of a block that begins a member of a tar file."""
    try:
        stored = int(head[_CHECKSUM].strip(b" \0"), 8)
    except ValueError:
        return False
    block = head[:TELLING]
    blank = chain(block[: _CHECKSUM.start], b" " * 8, block[_CHECKSUM.stop :])
    return len(block) == TELLING and stored == sum(blank)
