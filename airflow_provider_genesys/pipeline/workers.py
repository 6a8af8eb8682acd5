"""The worker processes of one load, seen from the task's process: slices go out, and come back in their order.

They are a separate program, not forks of the task's process: a Celery worker may not have children of
:mod:`multiprocessing`, and a fork of a process with threads may hang. That program makes the further workers from
itself, so two start in half the time.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Literal

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.transform import Known, Rows
from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError
from airflow_provider_genesys.pipeline.worker import SLOT_BYTES, SLOTS, Given, Job, Ready, Slots
from airflow_provider_genesys.source.records import Slice

log = logging.getLogger(__name__)

Processes = int | Literal["auto"]

_GROUPS = Path("/sys/fs/cgroup")

_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from airflow_provider_genesys.pipeline.worker import main; main()"
_PATIENCE = 5.0  # seconds for a worker to end
AHEAD = 8 * 1024 * 1024
"""Bytes of slices for each worker that are read ahead, at most: with Parquet, a row group."""
START_WAIT = 0.0
"""Seconds that a slice waits for workers that are starting. Without, the task's process begins alone."""

Answer = tuple[Slice, "Rows | None"]
"""A slice, and its rows if a worker has made them."""


class Workers:
    """Processes that read slices and pack their rows, while the task's process reads ahead and writes.

    If one of them is lost, the task's process goes on alone.

    :param count: how many; with 0 the task's process does all by itself.
    :param limit: records that the task's process reads at a time, at most.
    """

    def __init__(self, job: Job | None, count: int, *, limit: int = sys.maxsize) -> None:
        self._all: list[_Worker] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._next = 0
        self._limit = limit
        try:
            message = pickle.dumps(job)
            if job and count:
                self._all = self._started(message, count)
        except (OSError, pickle.PicklingError, TypeError, AttributeError) as error:
            log.warning("Worker processes cannot be started (%s). The task's process works alone.", error)
            self._end()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def are_running(self) -> bool:
        """Whether there are any, though they may not have begun."""
        return bool(self._all)

    def ahead(self, slices: Iterable[Slice], known: Callable[[], Known]) -> Iterator[Answer]:
        """Return ``slices`` in their order, with the rows that workers have made of them.

        If reading fails, the slices before the failure come first.

        :param known: returns what the contract has learned so far.
        """
        if not self._all:
            return map(_alone, slices)  # it holds no slice longer than the loop does
        return self._cut(self._in_turn(slices, known))

    def _cut(self, answers: Iterator[Answer]) -> Iterator[Answer]:
        """Cut those slices that no worker has read, which are longer than the task's process reads at a time."""
        for part, rows in answers:
            if rows:
                yield part, rows
            else:
                yield from map(_alone, part.pieces(self._limit))
            del part, rows  # it would be held while the next one is waited for

    def _in_turn(self, slices: Iterable[Slice], known: Callable[[], Known]) -> Iterator[Answer]:
        waiting: deque[_Waiting] = deque()
        try:
            for part in slices:
                waiting.append(self._given(part, known()))
                del part
                while waiting and (self._is_enough(waiting) or waiting[0].is_there):
                    yield self._taken(waiting.popleft())
        except GenesysError:
            yield from map(self._taken, waiting)
            raise
        yield from map(self._taken, waiting)

    def _is_enough(self, waiting: deque[_Waiting]) -> bool:
        held = sum(len(one.part.held) for one in waiting)
        return len(waiting) >= SLOTS * len(self._all) or held >= AHEAD * len(self._all)

    def _are_up(self) -> bool:
        try:
            return bool(self._all) and all(worker.is_up() for worker in self._all)
        except (EOFError, OSError):
            self._lost("has ended before it began")
            return False

    def _given(self, part: Slice, known: Known) -> _Waiting:
        if part.refused or not part.starts or not self._are_up():
            return _Waiting(part, known.contract)
        worker = self._all[self._next % len(self._all)]
        try:
            slot = worker.give(part, known)
        except OSError as error:
            self._lost(f"has ended ({error})")
            slot = None
        if slot is None:
            return _Waiting(part, known.contract)
        self._next += 1
        return _Waiting(part, known.contract, worker, slot)

    def _taken(self, waiting: _Waiting) -> Answer:
        if waiting.worker is None:
            return waiting.part, None
        try:
            return waiting.part, waiting.worker.take(waiting.contract, waiting.slot)
        except (EOFError, OSError):
            self._lost("has ended")
            return waiting.part, None

    def _lost(self, how: str) -> None:
        if self._all:
            log.warning("A worker process %s. The load goes on in the task's process alone.", how)
        self._end()

    def _started(self, job: bytes, count: int) -> list[_Worker]:
        """Start one process, which becomes ``count`` of them."""
        with ExitStack() as ours, ExitStack() as failed:
            workers, shared = list[_Worker](), list[int]()
            for _ in range(count):
                connection, theirs = Pipe()
                ours.callback(theirs.close)
                failed.callback(connection.close)
                slots = Slots(shared_file())
                failed.callback(slots.close)
                workers.append(_Worker(connection, slots))
                shared += theirs.fileno(), slots.file
            named = ",".join(f"{theirs}:{memory}" for theirs, memory in zip(shared[::2], shared[1::2], strict=True))
            # Isolated, so that no module in the current folder is taken for one of Python's.
            command = [sys.executable, "-I", "-c", _PROGRAM, named, *sys.path]
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.DEVNULL, pass_fds=shared, start_new_session=True
            )
            failed.pop_all()
        workers[0].begin(job)
        return workers

    def _end(self) -> None:
        """Let the processes end. Wait for the first, which waits for the others."""
        workers, self._all = self._all, []
        for worker in workers:
            worker.close()
        if workers and self._process:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


@dataclass(frozen=True)
class _Waiting:
    """A slice that is not handed on yet, and where it is read; without a worker, in the task's process."""

    part: Slice
    contract: Contract
    worker: _Worker | None = None
    slot: int = 0

    @property
    def is_there(self) -> bool:
        return self.worker is None or self.worker.has_answer


class _Worker:
    """One process, with what it shares."""

    def __init__(self, connection: Connection, slots: Slots) -> None:
        self._known: Known | None = None
        self._free = list(range(SLOTS))
        self._up = False
        self._slots = slots
        self._connection = connection

    def begin(self, job: bytes) -> None:
        """Hand over what all of the processes need."""
        with suppress(OSError):  # it has ended, which is seen when it is to take a slice
            self._connection.send_bytes(job)

    def is_up(self) -> bool:
        """Whether the process takes slices now. Its first message says so."""
        if not self._up and self._connection.poll(START_WAIT):
            self._up = bool(self._connection.recv())
        return self._up

    @property
    def has_answer(self) -> bool:
        """Whether :meth:`take` would not wait. So it is if the process has ended."""
        try:
            return self._connection.poll()
        except OSError:
            return True

    def give(self, part: Slice, known: Known) -> int | None:
        """Hand ``part`` to the process and return its slot; None if it is too large."""
        slot = self._free[-1]  # the last one used: so few are used that few take memory
        if not self._slots.put(slot, part):
            return None
        news = None if known is self._known else known
        given = Given(slot, part.start, part.end, len(part.held), len(part.starts), part.shape, news)
        self._connection.send(given)
        self._known = known
        self._free.pop()
        return slot

    def take(self, contract: Contract, slot: int) -> Rows | None:
        """Wait for the oldest slice and return its rows, made with ``contract``; None if they have to be made here."""
        ready: Ready | None = self._connection.recv()
        self._free.append(slot)
        if ready is None:
            return None
        packed = self._slots.read(slot, ready.packed)
        return Rows(contract, drift=ready.drift, facts=ready.facts, packed=packed)

    def close(self) -> None:
        """Let the process end."""
        self._connection.close()
        self._slots.close()


def _alone(part: Slice) -> Answer:
    return part, None


def shared_file() -> int:
    """Return the descriptor of an unnamed file, which goes with the last process that has it open."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("genesys-slices")
    else:
        with tempfile.TemporaryFile() as named:
            file = os.dup(named.fileno())
    os.truncate(file, SLOTS * SLOT_BYTES)
    return file


def worker_count(processes: Processes) -> int:
    """Return the number of worker processes that ``processes`` asks for: 0 if the task's process works alone.

    :raises ConfigurationError: it is neither ``auto`` nor a number from 1 on.
    """
    if processes != "auto" and (not isinstance(processes, int) or processes < 1):
        raise ConfigurationError(f"processes is {processes!r}; it has to be a number from 1 on, or 'auto'.")
    count = cores() if processes == "auto" else processes
    return count if count > 1 else 0


def cores(groups: Path = _GROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the number of cores that this process may use: as many as its container's quota gives, and at least 1."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([free, *_quotas(groups, own)])))


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Yield the quota of each control group that this process is in, in cores."""
    with suppress(OSError, ValueError):
        group = Path(own.read_text().rpartition("0::/")[2].strip() if own.exists() else "")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):
                quota, period = (groups / folder / "cpu.max").read_text().split()
                yield int(quota) / int(period)
    with suppress(OSError, ValueError):  # version 1
        quota, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if int(quota) > 0:
            yield int(quota) / int(period)
