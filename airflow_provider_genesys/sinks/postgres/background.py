"""A commit in the background: PostgreSQL works on it while the next batches are read.

The server takes about twice as long for a row as the task's process does for reading it. Where both work at the same
time, a load is about a fifth faster: ``./run bench --row postgres``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Event, Thread

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.sinks.postgres.gathered import Together

_PATIENCE = 5.0  # seconds for a commit whose connection was cut

Sent = Callable[[], None]
"""Says that the server has what it needs for the most part of its work."""


class Background:
    """One try of a commit, in a thread.

    :param batches: that it commits.
    :param commit: commits them; it calls what it is given when the rows are sent.
    """

    def __init__(self, batches: Together, commit: Callable[[Sent], Checkpoint]) -> None:
        self.batches = batches
        self._commit = commit
        self._sent = Event()
        self._outcome: Future[Checkpoint] = Future()

    def start(self) -> None:
        """Begin, and return when the rows are sent, or when the commit has ended.

        Until then the process could only take turns: sending needs the interpreter, as reading does, and a thread gets
        it back from one that computes no earlier than after 5 ms.
        """
        Thread(target=self._run, name="genesys-commit", daemon=True).start()
        self._sent.wait()

    @property
    def has_ended(self) -> bool:
        """Whether :meth:`result` would not wait."""
        return self._outcome.done()

    def result(self) -> Checkpoint:
        """Wait for the commit; return its checkpoint, or raise what it has raised."""
        return self._outcome.result()

    def end(self) -> None:
        """Wait until it has ended, after its connection was cut. Never raises."""
        wait([self._outcome], _PATIENCE)

    def _run(self) -> None:
        try:
            self._outcome.set_result(self._commit(self._sent.set))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread that asks for the result gets it
            self._outcome.set_exception(error)
        finally:
            self._sent.set()
