"""What the clients of a process share: connections, and, of one OAuth client, its token and its request budget.

So a triggerer with a thousand waiting exports holds a handful of connections, asks for one token a day, and keeps to
one limit.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Hashable
from dataclasses import dataclass

from airflow_provider_genesys.cloud.auth import TokenSource, request_token
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.pacing import Pacer
from airflow_provider_genesys.cloud.transport import open_http


@dataclass(frozen=True)
class Shared:
    """The token source and the pacer of one OAuth client; they last as long as the process."""

    tokens: TokenSource
    pacer: Pacer


class Pool:
    """Open connections; closed when nobody refers to it any more."""

    def __init__(self, config: CloudConfig) -> None:
        self.http = open_http(config)
        weakref.finalize(self, self.http.close)


_known: dict[Hashable, Shared] = {}
_pools: weakref.WeakValueDictionary[Hashable, Pool] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def shared(config: CloudConfig) -> Shared:
    """Return what this process shares for the OAuth client of ``config``; the newest request budget counts."""
    digest = hashlib.sha256(config.client_secret.encode()).digest()
    key = (config.login_url, config.client_id, digest, config.verify)
    with _lock:
        if key not in _known:
            _known[key] = Shared(TokenSource(lambda: request_token(config)), Pacer(config.requests_per_minute))
        found = _known[key]
    found.pacer.budget(config.requests_per_minute)
    return found


def pool(config: CloudConfig) -> Pool:
    """Return this process's connections for the timeout and certificates of ``config``."""
    key = (os.getpid(), config.timeout, config.verify)  # a forked child must not use its parent's connections
    with _lock:
        found = _pools.get(key)
        if found is None:
            found = _pools[key] = Pool(config)
    return found
