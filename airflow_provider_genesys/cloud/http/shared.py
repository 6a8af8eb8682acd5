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

import httpx

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.pacing import Pacer
from airflow_provider_genesys.cloud.http.token_refresh import Refresher
from airflow_provider_genesys.cloud.http.tokens import TokenSource, request_token
from airflow_provider_genesys.cloud.http.transport import open_http


@dataclass(frozen=True)
class Shared:
    """The token source and the pacer of one OAuth client; they last as long as the process."""

    tokens: TokenSource
    pacer: Pacer


class Pool:
    """Open connections; closed when nobody refers to it any more, in the process that opened them."""

    def __init__(self, config: CloudConfig) -> None:
        self.http = open_http(config)
        """The connections."""
        weakref.finalize(self, _close, self.http, os.getpid())


def _close(http: httpx.Client, process: int) -> None:
    if os.getpid() == process:  # in a child, a lock of the pool may be held by a thread that does not exist there
        http.close()


_known: dict[Hashable, Shared] = {}
_pools: weakref.WeakValueDictionary[Hashable, Pool] = weakref.WeakValueDictionary()
_refreshers: weakref.WeakValueDictionary[TokenSource, Refresher] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def shared(config: CloudConfig) -> Shared:
    """Return what this process shares for the OAuth client of ``config``; the newest request budget counts."""
    digest = hashlib.sha256(config.client_secret.encode()).digest()
    key = (config.login_url, config.client_id, digest, config.verify)
    with _lock:
        if key not in _known:
            _known[key] = Shared(TokenSource(lambda: request_token(config)), Pacer(config.request_budget))
        found = _known[key]
    found.pacer.budget(config.request_budget)
    return found


def pool(config: CloudConfig) -> Pool:
    """Return this process's connections for the timeout and certificates of ``config``."""
    key = (config.timeout, config.verify)
    with _lock:
        found = _pools.get(key)
        if found is None:
            found = _pools[key] = Pool(config)
    return found


def refresher(tokens: TokenSource) -> Refresher:
    """Return what keeps ``tokens`` fresh in this process; it ends when nobody refers to it any more."""
    with _lock:
        found = _refreshers.get(tokens)
        if found is None:
            found = _refreshers[tokens] = Refresher(tokens)
    return found


def forget() -> None:
    """In a child process, share nothing with the parent: no socket, no token, no thread, and no lock that one holds."""
    global _lock  # noqa: PLW0603 -- the parent's lock may never be released in the child
    _lock = threading.Lock()
    for known in (_known, _pools, _refreshers):
        known.clear()
