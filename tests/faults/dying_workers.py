"""Worker processes of a load that end at a chosen moment, and what processes leave behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar, Literal

from airflow_provider_genesys.contracts.transform import Known
from airflow_provider_genesys.pipeline import workers
from airflow_provider_genesys.pipeline.worker import Slots
from airflow_provider_genesys.source.records import Slice
from tests.support.watching import until

MARK = "GENESYS_CRASH_TEST"
"""Variable of the environment of workers: which test they belong to."""
PATIENCE = 60.0
"""Seconds that workers may take to begin, or to answer."""

Moment = Literal["begins", "works", "has answered"]
"""It has not said that it is up · it holds a slice · what it made of a slice is there, and nobody has looked."""


class DyingWorker(workers._Worker):
    """Ends by SIGKILL, alone or with all others, when they are given their second slice, or at their beginning."""

    moment: Moment
    all_die: bool
    given = 0
    begun: ClassVar[list[DyingWorker]] = []
    dead: ClassVar[set[int]] = set()

    def __init__(self, connection: Connection, slots: Slots) -> None:
        super().__init__(connection, slots)
        self.begun.append(self)

    def is_up(self) -> bool:
        if self.moment == "begins" and not self.dead:
            self._end(signal.SIGKILL)
        return super().is_up()

    def give(self, part: Slice, known: Known) -> int | None:
        DyingWorker.given += 1
        due = self.given == 2 and not self.dead
        if due and self.moment == "works":
            self._end(signal.SIGSTOP)
        slot = super().give(part, known)
        if due and self.moment == "has answered":
            assert self._connection.poll(PATIENCE)
        if due:
            self._end(signal.SIGKILL)
        return slot

    def _end(self, how: signal.Signals) -> None:
        until(lambda: len(_workers()) == len(self.begun), seconds=PATIENCE, what="The last worker")
        processes = _workers()
        for process in processes if self.all_die else [processes[self.begun.index(self)]]:
            os.kill(process, how)
            self.dead.add(process)


def share_with_workers(mark: str, moment: Moment | None = None, all_die: bool = False) -> None:
    """Let marked workers take slices from the first on, and end at ``moment`` if there is one."""
    os.environ[MARK] = mark
    workers.START_WAIT = PATIENCE
    if moment:
        DyingWorker.moment, DyingWorker.all_die = moment, all_die
        workers._Worker = DyingWorker  # type: ignore[misc]  # it is one


def marked(mark: str) -> list[int]:
    """Return the processes that have this mark."""
    variable = f"{MARK}={mark}".encode()
    return [pid for pid, environment in _environments() if variable in environment.split(b"\0")]


def _environments() -> Iterator[tuple[int, bytes]]:
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is somebody else's
            if process.name.isdecimal():
                yield int(process.name), (process / "environ").read_bytes()


def left_by(process: int) -> list[str]:
    """Return the shared memory that a process has open, and the workers that are its children."""
    found = []
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            found.append(str(descriptor.readlink()))
    memory = [name for name in found if name.startswith(("/memfd:genesys", "/dev/shm/"))]  # noqa: S108 - looked at
    return memory + [str(pid) for pid in _children(process)]


def _workers() -> list[int]:
    """Return the worker processes in their order: one that this process started, and those that it made from itself."""
    own = list(_children(os.getpid()))
    return [*own, *chain.from_iterable(map(_children, own))]


def _children(process: int) -> Iterator[int]:
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # the thread has ended
            yield from map(int, (thread / "children").read_text().split())
