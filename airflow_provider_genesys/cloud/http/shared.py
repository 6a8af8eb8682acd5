"""What the clients of a process share: connections and, for each OAuth client, one token and one request budget.

Example: a triggerer that waits for a thousand exports holds a few connections, asks for one token a day, and keeps to
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
    """The token source and the pacer of one OAuth client. They live as long as the process."""

    tokens: TokenSource
    pacer: Pacer


class Pool:
    """Open connections. The process that opened them closes them when nothing refers to the pool any more."""

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
    """Return what this process shares for the OAuth client of ``config``. The newest request budget counts."""
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
    """Return the refresher of ``tokens`` in this process. It ends when nothing refers to it any more."""
    with _lock:
        found = _refreshers.get(tokens)
        if found is None:
            found = _refreshers[tokens] = Refresher(tokens)
    return found


def forget() -> None:
    """In a child process, drop what the parent shared: sockets, tokens, threads and the locks that they hold."""
    global _lock  # noqa: PLW0603 -- the parent's lock may never be released in the child
    _lock = threading.Lock()
    for known in (_known, _pools, _refreshers):
        known.clear()
