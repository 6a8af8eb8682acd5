"""Larger reads: with and without TLS and a proxy, and of no other client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from airflow_provider_genesys.source.download_client import READ_AT_ONCE, DownloadSettings, body_of, open_client

BODY = b"x" * (4 * READ_AT_ONCE)


@pytest.fixture
def url() -> Iterator[str]:
    """A server that has the whole body ready before anything is read of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(BODY))
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    listener.shutdown(socket.SHUT_RDWR)  # else the thread would accept on
    listener.close()
    thread.join(5)


def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the reads that sockets are asked for."""
    sizes: list[int] = []
    from httpcore._backends.sync import SyncStream

    read = SyncStream.read

    def noted(self: SyncStream, max_bytes: int, timeout: float | None = None) -> bytes:
        sizes.append(max_bytes)
        return read(self, max_bytes, timeout)

    monkeypatch.setattr(SyncStream, "read", noted)
    return sizes


def test_a_download_reads_widely_and_no_other_client_does(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = asked_for(monkeypatch)
    with open_client(DownloadSettings(), keep=0) as client:
        assert client.get(url).content == BODY
    assert set(sizes) == {READ_AT_ONCE}
    sizes.clear()
    with httpx.Client() as other:
        assert other.get(url).content == BODY
    assert max(sizes) < READ_AT_ONCE


def test_a_proxy_of_the_environment_is_read_widely(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = asked_for(monkeypatch)
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("NO_PROXY", "")
    with open_client(DownloadSettings(), keep=0) as client:
        assert client.get("http://archive.invalid/").content == BODY
    assert set(sizes) == {READ_AT_ONCE}


def test_a_body_of_known_length_is_read_past_httpx(url: str) -> None:
    with open_client(DownloadSettings(), keep=0) as client, client.stream("GET", url) as response:
        assert b"".join(body_of(response)) == BODY
        assert response.num_bytes_downloaded <= READ_AT_ONCE


def test_a_body_ends_at_its_length() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                connection.recv(1)  # the first two bytes have come
                connection.sendall(b"cdefgh")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with open_client(DownloadSettings(), keep=0) as client, client.stream("GET", address) as response:
            body = body_of(response)
            first = next(body)
            response.extensions["network_stream"].write(b"x")
            assert first + b"".join(body) == b"abcdef"
        thread.join(5)
