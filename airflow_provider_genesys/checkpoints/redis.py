"""Checkpoints in Redis or Valkey: one hash for each load. ``docs/checkpoints.md`` says how to set up the server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from airflow_provider_genesys.checkpoints.base import Key
from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    MissingExtraError,
    SinkRefusedError,
    SinkUnavailableError,
)
from airflow_provider_genesys.outside import shown

try:
    import redis
except ImportError as missing:
    raise MissingExtraError(
        "Keeping checkpoints in Redis needs its client. Run: pip install 'airflow-provider-genesys[redis]'"
    ) from missing

# Sets all fields in one call and deletes none: if the server is out of memory, the entry before stays whole.
_PUT = """
if (redis.call('HGET', KEYS[1], 'revision') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if ARGV[2] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
_LASTING = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
"""Errors that a retry cannot cure. The client makes them ConnectionErrors, because it logs in while it connects."""
_PASSING = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.TryAgainError,
)
# The client has no class for these codes, or Redis before 7 wraps them when they happen in a script.
_PASSING_CODE = re.compile(r"(^|[ -])(BUSY|MISCONF|NOREPLICAS|OOM|READONLY|UNBLOCKED)\b")
_NO_PERMISSION = re.compile(r"NOPERM|ACL failure|can't run this command|has no permissions")


class RedisCheckpointStore(ConditionalStore):
    """Implements :class:`.base.CheckpointStore`.

    :param client: makes a ``redis.Redis``; called once, when the store is first used.
    :param prefix: beginning of every key.
    :param ttl: how long an entry stays after its last write; None means for ever. It must be longer than the time to
        the last retry, because a load whose entry is gone starts again.
    :param retries: how often a request is sent again after a transient error, e.g. connection loss or failover.
    :param retry_wait: seconds before the first retry; doubles for each further one, with jitter.
    """

    def __init__(
        self,
        client: Callable[[], redis.Redis],
        *,
        prefix: str = "genesys:checkpoint:",
        ttl: timedelta | None = None,
        retries: int = 3,
        retry_wait: float = 0.5,
    ) -> None:
        super().__init__(client, retries=retries, retry_wait=retry_wait)
        if ttl is not None and ttl < timedelta(seconds=1):
            raise ConfigurationError(f"ttl is {ttl}; it has to be a second or more, or None.")
        self._prefix = prefix
        self._ttl = int(ttl.total_seconds()) if ttl else 0

    def where(self, name: Key | str) -> str:
        """Return the key in words."""
        return f"Redis, key {self._prefix}{name}"

    def prepare(self) -> None:
        """Refuse a server that is set up as a cache: it evicts entries when its memory is full."""
        try:
            with _explained():
                memory = self._client.info("memory")
        except SinkRefusedError:
            return  # this user may not read the setting: docs/checkpoints.md says how to check it by hand
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        evicts = policy.startswith("allkeys") or (policy.startswith("volatile") and self._ttl)
        if memory.get("maxmemory") and evicts:
            raise SinkRefusedError(
                f"the server evicts keys when its memory is full (maxmemory-policy {policy}), and with them "
                "checkpoints. Set maxmemory-policy to noeviction, or use another server than the cache."
            )

    def get(self, name: Key | str) -> dict[str, str] | None:
        """Read the hash."""
        with _explained():
            fields = self._client.hgetall(self._prefix + str(name))
        return {_text(name): _text(value) for name, value in fields.items()} or None

    def put(self, name: Key | str, fields: dict[str, str], *, replacing: int) -> bool:
        """Write the hash in a script, which Redis runs as one step."""
        values = [part for field in fields.items() for part in field]
        with _explained():
            write = self._client.register_script(_PUT)
            return bool(write(keys=[self._prefix + str(name)], args=[replacing, self._ttl, *values]))


def _text(value: bytes | str) -> str:
    """Return a client's value as text, whether the client decodes responses or not. Bad UTF-8 is escaped."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of the client into those of this package."""
    try:
        yield
    except redis.RedisError as error:
        text = shown(error).rstrip(".") or type(error).__name__
        if _passes(error, text):
            raise SinkUnavailableError(text) from error
        raise SinkRefusedError(f"{text}. {_advice(error, text)}") from error


def _passes(error: redis.RedisError, text: str) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, _LASTING):
        return False
    return isinstance(error, _PASSING) or _PASSING_CODE.search(text) is not None


def _advice(error: redis.RedisError, text: str) -> str:
    if isinstance(error, redis.exceptions.NoPermissionError) or _NO_PERMISSION.search(text):
        return "Give the user the rights that docs/checkpoints.md lists."
    if text.startswith("WRONGTYPE"):
        return "Something else keeps a value under this key: choose another prefix."
    return "Correct the connection to Redis or the server."
