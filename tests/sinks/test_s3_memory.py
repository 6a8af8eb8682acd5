"""How much memory a large part takes. In a process of its own: the peak of this one is that of all its tests."""

from __future__ import annotations

import subprocess
import sys

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
[part] = run(200).parts
print(part["bytes"] // 2**20, round(peak() - before))
"""


def test_a_part_of_100_mb_takes_the_memory_of_a_few_pieces(s3: S3Server, bucket: str) -> None:
    command = [sys.executable, "-c", PROGRAM, s3.endpoint_url, bucket]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    size, growth = map(int, done.stdout.split())
    assert size > 100
    assert growth < 32
