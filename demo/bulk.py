"""The report of the DAG that lets Genesys export recordings into a bucket itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from airflow_provider_genesys.cloud.exports.recording_jobs import PATH
from demo.account import XComs, problems_of, show_window, show_xcoms, total
from demo.embedded import Embedded

TASK = "report"
COUNTS = ("totalRecordings", "totalProcessedRecordings", "totalSkippedRecordings", "totalFailedRecordings")
_ROWS = (
    "SELECT id, state, explanation, total_recordings, total_processed_recordings, total_skipped_recordings,"
    " total_failed_recordings FROM recording_bulk"
)
_FAILED = "SELECT raw::jsonb #>> '{recording,id}' AS id FROM genesys_dead_letters ORDER BY id"


@dataclass(frozen=True)
class Job:
    """A recording job: as its row in PostgreSQL, or Genesys, tells of it."""

    id: str
    state: str
    counts: tuple[int, ...]
    """As :data:`COUNTS`."""


@dataclass(frozen=True)
class Bulk:
    """The facts of one run."""

    xcoms: XComs
    rows: list[Job]
    explanations: list[str]
    jobs: list[Job]
    """Those that Genesys has."""
    failed: list[str]
    """Ids of the recordings that Genesys could not export."""
    dead_letters: list[str]
    """Ids of the recordings that were rejected."""
    requests: Counter[str]
    """About recording jobs, by method."""

    @property
    def certificates(self) -> list[dict[str, Any]]:
        """The one certificate."""
        return self.xcoms[TASK, "return_value"]

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree; nothing where the row is what Genesys says, and accounts for each recording."""
        yield from problems_of("PostgreSQL", self.certificates, 1 + len(self.failed))
        if self.rows != self.jobs or len(self.rows) != total(self.certificates, "written"):
            yield f"PostgreSQL: it tells of {self.rows}, and Genesys of {self.jobs}"
        if self.dead_letters != self.failed:
            yield f"PostgreSQL: {self.dead_letters} rejected, but Genesys could not export {self.failed}"
        for job in self.jobs:
            found, *ended = job.counts
            if (job.state, found, sum(ended)) != ("FULFILLED", expected, expected):
                yield f"Genesys: {job} does not account for {expected} recordings"

    def show(self) -> None:
        """Print the report."""
        show_window(self.certificates[0])
        for job, explanation in zip(self.rows, self.explanations, strict=True):
            print(f"\n  the job, a row of {self.certificates[0]['location']}")
            print(f"    {job.state}: {explanation}")
            for name, number in zip(COUNTS, job.counts, strict=True):
                print(f"    {name:<25}{number:>6,}")
        print("\n  rejected, since Genesys could not export them")
        for recording in self.dead_letters:
            print(f"    recording {recording}")
        asked = ", ".join(f"{number} {method}" for method, number in sorted(self.requests.items()))
        print(f"\n  requests about the job: {asked}")
        print("  A real Genesys writes the files into your bucket; the fake one only keeps the account.")
        show_xcoms(self.xcoms)


def collect(services: Embedded) -> Bulk:
    """Read the facts."""
    with psycopg.connect(services.postgres.dsn) as connection:
        found = connection.execute(_ROWS).fetchall()
        dead_letters = [recording for (recording,) in connection.execute(_FAILED)]
    bodies = [job.body() for job in services.genesys.recording_jobs.values()]
    return Bulk(
        services.xcoms(),
        [Job(row[0], row[1], row[3:]) for row in found],
        [row[2] for row in found],
        [Job(body["id"], body["state"], tuple(body[name] for name in COUNTS)) for body in bodies],
        sorted(one.id for job in services.genesys.recording_jobs.values() for one in job.failed),
        dead_letters,
        Counter(seen.method for seen in services.genesys.requests if seen.path.startswith(PATH)),
    )
