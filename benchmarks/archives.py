"""The archives that are measured on: generated, laid on disk, and served by a process that costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import chain
from pathlib import Path

from airflow_provider_genesys.testing.fake_genesys.archive import Archive

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
RECORD_BYTES = 1_250
"""Of a generated recording, on average, its separator included."""


@dataclass(frozen=True)
class Kind:
    """How an archive differs from plain NDJSON without a fault.

    :param broken: share of records that are broken, 0 to 1.
    :param drifting: whether each record has a field that the contract does not name.
    :param padded: bytes that are added to each record's ``metadata``.
    :param varied: a generated archive repeats its text, without ids and times, after 1.3 MB; this one after so many
        times that. Packers with a window of some MB find the repetitions, which recordings do not have.
    """

    file_format: str = "ndjson"
    gzip: bool = False
    broken: float = 0.0
    drifting: bool = False
    padded: int = 0
    varied: int = 1


KINDS = {
    "ndjson": Kind(),
    "varied": Kind(varied=16),
    "array": Kind("json"),
    "gzip": Kind(gzip=True),
    "hostile": Kind(broken=0.01),
    "drifting": Kind(drifting=True),
    "wide": Kind(padded=10_000_000),
}


@dataclass(frozen=True)
class Shelf:
    """A folder of archives, and the server that hands them out."""

    folder: Path
    base_url: str

    def url(self, kind: str, megabytes: float) -> str:
        """Return the URL of an archive of about so many MB (10**6 bytes, unpacked); it is made where it is missing."""
        path = self.path(kind, megabytes)
        return f"{self.base_url}/{path.name}"

    def path(self, kind: str, megabytes: float) -> Path:
        """Return the file of an archive; see :meth:`url`."""
        path = self.folder / f"{kind}-{megabytes:g}"
        if not path.exists():
            _write(path, KINDS[kind], megabytes)
        return path


@contextmanager
def shelf() -> Iterator[Shelf]:
    """Serve a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="genesys-bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.file_server", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None  # noqa: S101 - it was asked for
            try:
                yield Shelf(Path(folder), server.stdout.readline().strip())
            finally:
                server.terminate()


def _write(path: Path, kind: Kind, megabytes: float) -> None:
    records = int(megabytes * 1_000_000) // (RECORD_BYTES + kind.padded) // kind.varied
    archives = [
        Archive(
            DAY,
            DAY + timedelta(days=1),
            records,
            seed,
            file_format=kind.file_format,  # type: ignore[arg-type]  # one of its literals
            broken=int(kind.broken * records),
        )
        for seed in range(1, 1 + kind.varied)
    ]
    in_turn = zip(*(archive.chunks() for archive in archives), strict=True)
    chunks: Iterator[bytes | memoryview] = chain.from_iterable(in_turn)
    if kind.drifting:
        chunks = (bytes(chunk).replace(b'"direction":', b'"newField":"x","direction":') for chunk in chunks)
    if kind.padded:
        padding = b'"metadata":{"padding":"' + b"x" * kind.padded + b'",'
        lines = (line for chunk in chunks for line in bytes(chunk).splitlines(keepends=True))
        chunks = (line.replace(b'"metadata":{', padding) for line in lines)
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16) if kind.gzip else None
    with path.with_suffix(".part").open("wb") as file:
        for chunk in chunks:
            file.write(packer.compress(chunk) if packer else chunk)
        file.write(packer.flush() if packer else b"")
    path.with_suffix(".part").rename(path)
