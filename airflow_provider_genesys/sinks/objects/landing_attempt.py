"""One attempt at landing a raw archive: pieces of one upload, a ledger entry after some of them, a manifest last."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from airflow_provider_genesys.exceptions import AccountError, SinkUnavailableError
from airflow_provider_genesys.failpoints import (
    CHECKED,
    CLAIMED,
    CLEANED,
    COMMITTING,
    LEDGER_WRITTEN,
    MANIFEST_WRITTEN,
    PART_UPLOADED,
    failpoint,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.layout import Layout, partition_of, tag
from airflow_provider_genesys.sinks.objects.ledger import Ledger, Sending, Whole
from airflow_provider_genesys.sinks.objects.manifest import write_manifest
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.sinks.objects.successor import successor
from airflow_provider_genesys.source.landed import RAW
from airflow_provider_genesys.source.position import Identity, Position, Proof
from airflow_provider_genesys.source.split.base import shape_of
from airflow_provider_genesys.source.unpack.unpacked import packing_of
from airflow_provider_genesys.stores.base import Body, ObjectStore, ResumableUpload
from airflow_provider_genesys.stores.piece_writer import PieceWriter, UploadAhead, piece_size
from airflow_provider_genesys.stores.read_through import Digests, FoundObject, read_through
from airflow_provider_genesys.times import now

_ENDINGS = {"gzip": "gz", "zip": "zip", "zstd": "zst"}


class LandingAttempt:
    """Holds the newest ledger entry, which it wrote itself, and the upload.

    Creating one claims the ledger: from then on every earlier attempt is fenced.
    """

    def __init__(self, load: Load, settings: ObjectSettings, store: ObjectStore, *, restart: bool) -> None:
        self.load = load
        self._store = store
        self._every = settings.part_size
        partition, name = partition_of(load, settings.partition_format), uuid.uuid4().hex
        self._ledger = Ledger(store, Layout(settings.prefix, load, RAW, partition).ledger, settings.fencing)
        self.entry = self._ledger.claim(
            lambda latest: successor(latest, load, name, restart=restart, partition=partition)
        )
        self._layout = Layout(settings.prefix, load, RAW, self.entry.partition)
        failpoint(CLAIMED)
        self._ledger.prove(self.entry)
        self._upload: UploadAhead | None = None
        self._writer: PieceWriter | None = None
        self._digests = Digests(sha256=hashlib.sha256())
        self._taken_up = 0  # bytes that an earlier attempt has sent
        self._proof = self.entry.checkpoint.proof if self.entry.checkpoint else Proof()
        self._key = ""
        self._landed = self._take_up(self.entry.sending) if self.entry.sending else None
        if not self._upload and not self._landed:
            store.abort_uploads(self._layout.load)
            self.entry = replace(self.entry, checkpoint=None, sending=None)

    @property
    def sent(self) -> int:
        """Bytes of the archive that were sent, or are being sent."""
        return self._writer.sent if self._writer else self._taken_up

    def write(self, data: bytes, source: Identity) -> Checkpoint | None:
        """Take the archive's next bytes. Return the newest checkpoint if this call committed one.

        A piece is sent while the next one comes. A commit waits for it.
        """
        if self._landed:
            return None  # the object is there as a whole; the ledger only knew of less
        before = self.sent
        last = self._writing(source).write(data)
        if last:
            self._proof = Proof.of(last)
        return self._commit(source) if before // self._every != self.sent // self._every else None

    def finish(self, certificate: Certificate, handle: dict[str, Any]) -> Certificate:
        """Make the archive visible, write the manifest, remove objects it does not list. Return the certificate."""
        archive = self._landed or self._appear(certificate.source)
        stale = {found.key for found in self._store.list_objects(self._layout.load)}
        self._ledger.confirm(self.entry)
        failpoint(CHECKED)
        closed = replace(
            certificate,
            bytes_read=archive.bytes,
            location=f"{self._store.url}/{self._layout.load}",
            parts=[asdict(archive)],
            attempts=self.entry.attempts,
        )
        write_manifest(self._store, self._layout.manifest, closed, dead_letters=[], handle=handle)
        failpoint(MANIFEST_WRITTEN)
        for key in stale - {archive.key, self._layout.manifest}:
            self._store.delete(key)
        self._store.abort_uploads(self._layout.load)
        failpoint(CLEANED)
        self._append(state="complete")
        return closed

    def close(self) -> None:
        """Wait for the piece that is being sent. What the store has stays, and the next attempt continues it."""
        if self._upload:
            self._upload.close()

    def check_fence(self) -> None:
        """Raise :class:`FencedError` if a newer attempt has taken over; return if the store cannot say."""
        with suppress(SinkUnavailableError):
            self._ledger.confirm(self.entry)

    def _take_up(self, sending: Sending) -> Part | None:
        """Continue an earlier attempt's upload if it is there; if the object is already visible, return it."""
        if upload := self._store.resume(sending.sent):
            self._upload, self._taken_up = _ahead(upload), sending.sent.bytes
            self._key, self._digests = sending.sent.key, Digests(sending.crc32)
            return None
        # The earlier attempt may have died just after the object became visible.
        whole = sending.whole or Whole(sending.sent.bytes, sending.crc32)
        found = read_through(self._store, sending.sent.key, size=whole.size)
        return _part(sending.sent.key, found) if found and found.crc32 == whole.crc32 else None

    def _writing(self, source: Identity) -> PieceWriter:
        """Return the writer of the archive. Pieces have the same size in each attempt."""
        if self._writer is None:
            self._writer = PieceWriter(
                self._put,
                self._begin,
                piece=piece_size(source.length),
                digest=self._digests,
                upload=self._upload,
                sent=self._taken_up,
            )
        return self._writer

    def _put(self, body: Body) -> str:
        self._key = self._named(bytes(body), ended=True)
        return self._store.put(self._key, body)

    def _begin(self, head: Body) -> UploadAhead:
        self._key = self._named(bytes(head), ended=False)
        self._upload = _ahead(self._store.upload(self._key))
        return self._upload

    def _named(self, head: bytes, *, ended: bool) -> str:
        """Return the object's key. Each attempt has its own key, so that an earlier landing is not overwritten."""
        where = f"The archive of export {self.load.export_id}"
        packing = packing_of(head)
        shape = shape_of(head, where=where, ended=ended) if packing == "plain" else None
        ending = _ENDINGS.get(packing) or ("json" if shape == "array" else "ndjson")
        return f"{self._layout.load}archive-{tag(self.entry.attempt)}.{ending}"

    def _commit(self, source: Identity, crc32: int | None = None, whole: Whole | None = None) -> Checkpoint:
        """Write the progress of the upload into the ledger.

        :param crc32: of the bytes sent; None if those are all that was written.
        :param whole: the object, once all its bytes have come.
        """
        failpoint(COMMITTING)
        assert self._upload  # noqa: S101 - something was sent
        sent = self._upload.sent()
        checkpoint = Checkpoint(
            self.load.load_id,
            self.load.export_id,
            processed_at=now().isoformat(),
            position=Position(sent.bytes, sent.bytes, sent.bytes, "plain"),
            proof=self._proof,
            source=source,
            committed_at=now().isoformat(),
            fence=self.entry.fence,
        )
        sending = Sending(sent, self._digests.crc32 if crc32 is None else crc32, whole)
        self._append(checkpoint=checkpoint, sending=sending)
        return checkpoint

    def _append(self, **changes: Any) -> None:
        entry = replace(self.entry, number=self.entry.number + 1, written_at=now().isoformat(), **changes)
        self.entry = self._ledger.append(entry)
        failpoint(LEDGER_WRITTEN)

    def _appear(self, source: Identity) -> Part:
        writer = self._writing(source)
        if source.length not in {None, writer.size}:
            raise AccountError(
                f"Export {self.load.export_id}: {writer.size} bytes of the archive have come, and it has "
                f"{source.length}. Please report this as a bug."
            )
        crc32 = self._digests.crc32
        writer.end()
        if self._upload:
            self._commit(source, crc32, Whole(writer.size, self._digests.crc32))
            self._ledger.confirm(self.entry)
        etag = writer.complete()
        failpoint(PART_UPLOADED)
        if self._digests.sha256:
            return Part(self._key, 0, writer.size, 0, writer.size, self._digests.hexdigest(), etag)
        return self._read_back(writer.size)

    def _read_back(self, size: int) -> Part:
        """Return the object that several attempts have sent, after checking its length and CRC-32."""
        found = read_through(self._store, self._key, size=size)
        if found and found.crc32 == self._digests.crc32:
            return _part(self._key, found)
        raise AccountError(
            f"Export {self.load.export_id}: {self._store.url}/{self._key} is not what was sent, by its length or its "
            "CRC-32. Something else writes below this prefix: find it, then clear the task with on_clear='restart'."
        )


def _ahead(upload: ResumableUpload) -> UploadAhead:
    """Send two pieces at once: the store can work on one while the other is hashed and comes (docs/performance.md)."""
    return UploadAhead(upload, at_once=2)


def _part(key: str, found: FoundObject) -> Part:
    return Part(key, 0, found.size, 0, found.size, found.sha256, found.etag)
