"""An upload whose pieces are sent in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.stores.base import Body, ObjectStore, ResumableUpload, SentPieces
from airflow_provider_genesys.stores.piece_writer import LaterUpload, UploadAhead
from tests.support.watching import until


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
    before = set(threading.enumerate())
    gate = Gate()
    upload = UploadAhead(gate)
    upload.send(b"a")  # returns before the piece is there
    assert gate.came == []
    gate.open.set()
    for piece in (b"b", b"c"):
        upload.send(piece)
    assert upload.complete(b"d", "digest") == "digest abcd"
    assert set(threading.enumerate()) == before


class Numbered(Gate):
    """An upload whose pieces may overtake one another; the first one waits for the gate."""

    def __init__(self, *, lost: bytes | None = None) -> None:
        super().__init__(lost=lost)
        self.begun: list[bytes] = []
        self.placed: dict[int, bytes] = {}
        self._places = count()

    def next_piece(self) -> Callable[[Body], None]:
        return partial(self._place, next(self._places))

    def _place(self, place: int, piece: Body) -> None:
        self.begun.append(bytes(piece))
        if place == 0:
            self.send(bytes(piece))
        self.placed[place] = bytes(piece)


def test_two_pieces_are_on_their_way_where_they_have_numbers() -> None:
    upload = UploadAhead(numbered := Numbered(), at_once=2)
    upload.send(b"a")
    upload.send(b"b")
    until(lambda: numbered.placed == {1: b"b"}, seconds=10, what="the second piece")  # it has overtaken the first
    sender = threading.Thread(target=upload.send, args=[b"c"])
    sender.start()
    sender.join(0.05)
    assert sender.is_alive()  # the piece before the last is held still
    assert numbered.begun == [b"a", b"b"]
    numbered.open.set()
    sender.join()
    upload.close()
    assert numbered.placed == {0: b"a", 1: b"b", 2: b"c"}


def test_a_piece_that_is_lost_is_never_forgotten_for_the_one_after_it() -> None:
    upload = UploadAhead(numbered := Numbered(lost=b"a"), at_once=2)
    upload.send(b"a")
    upload.send(b"b")
    numbered.open.set()
    for call in (upload.sent, lambda: upload.complete(b"c", "digest"), upload.sent):
        with pytest.raises(SinkUnavailableError, match="lost"):
            call()


def test_pieces_without_numbers_are_sent_one_after_the_other() -> None:
    upload = UploadAhead(gate := Gate(), at_once=2)
    upload.send(b"a")
    sender = threading.Thread(target=upload.send, args=[b"b"])
    sender.start()
    sender.join(0.05)
    assert sender.is_alive()
    gate.open.set()
    sender.join()
    assert upload.complete(b"c", "digest") == "digest abc"


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


class Answering(ObjectStore):
    """A store that begins an upload in the way that a test gives."""

    def __init__(self, answer: Gate | SinkUnavailableError) -> None:
        self.answers = threading.Event()
        self.asked = 0
        self._answer = answer

    def upload(self, key: str) -> ResumableUpload:
        assert key == "key"
        assert self.answers.wait(10)
        self.asked += 1
        if isinstance(self._answer, SinkUnavailableError):
            raise self._answer
        return self._answer


def test_only_the_thread_waits_while_an_upload_begins() -> None:
    store = Answering(gate := Gate())
    gate.open.set()
    upload = UploadAhead(LaterUpload(store, "key"))
    upload.send(b"a")  # returns before the store answers
    store.answers.set()
    upload.send(b"b")
    assert upload.sent().pieces == 2
    assert upload.complete(b"c", "digest") == "digest abc"
    assert store.asked == 1
    upload.abort()
    assert gate.aborted


def test_an_upload_that_could_not_begin_leaves_nothing_to_discard() -> None:
    store = Answering(SinkUnavailableError("no answer"))
    store.answers.set()
    upload = UploadAhead(LaterUpload(store, "key"))
    upload.send(b"a")
    with pytest.raises(SinkUnavailableError, match="no answer"):
        upload.send(b"b")
    upload.abort()
    assert store.asked == 1
