"""What going on costs: ``python -m benchmarks.resume URL``. A load is broken off half-way, and gone on with.

Prints how many packed bytes are read again before the first new record, and how long that record takes.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.pipeline.run import Options, run
from benchmarks.load import a_load, download
from benchmarks.null_sink import NullSink


class HalfWayError(Exception):
    """The load is broken off."""


@dataclass
class _Broken(NullSink):
    after: int

    def __post_init__(self) -> None:
        super().__init__()
        self.last: Checkpoint | None = None

    def write(self, batch: Batch) -> Checkpoint:
        if batch.start > self.after:
            raise HalfWayError
        self.last = super().write(batch)
        return self.last


class _Resumed(NullSink):
    first: float | None = None

    def write(self, batch: Batch) -> Checkpoint:
        self.first = self.first or time.perf_counter()
        return super().write(batch)


def main(url: str, unpacked: int) -> None:
    """Break off, go on, and print what that took."""
    broken = _Broken(unpacked // 2)
    with suppress(HalfWayError):
        run(a_load(), download(url), broken, Options())
    assert broken.last is not None  # noqa: S101 - half of the archive is behind it
    resumed = _Resumed(broken.last)
    began, cpu = time.perf_counter(), time.process_time()
    run(a_load(), download(url), resumed, Options())
    assert resumed.first is not None  # noqa: S101 - the other half came
    position = broken.last.position
    again = position.record_offset - position.entry_offset
    print(
        json.dumps(
            {
                "first_record_s": resumed.first - began,
                "unpacked_again": again,
                "cpu": time.process_time() - cpu,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
