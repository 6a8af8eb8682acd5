"""An archive in an object store as it came: one object, sent in pieces, and a manifest that is written last.

::

    <prefix>/dt=2026-11-01/<load_id>/archive-<tag>.gz     the archive's own bytes
    <prefix>/dt=2026-11-01/<load_id>/_manifest.json       the certificate, and the handle that loads from here
    <prefix>/_ledger/<load_id>/00000/<number>.json

The upload outlives the attempt that has begun it. The ledger (:mod:`.ledger`) says how far it has come, and the next
attempt goes on behind that.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AccountError, SinkUnavailableError
from airflow_provider_genesys.failpoints import (
    CHECKED,
    CLAIMED,
    CLEANED,
    COMMITTING,
    LEDGER_WRITTEN,
    MANIFEST_WRITTEN,
    PART_UPLOADED,
    reached,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.naming import naming
from airflow_provider_genesys.sinks.objects.layout import Layout, partition_of, tag
from airflow_provider_genesys.sinks.objects.ledger import Ledger, Sending, successor
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.source.landed import RAW
from airflow_provider_genesys.source.position import Identity, Position, Proof
from airflow_provider_genesys.source.split.base import shape_of
from airflow_provider_genesys.source.unpack.unpacked import packing_of
from airflow_provider_genesys.stores.base import ObjectStore, ResumableUpload
from airflow_provider_genesys.stores.read_through import Digests, Found, read_through

PIECE = 8 * 1024 * 1024
"""Bytes sent at a time, at least."""

MOST_PIECES = 10_000
"""That S3 takes for one object."""

_ENDINGS = {"gzip": "gz", "zip": "zip", "zstd": "zst"}


class RawLanding:
    """Lands one archive. Used by one thread, in the order open, write..., finish or abort.

    :param connect: makes the store; called by each ``open``.
    :param settings: of these the prefix, the part size (after so many bytes there is a checkpoint) and the fencing.
    """

    def __init__(self, connect: Callable[[], ObjectStore], settings: ObjectSettings) -> None:
        self._connect = connect
        self._settings = settings

    piece = PIECE
    """Bytes that it takes best at a time."""

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Take a new fence and return where to go on, None for the beginning; see :meth:`.Sink.open`."""
        self._load = load
        self._upload: ResumableUpload | None = None
        self._landed: Part | None = None
        self._pending = bytearray()
        self._digests = Digests(sha256=hashlib.sha256())
        name = uuid.uuid4().hex
        with naming(f"Export {load.export_id}, opening the landing"):
            self._store = self._connect()
            prefix, partition = self._settings.prefix, partition_of(load, self._settings.partition_format)
            self._ledger = Ledger(self._store, Layout(prefix, load, RAW, partition).ledger, self._settings.fencing)
            self._entry = self._ledger.claim(
                lambda latest: successor(latest, load, name, restart=restart, partition=partition)
            )
            self._layout = Layout(prefix, load, RAW, self._entry.partition)
            reached(CLAIMED)
            if self._entry.sending and self._goes_on(self._entry.sending):
                return self._entry.checkpoint
            self._store.abort_uploads(self._layout.load)
            self._entry = replace(self._entry, checkpoint=None, sending=None)
        return None

    def write(self, data: bytes, source: Identity) -> Checkpoint | None:
        """Take the archive's next bytes; return the newest checkpoint where this call has committed one.

        :param source: what is known of the archive.
        :raises NotAnArchiveError: it is none.
        """
        self._pending += data
        before, every = self._sent, self._settings.part_size
        with self._working():
            last = self._send_whole(_piece_size(source))
            return self._commit(source, last) if before // every != self._sent // every else None

    def finish(self, certificate: Certificate, handle: dict[str, Any]) -> Certificate:
        """Let the archive appear, write the manifest, remove what it does not list; return the certificate.

        :param handle: what loads the archive from here, JSON-serialisable.
        """
        with self._working():
            archive = self._landed or self._appear(certificate.source)
            stale = {found.key for found in self._store.list_objects(self._layout.load)}
            self._ledger.confirm(self._entry)
            reached(CHECKED)
            closed = replace(
                certificate,
                bytes_read=archive.bytes,
                location=f"{self._store.url}/{self._layout.load}",
                parts=[asdict(archive)],
                attempts=self._entry.attempts,
            )
            manifest = {**asdict(closed), "dead_letters": [], "handle": handle}
            self._store.put(self._layout.manifest, msgspec.json.format(msgspec.json.encode(manifest)))
            reached(MANIFEST_WRITTEN)
            for key in stale - {archive.key, self._layout.manifest}:
                self._store.delete(key)
            self._store.abort_uploads(self._layout.load)
            reached(CLEANED)
            self._append(state="complete")
        return closed

    @property
    def _sent(self) -> int:
        return self._upload.sent.bytes if self._upload else 0

    @contextmanager
    def _working(self) -> Iterator[None]:
        try:
            with naming(f"Export {self._load.export_id}, landing its archive from byte {self._sent} on"):
                yield
        except SinkUnavailableError:
            with suppress(SinkUnavailableError):
                self._ledger.confirm(self._entry)  # a newer attempt throws our upload away: say that, then
            raise

    def _goes_on(self, sending: Sending) -> bool:
        """Take up what an earlier attempt has sent; return whether it is still there."""
        self._digests = Digests(sending.crc32)
        self._upload = self._store.resume(sending.sent)
        if self._upload is None:
            # The earlier attempt may have died behind the moment in which the object appeared.
            found = read_through(self._store, sending.sent.key, size=sending.sent.bytes)
            self._landed = _part(sending.sent.key, found) if found and found.crc32 == sending.crc32 else None
        if self._upload or self._landed:
            return True
        self._digests = Digests(sha256=hashlib.sha256())
        return False

    def _send_whole(self, size: int) -> bytes:
        """Send what is whole pieces of ``size`` bytes; return the last of them. The archive's last is kept back."""
        piece = b""
        while len(self._pending) > size:
            piece = bytes(memoryview(self._pending)[:size])
            del self._pending[:size]
            self._send(piece)
        return piece

    def _send(self, piece: bytes) -> None:
        if self._upload is None:
            self._upload = self._store.upload(self._key(piece, ended=False))
        self._upload.send(piece)
        self._digests.update(piece)

    def _key(self, head: bytes, *, ended: bool) -> str:
        """Return the object's key: of this attempt's own, so that what was landed before stays as it is."""
        where = f"The archive of export {self._load.export_id}"
        packing = packing_of(head, where=where)
        shape = shape_of(head, where=where, ended=ended) if packing == "plain" else None
        ending = _ENDINGS.get(packing) or ("json" if shape == "array" else "ndjson")
        return f"{self._layout.load}archive-{tag(self._entry.attempt)}.{ending}"

    def _commit(self, source: Identity, last: bytes) -> Checkpoint:
        """Write into the ledger how far the upload has come; ``last`` are the newest bytes of it."""
        reached(COMMITTING)
        assert self._upload  # noqa: S101 - something was sent
        sent = self._upload.sent
        checkpoint = Checkpoint(
            self._load.load_id,
            self._load.export_id,
            processed_at=_now(),
            position=Position(sent.bytes, sent.bytes, sent.bytes, "plain"),
            proof=Proof.of(last),
            source=source,
            committed_at=_now(),
            fence=self._entry.fence,
        )
        self._append(checkpoint=checkpoint, sending=Sending(sent, self._digests.crc32))
        return checkpoint

    def _append(self, **changes: Any) -> None:
        entry = replace(self._entry, number=self._entry.number + 1, written_at=_now(), **changes)
        self._entry = self._ledger.append(entry)
        reached(LEDGER_WRITTEN)

    def _appear(self, source: Identity) -> Part:
        last, size = bytes(self._pending), self._sent + len(self._pending)
        if source.length not in {None, size}:
            raise AccountError(
                f"Export {self._load.export_id}: {size} bytes of the archive have come, and it has {source.length}. "
                "Please report this as a bug."
            )
        if self._upload is None:
            self._digests.update(last)
            key = self._key(last, ended=True)
            etag = self._store.put(key, last)
        else:
            key, etag = self._upload.sent.key, self._completed(source, last)
        reached(PART_UPLOADED)
        if self._digests.sha256:
            return Part(key, 0, size, 0, size, self._digests.sha256.hexdigest(), etag)
        return self._read_back(key, size)

    def _completed(self, source: Identity, last: bytes) -> str:
        assert self._upload  # noqa: S101 - the caller has looked
        if last:
            self._send(last)
            self._commit(source, last)
        self._ledger.confirm(self._entry)
        return self._upload.complete(self._digests.sha256.hexdigest() if self._digests.sha256 else "")

    def _read_back(self, key: str, size: int) -> Part:
        """Return what lies there, which several attempts have sent, when it is what they have sent."""
        found = read_through(self._store, key, size=size)
        if found and found.crc32 == self._digests.crc32:
            return _part(key, found)
        raise AccountError(
            f"Export {self._load.export_id}: {self._store.url}/{key} is not what was sent, by its length or its "
            "CRC-32. Something else writes below this prefix: find it, then clear the task with on_clear='restart'."
        )


def _part(key: str, found: Found) -> Part:
    return Part(key, 0, found.size, 0, found.size, found.sha256, found.etag)


def _piece_size(source: Identity) -> int:
    """Return how many bytes to send at a time, so that S3 takes all pieces: the same for each attempt."""
    return max(PIECE, -(-(source.length or 0) // MOST_PIECES))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
