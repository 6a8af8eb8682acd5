"""The report of the DAG that fetches the media of recordings into S3."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from demo.account import XComs, count, problems_of, show_sink, show_window, show_xcoms, total
from demo.embedded import BUCKET, Embedded

TASK = "fetch_media"
PREFIX = "recording_media/"
_DESCRIPTION = ".metadata.json"
_FILES = "SELECT media_key, media_bytes, media_sha256, start_time FROM recording_media ORDER BY start_time"
_ASKED = {
    "/api/v2/analytics/": "to find the conversations",
    "/api/v2/conversations/": "for the metadata of recordings",
    "/api/v2/recording/batchrequests": "for URLs: batch requests, and looks at them",
    "/archive/media/": "for media",
}
"""What the requests are for, by what their path begins with."""


@dataclass(frozen=True)
class File:
    """What a row, or the object itself, says of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Media:
    """The facts of one run."""

    xcoms: XComs
    rows: dict[str, File]
    """By key, as PostgreSQL tells of them, in the order of their recordings' start."""
    objects: dict[str, File]
    """By key, as S3 holds them."""
    described: dict[str, File]
    """By key, as the metadata beside them tells."""
    dead_letters: int
    requests: Counter[str]
    """To Genesys, by what they were for."""

    @property
    def certificates(self) -> list[dict[str, Any]]:
        """The one certificate."""
        return self.xcoms[TASK, "return_value"]

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree; nothing where each recording is a row and a file that is what the row says."""
        yield from problems_of("PostgreSQL", self.certificates, expected)
        if (written := total(self.certificates, "written")) != len(self.rows):
            yield f"PostgreSQL: {written} written by the certificate, but it holds {len(self.rows)}"
        if self.dead_letters != total(self.certificates, "dead_letters"):
            yield f"PostgreSQL: {self.dead_letters} dead letters in the table"
        for name, told in (("row", self.rows), ("metadata", self.described)):
            for key in sorted(told.keys() | self.objects.keys()):
                if told.get(key) != self.objects.get(key):
                    yield f"S3: {key} has {self.objects.get(key)}, its {name} {told.get(key)}"

    def show(self) -> None:
        """Print the report."""
        show_window(self.certificates[0])
        size = sum(file.bytes for file in self.objects.values())
        show_sink("PostgreSQL, one row for each recording", self.certificates, size)
        print("\n  S3, one file for each recording, and its metadata beside it")
        print(f"    {len(self.objects):,} files, {size:,} bytes")
        for key, file in list(self.rows.items())[:3]:
            print(f"    s3://{BUCKET}/{key}\n      {file.bytes:,} bytes, SHA-256 {file.sha256}")
        print("\n  requests to Genesys")
        for purpose, number in self.requests.items():
            print(f"    {number:>5,} {purpose}")
        show_xcoms(self.xcoms)


def collect(services: Embedded) -> Media:
    """Read the facts: each file is digested anew."""
    with psycopg.connect(services.postgres.dsn) as connection:
        dead_letters = count(connection, "genesys_dead_letters")
        rows = {key: File(size, sha256) for key, size, sha256, _ in connection.execute(_FILES)}
    held = {key: body for key, body in services.objects().items() if key.startswith(PREFIX)}
    objects = {key: _digested(body) for key, body in held.items() if not key.endswith(_DESCRIPTION)}
    told = [file for key, body in held.items() if key.endswith(_DESCRIPTION) for file in json.loads(body)["files"]]
    described = {file["key"]: File(file["bytes"], file["sha256"]) for file in told}
    asked = Counter(
        purpose
        for start, purpose in _ASKED.items()
        for seen in services.genesys.requests
        if seen.path.startswith(start)
    )
    return Media(services.xcoms(), rows, objects, described, dead_letters, asked)


def _digested(body: bytes) -> File:
    return File(len(body), hashlib.sha256(body).hexdigest())
