"""Gathers batches for one commit: many make it cheap, and few mean that little is lost if it fails."""

from __future__ import annotations

import time
from dataclasses import replace

from airflow_provider_genesys.pipeline.load import Batch

COMMIT_BYTES = 4 * 2**20
"""Unpacked bytes of the export after which what is gathered is committed."""
COMMIT_SECONDS = 1.0
"""When the gathered batches are this old, the next batch leads to a commit."""


class Gathered:
    """The batches since the last commit, all of one contract.

    :param rows: records after which they are committed.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.batches: list[Batch] = []
        self._since = 0.0

    def add(self, batch: Batch) -> bool:
        """Add a batch; return whether a commit is due."""
        if not self.batches:
            self._since = time.monotonic()
        self.batches.append(batch)
        return (
            sum(max(batch.records, 1) for batch in self.batches) >= self._rows
            or batch.end - self.batches[0].start >= COMMIT_BYTES
            or time.monotonic() - self._since >= COMMIT_SECONDS
        )

    def take(self) -> list[Batch]:
        """Return the batches, and forget them."""
        batches, self.batches = self.batches, []
        return batches

    def put_back(self, batches: list[Batch]) -> None:
        """Take ``batches`` back, so that the next commit begins with them."""
        self.batches = [*batches, *self.batches]


def whole(batches: list[Batch]) -> Batch:
    """Return one batch of all ``batches``; of several, without the bytes that they were read from."""
    if len(batches) == 1:
        return batches[0]
    return replace(
        batches[-1],
        rows=[row for batch in batches for row in batch.rows],
        offsets=[offset for batch in batches for offset in batch.offsets],
        dead_letters=[letter for batch in batches for letter in batch.dead_letters],
        start=batches[0].start,
        source=None,
        packed=None,
    )
