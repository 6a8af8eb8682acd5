"""Gathers batches for one commit: many make it cheap, and few mean that little is lost if it fails."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property

from airflow_provider_genesys.pipeline.load import Batch

COMMIT_BYTES = 4 * 2**20
"""Unpacked bytes of the export after which what is gathered is committed."""
COMMIT_SECONDS = 1.0
"""When the gathered batches are this old, the next batch leads to a commit."""


class Together(list[Batch]):
    """Batches of one contract that make one commit."""

    @cached_property
    def batch(self) -> Batch:
        """All of them as one; of several, without the bytes that they were read from."""
        if len(self) == 1:
            return self[0]
        return replace(
            self[-1],
            rows=[row for batch in self for row in batch.rows],
            offsets=[offset for batch in self for offset in batch.offsets],
            dead_letters=[letter for batch in self for letter in batch.dead_letters],
            start=self[0].start,
            source=None,
            packed=None,
        )


class Gathered:
    """The batches since the last commit.

    :param rows: records after which they are committed.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.batches = Together()
        self._since = 0.0

    def add(self, batch: Batch) -> bool:
        """Add a batch; return whether a commit is due."""
        if not self.batches:
            self._since = time.monotonic()
        self.batches = Together([*self.batches, batch])
        return (
            sum(max(batch.records, 1) for batch in self.batches) >= self._rows
            or batch.end - self.batches[0].start >= COMMIT_BYTES
            or time.monotonic() - self._since >= COMMIT_SECONDS
        )

    def take(self) -> Together:
        """Return the batches, and forget them."""
        batches, self.batches = self.batches, Together()
        return batches

    def put_back(self, batches: list[Batch]) -> None:
        """Take ``batches`` back, so that the next commit begins with them."""
        self.batches = Together([*batches, *self.batches])
