"""Larger reads from the network, for one HTTP client only.

httpx reads 64 KiB at a time, and its work for each read costs more than the read. A load would take 1.5 times as long.
httpx has no setting for the size. So the connections of one client get streams that read more at a time.
"""

from __future__ import annotations

import httpx

from airflow_provider_genesys.cloud.http.streams import Stream, use_streams

READ_AT_ONCE = 256 * 1024
"""Largest number of bytes in one read."""


def read_widely(client: httpx.Client) -> httpx.Client:
    """Let the connections that ``client`` opens from now on read :data:`READ_AT_ONCE` bytes; return the client."""
    return use_streams(client, _WideStream)


class _WideStream(Stream):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max(max_bytes, READ_AT_ONCE), timeout)
