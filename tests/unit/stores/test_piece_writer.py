"""An object is sent in equal pieces, however its bytes come, and at once where it is one piece."""

from __future__ import annotations

import hashlib

import pytest

from airflow_provider_genesys.stores.base import MOST_PIECES, PIECE_UNIT, Body
from airflow_provider_genesys.stores.piece_writer import PIECE, PieceWriter, piece_size

DATA = bytes(range(256))


class Recorder:
    """Implements :class:`.stores.base.Upload`, and keeps what it is given."""

    def __init__(self) -> None:
        self.pieces = list[Body]()
        self.sha256 = ""
        self.aborted = False

    def send(self, piece: Body) -> None:
        self.pieces.append(piece)

    def complete(self, last: Body, sha256: str) -> str:
        self.pieces.append(last)
        self.sha256 = sha256
        return "uploaded"

    def abort(self) -> None:
        self.aborted = True


def never(_: Body) -> Recorder:
    raise AssertionError("nothing is to be uploaded")


@pytest.mark.parametrize("step", [1, 63, 64, 65, 200, 256])
@pytest.mark.parametrize("size", [65, 128, 129, 256])
def test_pieces_do_not_depend_on_how_the_bytes_come(size: int, step: int) -> None:
    upload, heads = Recorder(), list[bytes]()

    def begin(head: Body) -> Recorder:
        heads.append(bytes(head))
        return upload

    writer = PieceWriter(lambda _: "put", begin, piece=64)
    for start in range(0, size, step):
        writer.write(DATA[start : min(start + step, size)])
    assert writer.complete() == "uploaded"
    assert b"".join(upload.pieces) == DATA[:size]
    *whole, last = map(len, upload.pieces)
    assert (set(whole), 0 < last <= 64) == ({64}, True)
    assert (writer.size, upload.sha256) == (size, hashlib.sha256(DATA[:size]).hexdigest())
    assert heads == [DATA[:64]]


@pytest.mark.parametrize("size", [0, 1, 64])
def test_what_is_one_piece_is_written_at_once(size: int) -> None:
    bodies = list[Body]()
    writer = PieceWriter(lambda body: bodies.append(body) or "put", never, piece=64)  # type: ignore[func-returns-value] # a lambda has no statements
    assert (writer.write(DATA[:size]), writer.complete()) == (b"", "put")
    writer.abort()
    assert (bodies, writer.digest.hexdigest()) == ([DATA[:size]], hashlib.sha256(DATA[:size]).hexdigest())


def test_an_upload_is_gone_on_with_and_says_what_it_sent() -> None:
    upload = Recorder()
    writer = PieceWriter(lambda _: "put", never, piece=64, upload=upload, sent=64)
    assert (writer.write(DATA[64:200]), writer.sent, writer.size) == (DATA[128:192], 192, 200)
    writer.end()
    assert (len(upload.pieces), writer.size) == (2, 200)
    assert (writer.complete(), writer.size) == ("uploaded", 200)
    assert upload.pieces == [DATA[64:128], DATA[128:192], DATA[192:200]]


def test_an_abort_throws_away_what_was_sent() -> None:
    upload = Recorder()
    writer = PieceWriter(lambda _: "put", lambda _: upload, piece=64)
    writer.write(DATA)
    writer.abort()
    assert upload.aborted


@pytest.mark.parametrize("length", [None, 0, MOST_PIECES * PIECE, MOST_PIECES * PIECE + 1, 10**12 + 7])
def test_pieces_are_no_more_than_any_store_takes_and_end_where_google_keeps_them(length: int | None) -> None:
    size = piece_size(length)
    assert size % PIECE_UNIT == 0
    assert size * MOST_PIECES >= (length or 0)
    assert (size == PIECE) == ((length or 0) <= MOST_PIECES * PIECE)
