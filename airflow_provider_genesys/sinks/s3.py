"""Amazon S3, and stores that speak its protocol. Keys: :mod:`.layout`; which objects count: :mod:`.ledger`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.objects.settings import (
    Fencing,
    ObjectSettings,
    RowSettings,
    check_known,
    check_retries,
)
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.s3 import S3Store

if TYPE_CHECKING:
    from typing_extensions import Unpack

CLIENT_CONFIG: dict[str, Any] = {
    "retries": {"total_max_attempts": 1, "mode": "standard"},
    "connect_timeout": 10,
    "read_timeout": 60,
}
"""Arguments for the ``botocore.config.Config`` of the client: the sink retries, and boto's retries would multiply
with its own."""

EXTRA_ARGS = {
    "ACL",
    "BucketKeyEnabled",
    "Metadata",
    "SSEKMSEncryptionContext",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
    "Tagging",
}
"""The keys that ``extra_args`` may have; given with every object."""

_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}


class S3Sink(ObjectSink):
    """Lands a load below a prefix of a bucket; see :class:`.sink.Sink` for what it promises.

    :param client: returns a boto3 S3 client, best made with :data:`CLIENT_CONFIG`; called by each ``open``.
    :param bucket: an existing bucket.
    :param prefix: beginning of every key.
    :param retries: retries of each request after 500, 503, a timeout or a lost connection, with exponential backoff.
    :param fencing: ``none`` for stores without ``If-None-Match``; then two attempts that run at once can both write.
    :param extra_args: see :data:`EXTRA_ARGS`.
    :param settings: of parts and dead letters, as for every store: see :class:`.settings.ObjectSettings`.
    :raises ConfigurationError: a setting is unknown or out of range.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        bucket: str,
        prefix: str,
        *,
        retries: int = 3,
        fencing: Fencing = "conditional",
        extra_args: dict[str, Any] | None = None,
        **settings: Unpack[RowSettings],
    ) -> None:
        extra = extra_args or {}
        check_extra_args(extra)
        check_retries(retries)
        given = ObjectSettings(prefix, fencing=fencing, **settings)
        super().__init__(lambda: S3Store(client(), bucket, retries=retries, extra_args=extra), given)


def check_extra_args(extra: dict[str, Any]) -> None:
    """Raise :class:`ConfigurationError` for an unknown argument, or one that makes objects unreadable at once."""
    check_known(extra, EXTRA_ARGS)
    if extra.get("StorageClass") in _ARCHIVES:
        raise ConfigurationError(
            f"StorageClass {extra['StorageClass']} cannot be read at once, and the ledger has to be. Leave it out and "
            "let a lifecycle rule move the parts, as docs/s3.md shows."
        )
