"""Which recordings a conversation has: made up from its id alone, so that every request gets the same answer."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from random import Random
from typing import Any

from airflow_provider_genesys.testing.fake_genesys.settings import Settings

_KINDS = (("audio", "audio/ogg", "ogg"), ("audio", "audio/wav", "wav"), ("screen", "video/webm", "webm"))
_EPOCH = datetime(2026, 11, 1, tzinfo=timezone.utc)
_BLOCK = 64 * 1024


@dataclass(frozen=True)
class Recorded:
    """One recording and its media, which is never stored: any of its bytes is computed when it is asked for."""

    conversation_id: str
    id: str
    media: str
    content_type: str
    extension: str
    size: int
    sensitive: bool
    start: datetime

    @property
    def path(self) -> str:
        """Path of its media on the object store."""
        return f"/archive/media/{self.id}.{self.extension}"

    @property
    def etag(self) -> str:
        """The object store's ETag."""
        return f'"{sha256(self.id.encode()).hexdigest()[:32]}"'

    def chunks(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the bytes ``start <= offset < stop``."""
        block = memoryview(Random(self.id).randbytes(_BLOCK))  # noqa: S311 - made up, not secret
        while start < stop:
            piece = block[start % _BLOCK :][: stop - start]
            yield piece
            start += len(piece)

    def send_to(self, connection: socket.socket, start: int, stop: int) -> None:
        """Write the bytes ``start <= offset < stop`` to ``connection``."""
        for chunk in self.chunks(start, stop):
            connection.sendall(chunk)

    def metadata(self) -> dict[str, Any]:
        """Return Genesys' ``RecordingMetadata``."""
        return {
            "id": self.id,
            "conversationId": self.conversation_id,
            "path": f"/recordings/{self.id}",
            "startTime": _text(self.start),
            "endTime": _text(self.start + timedelta(minutes=3)),
            "media": self.media,
            "mediaSubtype": "Screen" if self.media == "screen" else "Trunk",
            "annotations": [{"type": "hold", "location": 1_000, "durationMs": 500, "recordingLocation": 1_000}],
            "fileState": "AVAILABLE",
            "sessionId": f"session-of-{self.id}",
            "region": "eu-central-1",
            "selfUri": f"/api/v2/conversations/{self.conversation_id}/recordings/{self.id}",
        }


def recordings_of(conversation_id: str, settings: Settings) -> list[Recorded]:
    """Return the recordings of a conversation: ``settings.recordings_each`` of them, or none in one of three."""
    if settings.recordings_each is not None:
        number = settings.recordings_each
    else:
        number = sha256(conversation_id.encode()).digest()[0] % 3
    return [_recorded(conversation_id, n, settings) for n in range(number)]


def recordings_of_all(conversation_ids: Iterable[str], settings: Settings) -> list[Recorded]:
    """Return the recordings of several conversations, in order."""
    return [one for conversation_id in conversation_ids for one in recordings_of(conversation_id, settings)]


def _recorded(conversation_id: str, number: int, settings: Settings) -> Recorded:
    digest = sha256(f"{conversation_id}/{number}".encode())
    digits, random = digest.hexdigest(), Random(digest.digest())  # noqa: S311 - made up, not secret
    media, content_type, extension = random.choice(_KINDS)
    return Recorded(
        conversation_id,
        f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:30]}",
        media,
        content_type,
        extension,
        random.randint(*settings.media_bytes),
        random.random() < settings.sensitive,
        _EPOCH + timedelta(seconds=random.randrange(86_400)),
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
