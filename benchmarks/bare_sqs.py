"""The peer of the SQS sink: ``python -m benchmarks.bare_sqs FILE ENDPOINT``, boto3 and nothing around it.

The same bodies, made before the clock starts, ten to a request and eight requests at a time. No checkpoint, no dead
letters, no look at what the queue did not take.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.sinks.objects.ndjson import RowEncoder
from airflow_provider_genesys.sinks.sqs.sink import CLIENT_CONFIG
from benchmarks.bare_copy import batches
from benchmarks.clients import aws_client, new_queue

AT_ONCE = 8
IN_A_REQUEST = 10


def bodies(path: str) -> Iterator[str]:
    """Yield a message for each record."""
    encoder = RowEncoder(RECORDINGS)
    for rows in batches(path):
        yield from encoder.encode([row[:-1] for row in rows]).decode().splitlines()


def main(path: str, endpoint: str) -> None:
    """Send, and print what that took."""
    client = aws_client("sqs", endpoint, {**CLIENT_CONFIG, "max_pool_connections": AT_ONCE})
    queue_url = new_queue(client)
    messages = list(bodies(path))
    requests = [messages[start : start + IN_A_REQUEST] for start in range(0, len(messages), IN_A_REQUEST)]

    def send(some: list[str]) -> None:
        entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(some)]
        client.send_message_batch(QueueUrl=queue_url, Entries=entries)

    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(send, requests))
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "records": len(messages), "bytes": Path(path).stat().st_size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
