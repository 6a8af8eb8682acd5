"""Reads the body of a download past httpx, which copies each byte four times.

Only the bytes that came with the head are taken from httpx; the others come from the connection's socket. The socket
does not block: then a read gives up Python's lock once. A read with a time limit gives it up three times, and while
records are decoded each time may have to wait for it (``docs/performance.md``).
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpcore
import httpx

PIECE = 512 * 1024
"""Most bytes to read at once: with 256 KiB, a load needs a tenth more CPU time."""

_Read = Callable[[], bytes]


def body_of(response: httpx.Response) -> Iterator[bytes]:
    """Yield the bytes of a body as they come, and leave the connection unusable for another request.

    :raises httpx.TransportError: the connection broke. One that only ended is no error here.
    """
    chunks = response.iter_raw()
    left = _length(response)
    if left is None:
        yield from chunks
        return
    first = next(chunks, b"")
    if first:
        yield first
    left -= len(first)
    read = _reader(response)
    while left > 0 and (chunk := _mapped(read)[:left]):
        left -= len(chunk)
        yield chunk


def _length(response: httpx.Response) -> int | None:
    """Return the length of a body that has one and is not framed; else None."""
    if "Transfer-Encoding" in response.headers or response.http_version != "HTTP/1.1":
        return None
    return int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None


def _reader(response: httpx.Response) -> _Read:
    """Return what waits for the next bytes and returns them; nothing at the end."""
    stream: httpcore.NetworkStream = response.extensions["network_stream"]
    seconds: float = response.request.extensions["timeout"]["read"]
    connection: socket.socket = stream.get_extra_info("socket")
    if stream.get_extra_info("ssl_object") and not isinstance(connection, ssl.SSLSocket):  # TLS within a proxy's TLS
        return lambda: stream.read(PIECE, seconds)
    connection.settimeout(0)
    if isinstance(connection, ssl.SSLSocket):
        return lambda: b"".join(_records(connection, seconds))
    return lambda: _received(connection, PIECE, seconds)


def _records(connection: ssl.SSLSocket, seconds: float) -> Iterator[bytes]:
    """Wait for the next record of TLS, which has at most 16 KiB; yield it and those that have come as well."""
    record = _received(connection, PIECE, seconds)
    size = len(record)
    yield record
    with suppress(OSError):  # nothing more has come, or an error, which the next read meets again
        while record and size < PIECE:
            record = connection.recv(PIECE - size)
            size += len(record)
            yield record


def _received(connection: socket.socket, most: int, seconds: float) -> bytes:
    """Return what has come, at most ``most`` bytes; wait for it if nothing has. The limit is for all waits together."""
    until = time.monotonic() + seconds
    while True:
        try:
            return connection.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError):
            _wait(connection, select.POLLIN, until)
        except ssl.SSLWantWriteError:  # the server wants new keys
            _wait(connection, select.POLLOUT, until)


def _wait(connection: socket.socket, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(connection, event)
    if not poll.poll(max(0.0, 1000 * (until - time.monotonic()))):
        raise TimeoutError("no byte came in time")


def _mapped(read: _Read) -> bytes:
    """Return what ``read`` does; raise its errors as httpx would."""
    try:
        return read()
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise httpx.ReadTimeout(str(error)) from error
    except (OSError, httpcore.NetworkError) as error:
        raise httpx.ReadError(str(error)) from error
