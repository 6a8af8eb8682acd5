"""The peer of the object-store sinks: ``python -m benchmarks.bare_upload s3|azure FILE PLACE [as-it-is]``.

The file is packed by the same compressor and sent by the client's own fastest way, pieces in parallel. No record is
looked at: no contract, no offsets, no ledger, no manifest. With ``as-it-is`` nothing is packed, as nothing is where an
archive is landed raw.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from isal import isal_zlib

from airflow_provider_genesys.sinks.objects.ndjson import GZIP_LEVEL
from benchmarks.clients import azure_container, s3_client

CHUNK = 256 * 1024
PARALLEL = 4
Send = Callable[[BinaryIO], object]


def to_s3(place: str) -> Send:
    """Return what sends a file to ENDPOINT/BUCKET, by boto3's transfer manager."""
    from boto3.s3.transfer import TransferConfig

    client, bucket = s3_client(place)
    settings = TransferConfig(max_concurrency=PARALLEL)
    return lambda file: client.upload_fileobj(file, bucket, f"bare/{time.time_ns()}", Config=settings)


def to_azure(place: str) -> Send:
    """Return what sends a file to ACCOUNT/CONTAINER, as the SDK does it in parallel."""
    container = azure_container(place)
    return lambda file: container.upload_blob(f"bare/{time.time_ns()}", file, max_concurrency=PARALLEL)


SENDERS: dict[str, Callable[[str], Send]] = {"s3": to_s3, "azure": to_azure}


def packed(path: str, target: Any) -> None:
    """Pack the file into ``target``, from whose beginning it can then be read."""
    packer = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, 31)
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            target.write(packer.compress(chunk))
    target.write(packer.flush())
    target.seek(0)


def main(kind: str, path: str, place: str, how: str = "packed") -> None:
    """Pack, send, and print what that took."""
    send = SENDERS[kind](place)
    began = time.perf_counter()
    with tempfile.TemporaryFile() as target, Path(path).open("rb") as file:
        if how == "packed":
            packed(path, target)
        send(target if how == "packed" else file)
    print(json.dumps({"seconds": time.perf_counter() - began, "bytes": Path(path).stat().st_size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
