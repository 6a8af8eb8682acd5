"""Larger reads: with and without TLS and a proxy, and of no other client."""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import httpx
import pytest
import trustme

from airflow_provider_genesys.source.body import body_of
from airflow_provider_genesys.source.download_client import READ_AT_ONCE, DownloadSettings, open_client

BODY = b"x" * (4 * READ_AT_ONCE)
Wrap = Callable[[socket.socket], socket.socket]


@contextmanager
def serving(
    scheme: str = "http", wrapped: Callable[[socket.socket], socket.socket] = lambda plain: plain
) -> Iterator[str]:
    """A server that has the whole body ready before anything is read of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                plain, _ = listener.accept()
                with wrapped(plain) as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(BODY))
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
    listener.shutdown(socket.SHUT_RDWR)  # else the thread would accept on
    listener.close()
    thread.join(5)


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as url:
        yield url


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


def test_records_of_tls_that_have_come_are_read_together() -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with (
        serving("https", partial(context.wrap_socket, server_side=True)) as url,
        open_client(DownloadSettings(verify=trusted), keep=0) as client,
        client.stream("GET", url) as response,
    ):
        body = body_of(response)
        chunks = [next(body)]
        connection = response.extensions["network_stream"].get_extra_info("socket")
        while waiting(connection) < 100_000:  # more than a record
            pass
        chunks += body
        assert b"".join(chunks) == BODY
        assert len(chunks[1]) > 65_536


def waiting(connection: socket.socket) -> int:
    """The bytes that have come and are not read."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]


def test_a_body_that_stands_still_is_a_read_that_took_too_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab")
                connection.recv(1)  # until the client goes

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with open_client(DownloadSettings(timeout=0.3), keep=0) as client, client.stream("GET", address) as response:
            body = body_of(response)
            assert next(body) == b"ab"
            with pytest.raises(httpx.ReadTimeout):
                next(body)
        thread.join(5)
