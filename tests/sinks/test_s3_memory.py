"""How much memory a large part takes, and an archive that is landed. In processes of their own, for the peak's sake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from airflow_provider_genesys.testing.services import S3Server

PROGRAM = """
import resource, sys
from dataclasses import replace
from tests.sinks.batches import LENGTH, make_batch, make_certificate, make_checkpoint, make_load
from tests.sinks.lake import client_for
from airflow_provider_genesys.sinks.s3 import S3Sink

endpoint, bucket = sys.argv[1:]
sink = S3Sink(
    lambda: client_for(endpoint), bucket, "raw", output_format='ndjson', part_size=2**30, dead_letter_raw="keep"
)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
load = make_load()
batch = make_batch(load, range(500))

def run(batches):
    sink.open(load, restart=True)
    for n in range(batches):
        start, end = n * 500 * LENGTH, (n + 1) * 500 * LENGTH
        sink.write(replace(batch, start=start, end=end, checkpoint=make_checkpoint(load, (n + 1) * 500)))
    return sink.finish(make_certificate(load, make_checkpoint(load, batches * 500)))

run(1)
before = peak()
[part] = run(100).parts
print(part["bytes"] // 2**20, round(peak() - before))
"""

LANDING = """
import resource, sys
from pathlib import Path
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.source.landed import LandedArchive, find_landed
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.stores.folder import FolderStore
from tests.sinks.batches import make_load

CHUNK = b'{"recordingId": "a"}\\n' * 10_000

class Long:
    identity = Identity(len(CHUNK) * 1000)

    def read(self, start):
        skip, offset = divmod(start, len(CHUNK))
        yield CHUNK[offset:]
        for _ in range(999 - skip):
            yield CHUNK

    def stop(self):
        pass

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
landing = LocalSink(sys.argv[1], dead_letter_raw="drop").landing()
certificate = land(make_load(), {}, lambda start: Long(), landing, Options())
store = FolderStore(Path(sys.argv[1]))
landed = find_landed(store, "dt=2026-11-01/load-1/")
read = sum(map(len, LandedArchive(store, landed, identity=Identity()).read(0)))
assert read == certificate.bytes_read
print(read // 2**20, round(peak() - before))
"""


def test_an_archive_of_200_mb_is_landed_and_read_in_the_memory_of_a_few_pieces(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LANDING, str(tmp_path)], capture_output=True, text=True, check=True)
    size, growth = map(int, done.stdout.split())
    assert size > 190
    assert growth < 48


def test_a_part_of_50_mb_takes_the_memory_of_a_few_pieces(s3: S3Server, bucket: str) -> None:
    command = [sys.executable, "-c", PROGRAM, s3.endpoint_url, bucket]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    size, growth = map(int, done.stdout.split())
    assert size > 50
    assert growth < 32
