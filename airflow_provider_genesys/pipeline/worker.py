"""A process that reads slices by the contract and packs their rows, for a load with ``processes``.

It keeps no account and decides nothing. A slice in which a record has to be examined goes back as it is, and the task's
process reads it: so a load has the same result however many processes it has.

A worker lives as long as the connection to the task's process: that ends, also by SIGKILL, and the worker does.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Literal

from airflow_provider_genesys.contracts.column_rows import Row
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.drift import Drift, summed
from airflow_provider_genesys.contracts.row_facts import RowFacts, joined
from airflow_provider_genesys.contracts.transform import Known, Transform
from airflow_provider_genesys.pipeline.memory import keep_freed_memory
from airflow_provider_genesys.source.records import Pieces, Slice

Pack = Callable[[Iterable[Sequence[Row]], Slice], bytes]
"""Packs the rows of a slice, one for each of its records. They come in pieces."""
Packing = Callable[[Contract], Pack]
"""Makes what packs the rows of a contract as a sink wants them. It is pickled, so it is a function of a module."""

SLOTS = 4
"""Slices that one worker has at a time, at most: the one that it reads, and those that wait for it."""
PIECE = 512 * 1024
"""Bytes of a slice that a worker reads at a time. The processor's cache holds them, and what is made of them."""
SLOT_BYTES = 16 * 1024 * 1024
"""A larger slice, or one with larger rows, is read in the task's process."""
_INTEGER = 8  # bytes of an offset


@dataclass(frozen=True)
class Job:
    """What a worker needs of a load."""

    contract: Contract
    processed_at: datetime
    packing: Packing
    pii_key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Given:
    """A slice in the shared memory."""

    slot: int
    start: int
    end: int
    length: int
    records: int
    shape: Literal["lines", "array"]
    known: Known | None
    """What the contract has learned since the slice before; None if that is nothing."""


@dataclass(frozen=True)
class Ready:
    """What became of a slice. Its packed rows, ``packed`` bytes, are in the place of the slice."""

    facts: RowFacts
    drift: list[Drift]
    packed: int


class Slots:
    """Memory that the task's process shares with one worker.

    It is a file that neither process maps: what it holds counts for none of them, and no page of it is looked up twice.

    :param file: descriptor of the file. Only what is used of it takes memory.
    """

    def __init__(self, file: int) -> None:
        self.file = file

    def put(self, slot: int, part: Slice) -> bool:
        """Write ``part`` into ``slot``; False if it is too large."""
        numbers = array("q", part.starts + part.ends).tobytes()
        return self.write(slot, numbers, *(part.held.pieces if isinstance(part.held, Pieces) else [part.data]))

    def get(self, given: Given) -> Slice:
        """Return the slice that :meth:`put` wrote."""
        size = 2 * given.records * _INTEGER
        numbers = array("q", self.read(given.slot, size)).tolist()
        starts, ends = numbers[: given.records], numbers[given.records :]
        held = _Shared(self, given.slot, size, given.length)
        return Slice(given.start, given.end, held, starts, ends, given.shape)

    def write(self, slot: int, *pieces: bytes | memoryview) -> bool:
        """Write ``pieces`` into ``slot``; False if they are too large."""
        if sum(map(len, pieces)) > SLOT_BYTES:
            return False
        at = slot * SLOT_BYTES
        for piece in pieces:
            left = memoryview(piece)
            while left:
                written = os.pwrite(self.file, left, at)
                left, at = left[written:], at + written
        return True

    def read(self, slot: int, length: int, begin: int = 0) -> bytes:
        """Return ``length`` bytes of ``slot``, from ``begin`` on."""
        return os.pread(self.file, length, slot * SLOT_BYTES + begin)

    def close(self) -> None:
        """Give the memory back."""
        os.close(self.file)


@dataclass(frozen=True)
class _Shared:
    """Implements :class:`.records.Held` for the bytes of a slice in the shared memory."""

    slots: Slots
    slot: int
    begin: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, piece: slice, /) -> bytes:
        begin, end, _ = piece.indices(self.length)
        return self.slots.read(self.slot, end - begin, self.begin + begin)


class _Reader:
    """Reads and packs slices.

    :param job: of the load.
    """

    def __init__(self, job: Job, slots: Slots) -> None:
        self._job = job
        self._slots = slots
        self._transform = Transform(job.contract, job.processed_at, job.pii_key)
        self._pack = job.packing(job.contract)

    def ready(self, given: Given) -> Ready | None:
        """Return what became of the slice; None if the task's process has to read it."""
        if given.known:
            self._transform.follow(given.known)
            self._pack = self._job.packing(given.known.contract)
        facts, drift = list[RowFacts](), list[Drift]()
        part = self._slots.get(given)
        packed = self._pack(self._rows(part, facts, drift), part)
        fits = self._slots.write(given.slot, packed)
        return Ready(joined(facts), summed([], drift), len(packed)) if fits else None

    def _rows(self, part: Slice, facts: list[RowFacts], drift: list[Drift]) -> Iterator[Sequence[Row]]:
        for piece in part.pieces(len(part.starts), PIECE):
            read = self._transform.at_once(piece)
            if read is None:
                raise _NotPlainError
            facts.append(self._transform.facts(read))
            drift += read.drift
            yield read.rows


def main() -> None:
    """Work until the connection ends.

    The first argument has, for each worker, the descriptors of its connection and of its memory: ``3:4,5:6``. This
    process becomes the first worker, and makes the others from itself: so all that they need is imported once, and they
    share its memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the task's process
    keep_freed_memory()
    shares = [_share(*map(int, given.split(":"))) for given in sys.argv[1].split(",")]
    with suppress(EOFError, OSError):
        job = shares[0][0].recv()
        connection, slots = _as_many(shares)
        reader = _Reader(job, slots)
        connection.send(True)  # noqa: FBT003 - it is a message
        while True:
            connection.send(_unless_failed(reader, connection.recv()))
    with suppress(ChildProcessError):
        while True:
            os.wait()


_Share = tuple[Connection, Slots]


def _share(connection: int, memory: int) -> _Share:
    return Connection(connection), Slots(memory)


def _as_many(shares: Sequence[_Share]) -> _Share:
    """Become as many processes as there are ``shares``. Return that of this one; the others are closed in it.

    Nothing was started yet that a fork could harm: this process has one thread.
    """
    gc.freeze()  # a collection would copy the memory that they share
    mine = next((share for share in shares[1:] if not os.fork()), shares[0])
    for connection, slots in shares:
        if connection is not mine[0]:
            connection.close()
            slots.close()
    return mine


class _NotPlainError(Exception):
    """A record has to be examined."""


def _unless_failed(reader: _Reader, given: Given) -> Ready | None:
    try:
        return reader.ready(given)
    except Exception:  # noqa: BLE001 - the task's process reads the slice, and meets the same error with its place
        return None
