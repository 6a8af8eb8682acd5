"""An upload whose pieces are sent in a thread."""

from __future__ import annotations

import threading

import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.stores.base import SentPieces
from airflow_provider_genesys.stores.piece_writer import UploadAhead


class Gate:
    """An upload whose pieces arrive when the gate is open; the piece ``lost`` does not."""

    def __init__(self, *, lost: bytes | None = None) -> None:
        self.open = threading.Event()
        self.came: list[bytes] = []
        self.aborted = False
        self._lost = lost

    def send(self, piece: bytes) -> None:
        assert self.open.wait(10)
        if piece == self._lost:
            raise SinkUnavailableError("lost")
        self.came.append(piece)

    @property
    def sent(self) -> SentPieces:
        return SentPieces("key", "name", len(self.came), sum(map(len, self.came)))

    def complete(self, last: bytes, sha256: str) -> str:
        return f"{sha256} {b''.join([*self.came, last]).decode()}"

    def abort(self) -> None:
        self.aborted = True


def test_a_piece_is_sent_while_the_next_is_made_and_the_order_stays() -> None:
    gate = Gate()
    upload = UploadAhead(gate)
    upload.send(b"a")  # returns before the piece is there
    assert gate.came == []
    gate.open.set()
    for piece in (b"b", b"c"):
        upload.send(piece)
    assert upload.complete(b"d", "digest") == "digest abcd"


def test_what_was_sent_counts_the_piece_on_its_way() -> None:
    gate = Gate()
    upload = UploadAhead(gate)
    upload.send(b"abc")
    threading.Timer(0.05, gate.open.set).start()
    assert upload.sent().bytes == 3


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("then", ["send", "sent", "complete"])
def test_what_goes_wrong_is_raised_by_the_next_call(then: str, *, closed: bool) -> None:
    gate = Gate(lost=b"b")
    gate.open.set()
    upload = UploadAhead(gate)
    upload.send(b"a")
    upload.send(b"b")
    if closed:
        upload.close()
    calls = {
        "send": lambda: upload.send(b"c"),
        "sent": upload.sent,
        "complete": lambda: upload.complete(b"c", "digest"),
    }
    with pytest.raises(SinkUnavailableError, match="lost"):
        calls[then]()
    assert gate.came == [b"a"]


def test_an_abort_waits_for_what_is_on_its_way() -> None:
    before = set(threading.enumerate())
    gate = Gate()
    upload = UploadAhead(gate)
    upload.send(b"a")
    threading.Timer(0.05, gate.open.set).start()
    upload.abort()
    assert gate.came == [b"a"]
    assert gate.aborted
    new = set(threading.enumerate()) - before
    assert not [thread for thread in new if thread.name.startswith("genesys-upload")]


def test_an_abort_after_a_failure_still_aborts() -> None:
    gate = Gate(lost=b"a")
    gate.open.set()
    upload = UploadAhead(gate)
    upload.send(b"a")
    upload.abort()
    assert gate.aborted
