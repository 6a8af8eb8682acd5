"""Loads, and the archives that they read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx

from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.download_client import DownloadSettings
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
Writer = Callable[[bytes], None]
EXPORTS = "/api/v2/recordings/exports"


def a_load(export_id: str = "export-1", contract: Contract = RECORDINGS) -> Load:
    """One day of recordings."""
    return Load(
        load_id="load-1",
        export_id=export_id,
        kind="recordings",
        window_start=DAY,
        window_end=DAY + timedelta(days=1),
        submitted_at=DAY + timedelta(days=1),
        contract=contract,
        run_id="dag/run/task",
    )


@dataclass
class Signed:
    """A presigned URL."""

    url: str
    expires_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc) + timedelta(hours=1))


@dataclass
class InMemory:
    """An archive in memory in the place of a download, given in chunks of ``chunk`` bytes."""

    data: bytes
    chunk: int = 64 * 1024
    identity: Identity = field(default_factory=Identity)
    read_from: int | None = None

    def __call__(self, start: Checkpoint) -> Any:
        self.identity = start.source
        return self

    def stop(self) -> None:
        """Nothing is under way."""

    def read(self, start: int) -> Iterator[bytes]:
        self.read_from = start
        self.identity = Identity(len(self.data), '"etag"')
        for offset in range(start, len(self.data), self.chunk):
            yield self.data[offset : offset + self.chunk]


def ordered(genesys: FakeGenesys, file_format: str = "ndjson") -> tuple[str, str]:
    """Have an export of :data:`DAY` made; return its id and the presigned URL of its archive."""
    with httpx.Client(base_url=genesys.url) as client:
        form = {"grant_type": "client_credentials"}
        token = client.post("/oauth/token", data=form, auth=(genesys.client_id, genesys.client_secret)).json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        order = {
            "exportType": "recordings",
            "filter": {
                "dateFrom": DAY.isoformat().replace("+00:00", "Z"),
                "dateTo": (DAY + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
                "status": "AVAILABLE",
            },
            "format": file_format,
            "include": ["media", "participants", "metadata"],
        }
        export_id = client.post(EXPORTS, json=order).raise_for_status().json()["exportId"]
        while (status := client.get(f"{EXPORTS}/{export_id}").json())["status"] != "COMPLETED":
            pass
        return str(export_id), str(status["fileUri"])


def download_of(export_id: str, url: str, *, timeout: float = 10.0) -> Callable[[Checkpoint], Download]:
    """Make the downloads of an archive whose URL is good for ever."""
    settings = DownloadSettings(retries=0, timeout=timeout)

    def download(start: Checkpoint) -> Download:
        return Download(lambda _: Signed(url), export_id, start.source, settings)

    return download


def _send_chunk(connection: socket.socket, data: bytes) -> None:
    if data:
        connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))


@contextmanager
def served(body: Callable[[Writer, socket.socket], None], length: int | None = None) -> Iterator[str]:
    """Serve once what ``body`` writes, chunked where it has no stated length; yield the URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # the client went away, or the test ended
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                head = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                head += "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
                connection.sendall(f"{head}\r\n\r\n".encode())
                body(
                    connection.sendall if length is not None else lambda data: _send_chunk(connection, data), connection
                )
                connection.sendall(b"0\r\n\r\n" if length is None else b"")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/archive"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
