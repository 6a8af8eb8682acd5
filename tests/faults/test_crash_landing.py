"""A landing that is killed at any step and taken up again leaves the archive's own bytes, and nothing else.

As :mod:`.test_crash`, every attempt is a process of its own, ended by SIGKILL.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable
from functools import cache

import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, PostgresServer, S3Server
from tests.faults.crash_scene import Loader, Places, Source, make_source

PIECE = 2**20
PIECE_IN_S3 = 5 * 2**20
"""The least that S3 takes."""
STEPS = {
    failpoints.CLAIMED: (1,),
    failpoints.OPENED: (1,),
    failpoints.WRITING: (4,),
    failpoints.PIECE_SENT: (1, 3),
    failpoints.COMMITTING: (2,),
    failpoints.LEDGER_WRITTEN: (3,),
    failpoints.COMMITTED: (1,),
    failpoints.REPORTED: (2,),
    failpoints.FINISHING: (1,),
    failpoints.COMPLETING: (1,),
    failpoints.PART_UPLOADED: (1,),
    failpoints.CHECKED: (1,),
    failpoints.MANIFEST_WRITTEN: (1,),
    failpoints.CLEANED: (1,),
    failpoints.COMPLETE: (1,),
}
"""At which of the times that it is reached a step is deadly."""
ELSEWHERE = (
    failpoints.PIECE_SENT,
    failpoints.COMMITTED,
    failpoints.COMPLETING,
    failpoints.PART_UPLOADED,
    failpoints.MANIFEST_WRITTEN,
)
KILLS = [
    *(("local", step, nth) for step, times in STEPS.items() for nth in times),
    *((sink, step, STEPS[step][-1]) for sink in ("s3", "azure") for step in ELSEWHERE),
    # The last piece makes the object appear.
    *(("gcs", step, 2 if step == failpoints.PIECE_SENT else STEPS[step][-1]) for step in ELSEWHERE),
]
BEGUN_ANEW = {failpoints.CLAIMED, failpoints.OPENED, failpoints.WRITING, failpoints.COMPLETE}
"""After these there is nothing to go on from; after the last because all is done."""


@pytest.fixture(scope="module")
def sources(running: tuple[FakeGenesys, Loader]) -> Callable[[str], Source]:
    """An archive of some pieces, for each sink."""
    return cache(lambda sink: make_source(running[0], records=9000 if sink == "s3" else 1800, broken=20))


@pytest.fixture(scope="module")
def places(
    postgres: PostgresServer,
    s3: S3Server,
    azurite: AzuriteServer,
    gcs: GCSServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Places:
    names = {
        "bucket": s3.create_bucket(gcs.create_bucket("landings")),
        "container": azurite.create_container("landings"),
    }
    folder, dsn = tmp_path_factory.mktemp("landings"), postgres.create_database("landings")
    return Places(dsn=dsn, s3=s3, folder=folder, azurite=azurite, gcs=gcs, **names)


@pytest.mark.outcome("processes", "SIGKILL at every named step of landing an archive as it is", "recovers")
@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: "-".join(map(str, kill)))
def test_a_landing_killed_at_a_step(
    running: tuple[FakeGenesys, Loader], places: Places, sources: Callable[[str], Source], kill: tuple[str, str, int]
) -> None:
    sink, step, nth = kill
    source, piece = sources(sink), PIECE_IN_S3 if sink == "s3" else PIECE
    archive = b"".join(running[0].exports[source.export_id].archive.chunks())
    place, read = places.new(sink, raw=True, part_size=piece, piece=piece)
    job = {"sink": sink, "place": place, "processed_at": "", "batch_size": 0, **source.job()}
    assert running[1].load(**job, step=step, nth=nth)["signal"] == signal.SIGKILL, f"{step} is not reached {nth} times"
    certificate = running[1].load(**job)
    assert certificate.get("bytes_read") == len(archive), certificate
    assert certificate["parts"][0]["sha256"] == hashlib.sha256(archive).hexdigest()
    assert read()["archive"] == archive
    if step not in BEGUN_ANEW and (step, nth) not in {(failpoints.PIECE_SENT, 1), (failpoints.COMMITTING, 1)}:
        assert certificate["attempts"] == 2
