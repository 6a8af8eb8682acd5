"""One measured load of media: ``python -m benchmarks.media CONNECTION FILES [AT_ONCE]``; see :mod:`.processes`.

From the conversations' metadata through batch requests to files, cut in pieces, digested and thrown away, with a row
for each of them.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import closing
from datetime import timedelta
from typing import Any

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.media.batches import Patience
from airflow_provider_genesys.media.index import Conversations
from airflow_provider_genesys.media.open import open_media
from airflow_provider_genesys.media.store import MediaStore
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.pages import Pages
from benchmarks.archives import DAY
from benchmarks.bare_media import AT_ONCE
from benchmarks.null_sink import NullSink
from benchmarks.null_store import NullStore

MIB = 2**20
KIND = "recording_media"
PAGE = 100


def main() -> None:
    """Load, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("connection", help="of the server, JSON")
    parser.add_argument("files", type=int)
    parser.add_argument("at_once", type=int, nargs="?", default=AT_ONCE)
    chosen = parser.parse_args()
    ids = [str(number) for number in range(chosen.files)]

    def index(_: int, cursor: str | None) -> Conversations:
        start = int(cursor or 0)
        return Conversations(ids[start : start + PAGE], str(start + PAGE) if start + PAGE < len(ids) else None)

    load = Load("bench", "bench", KIND, DAY, DAY + timedelta(days=1), DAY, resolve(None, kind=KIND), "bench")
    store = NullStore()
    with CloudClient(CloudConfig.from_connection(**json.loads(chosen.connection))) as client:
        client.token()
        target = MediaStore(store, "media")
        settings: dict[str, Any] = {"page_size": PAGE, "at_once": chosen.at_once, "patience": Patience()}
        cpu, base = time.process_time(), peak_memory_mb() * 1e6 / MIB
        began = time.perf_counter()
        media, _ = open_media({}, client, target, index=index, **settings)
        with closing(media):
            certificate = run(load, lambda _: Pages(media.read, "bench"), NullSink(), Options())
        figures = {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "bytes": store.bytes,
            "records": certificate.counts.written,
            "peak_mib": peak_memory_mb() * 1e6 / MIB,
            "base_mib": base,
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
