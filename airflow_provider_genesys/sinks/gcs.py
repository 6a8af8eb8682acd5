"""Google Cloud Storage. Keys: :mod:`.layout`; which objects count: :mod:`.ledger`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.sinks.objects.layout import DAY
from airflow_provider_genesys.sinks.objects.raw_landing import RawLanding
from airflow_provider_genesys.sinks.objects.settings import (
    PART_SIZE,
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
        **settings: Unpack[RowSettings],
    ) -> None:
        extra = extra_args or {}
        check_known(extra, EXTRA_ARGS)
        check_retries(retries)
        given = ObjectSettings(prefix, **settings)
        super().__init__(lambda: GCSStore(bucket(), retries=retries, extra_args=extra), given)


def gcs_landing(
    bucket: Callable[[], Any],
    prefix: str,
    *,
    cipher: Callable[[], MultiFernet],
    part_size: int = PART_SIZE,
    retries: int = 3,
    partition_format: str = DAY,
    extra_args: dict[str, Any] | None = None,
) -> RawLanding:
    """Return the landing of a raw archive; parameters as for :class:`GCSSink`.

    :param cipher: returns what encrypts the upload's URL in the ledger; see :class:`.stores.gcs.GCSStore`.
    """
    extra = extra_args or {}
    check_known(extra, EXTRA_ARGS)
    settings = ObjectSettings(prefix, part_size=part_size, dead_letter_raw="drop", partition_format=partition_format)
    return RawLanding(lambda: GCSStore(bucket(), retries=retries, extra_args=extra, cipher=cipher()), settings)
