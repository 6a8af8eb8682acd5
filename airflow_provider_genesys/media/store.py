"""The places of media in an object store, by conversation and recording.

::

    <prefix>/conversation_id=<conversation>/<recording>.ogg             the media; a second file is <recording>-2.ogg
    <prefix>/conversation_id=<conversation>/<recording>.metadata.json   written last: what it lists is there

Keys do not depend on the window, so a later load of the same recording finds it. Ids are quoted, so that any id names
one object below the prefix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.stores.base import LONGEST_KEY, ObjectStore, Upload, check_prefix, quoted
from airflow_provider_genesys.stores.piece_writer import PieceWriter

PIECE = 5 * 1024 * 1024
"""Bytes sent at a time, and held in memory for each file. It is S3's minimum; with 10,000 pieces a file has 50 GB."""
_DESCRIPTION = ".metadata.json"
_EXTENSIONS = {
    "application/json": "json",
    "application/zip": "zip",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-wav": "wav",
    "message/rfc822": "eml",
    "video/mp4": "mp4",
    "video/webm": "webm",
}


@dataclass(frozen=True)
class MediaFile:
    """One file of a recording, as stored; ``sha256`` in hex."""

    key: str
    bytes: int
    sha256: str
    content_type: str


Metadata: TypeAlias = dict[str, Any]
"""What Genesys says of a recording: JSON texts (:class:`msgspec.Raw`), as a float would change numbers, and texts."""


@resolved
@dataclass(frozen=True)
class KeptRecording:
    """What the store has of a recording: its metadata when it was stored, and its files."""

    recording: dict[str, msgspec.Raw]
    files: list[MediaFile]

    def is_of(self, metadata: Metadata) -> bool:
        """Whether the metadata is still the same."""
        return _compact(self.recording) == _compact(metadata)


def id_of(metadata: Metadata) -> str:
    """Return the id of a recording; an empty text if it has none."""
    found = metadata.get("id")
    if not isinstance(found, msgspec.Raw):
        return found or ""
    text = bytes(found)
    if text.startswith(b'"'):
        return str(msgspec.json.decode(text))
    return "" if text == b"null" else text.decode()


def _compact(metadata: Metadata) -> bytes:
    return msgspec.json.format(msgspec.json.encode(metadata, order="deterministic"), indent=-1)


class MediaStore:
    """Media below a prefix. Thread-safe if ``store`` is."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        check_prefix(prefix)
        self._store = store
        self._root = f"{prefix.strip('/')}/".lstrip("/")

    def kept(self, conversation_id: str) -> dict[str, KeptRecording]:
        """Return the recordings of a conversation that are completely stored, by id."""
        folder = self._folder(conversation_id)
        sizes = {stored.key: stored.size for stored in self._store.list_objects(folder)}
        found = {}
        for key in sizes:
            kept = self._read(key) if key.endswith(_DESCRIPTION) else None
            if kept and all(sizes.get(file.key) == file.bytes for file in kept.files):
                found[id_of(kept.recording)] = kept
        return found

    def key(self, conversation_id: str, recording_id: str, content_type: str, number: int) -> str:
        """Return the key of a recording's file. The first file has number 1.

        :raises RecordError: an id is so long that no store accepts the key.
        """
        extension = _EXTENSIONS.get(content_type.partition(";")[0].strip().lower(), "bin")
        suffix = f"-{number}" if number > 1 else ""
        key = f"{self._folder(conversation_id)}{quoted(recording_id)}{suffix}.{extension}"
        if len(key) + len(_DESCRIPTION) > LONGEST_KEY:
            raise RecordError(
                "id-too-long", f"With its id a key would have {len(key)} bytes; stores take {LONGEST_KEY}."
            )
        return key

    def write(self, key: str, content_type: str, chunks: Iterable[bytes]) -> MediaFile:
        """Write a file while its bytes come. It appears when it is complete."""
        writer = PieceWriter(lambda body: self._store.put(key, body), lambda _: self._begin(key), piece=PIECE)
        try:
            for chunk in chunks:
                writer.write(chunk)
            writer.complete()
        except BaseException:
            writer.abort()
            raise
        return MediaFile(key, writer.size, writer.digest.hexdigest(), content_type)

    def describe(self, conversation_id: str, kept: KeptRecording) -> None:
        """Write the metadata next to the files. From now on, later loads find them."""
        key = f"{self._folder(conversation_id)}{quoted(id_of(kept.recording))}{_DESCRIPTION}"
        self._store.put(key, msgspec.json.format(msgspec.json.encode(kept)))

    def _begin(self, key: str) -> Upload:
        self._store.abort_uploads(key)  # left by an attempt that was killed
        return self._store.upload(key)

    def _read(self, key: str) -> KeptRecording | None:
        """Return the recording that a description names; None if this package did not write the description."""
        try:
            return msgspec.json.decode(self._store.get(key) or b"", type=KeptRecording)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _folder(self, conversation_id: str) -> str:
        return f"{self._root}conversation_id={quoted(conversation_id)}/"
