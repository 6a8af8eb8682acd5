"""The peer of loads of media: ``python -m benchmarks.bare_media CONNECTION FILES [only-read]``.

As many threads fetch the same files with one httpx client, whose connections they keep, into the same store, which cuts
and digests them. No API is asked, no answer verified, nothing described. With ``only-read`` all is thrown away.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpcore
import httpx

from airflow_provider_genesys.media.store import MediaStore
from benchmarks.null_store import NullStore

AT_ONCE = 8
httpcore.HTTP11Connection.READ_NUM_BYTES = 256 * 1024  # as we read


def main(connection: str, files: str, how: str = "into the store") -> None:
    """Fetch, and print what that took."""
    host, store = json.loads(connection)["host"], MediaStore(NullStore(), "media")
    with httpx.Client(base_url=host) as client, ThreadPoolExecutor(AT_ONCE) as pool:

        def fetch(number: int) -> int:
            with client.stream("GET", f"/media/{number}") as response:
                if how == "only-read":
                    return sum(map(len, response.iter_raw()))
                return store.write(str(number), "audio/ogg", response.iter_raw()).bytes

        cpu, began = time.process_time(), time.perf_counter()
        size = sum(pool.map(fetch, range(int(files))))
        figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "bytes": size}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
