"""Google Cloud Storage. Keys: :mod:`.layout`; which objects count: :mod:`.ledger`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.sinks.objects.settings import (
    ObjectSettings,
    RowSettings,
    check_known,
    check_retries,
)
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.gcs import GCSStore

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet
    from typing_extensions import Unpack

EXTRA_ARGS = {"kms_key_name", "metadata", "predefined_acl", "storage_class"}
"""The keys that ``extra_args`` may have; given with every object."""


class GCSSink(ObjectSink):
    """Lands a load below a prefix of a bucket; see :class:`.sink.Sink` for what it promises.

    :param bucket: returns a ``google.cloud.storage.Bucket``, which exists; called by each ``open``.
    :param prefix: beginning of every object's name.
    :param retries: retries of each request after 429, 500, 503, a timeout or a lost connection, with exponential
        backoff.
    :param extra_args: see :data:`EXTRA_ARGS`.
    :param cipher: returns what encrypts the URL of an upload in the ledger of a landing; see
        :class:`.stores.gcs.GCSStore`. Without it, the next attempt sends the archive from its beginning.
    :param settings: of parts and dead letters, as for every store: see :class:`.settings.ObjectSettings`.
    :raises ConfigurationError: a setting is unknown or out of range.
    """

    def __init__(
        self,
        bucket: Callable[[], Any],
        prefix: str,
        *,
        retries: int = 3,
        extra_args: dict[str, Any] | None = None,
        cipher: Callable[[], MultiFernet] | None = None,
        **settings: Unpack[RowSettings],
    ) -> None:
        extra = extra_args or {}
        check_known(extra, EXTRA_ARGS)
        check_retries(retries)
        given = ObjectSettings(prefix, **settings)
        super().__init__(
            lambda: GCSStore(bucket(), retries=retries, extra_args=extra, cipher=cipher and cipher()), given
        )
