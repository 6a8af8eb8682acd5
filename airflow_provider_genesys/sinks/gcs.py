"""Google Cloud Storage. Keys: :mod:`.layout`; which objects count: :mod:`.ledger`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRaw
from airflow_provider_genesys.sinks.objects.layout import DAY
from airflow_provider_genesys.sinks.objects.parts import OutputFormat
from airflow_provider_genesys.sinks.objects.raw_landing import RawLanding
from airflow_provider_genesys.sinks.objects.settings import PART_SIZE, ObjectSettings, check_known
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.gcs import GCSStore

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

EXTRA_ARGS = {"kms_key_name", "metadata", "predefined_acl", "storage_class"}
"""The keys that ``extra_args`` may have; given with every object."""


class GCSSink(ObjectSink):
    """Lands a load below a prefix of a bucket; see :class:`.sink.Sink` for what it promises.

    :param bucket: returns a ``google.cloud.storage.Bucket``, which exists; called by each ``open``.
    :param prefix: beginning of every object's name.
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet`` (which needs the extra ``parquet``).
    :param part_size: parts are cut at multiples of this many unpacked source bytes.
    :param retries: retries of each request after 429, 500, 503, a timeout or a lost connection, with exponential
        backoff.
    :param child_files: write the contract's children to separate files, below ``<prefix>_<child>``.
    :param partition_format: names the partition below the prefix, in strftime's letters, by the window's start in UTC.
    :param dead_letter_raw: ``encrypt``, ``keep`` or ``drop`` the bytes of rejected records.
    :param encrypt: encrypts the bytes of a record; needed for ``encrypt``.
    :param lists: warehouses to write lists for, beside the manifest; see :mod:`.warehouse_lists`.
    :param extra_args: see :data:`EXTRA_ARGS`.
    :raises ConfigurationError: a setting is unknown or out of range.
    """

    def __init__(  # noqa: PLR0913 - each is a separate setting
        self,
        bucket: Callable[[], Any],
        prefix: str,
        *,
        output_format: OutputFormat = "ndjson.gz",
        part_size: int = PART_SIZE,
        retries: int = 3,
        child_files: bool = True,
        partition_format: str = DAY,
        dead_letter_raw: DeadLetterRaw = "encrypt",
        encrypt: Callable[[bytes], bytes] | None = None,
        lists: Sequence[str] = (),
        extra_args: dict[str, Any] | None = None,
    ) -> None:
        extra = extra_args or {}
        check_known(extra, EXTRA_ARGS)
        if retries < 0:
            raise ConfigurationError(f"retries is {retries}; it has to be 0 or more.")
        settings = ObjectSettings(
            prefix,
            output_format,
            part_size,
            "conditional",
            dead_letter_raw,
            encrypt,
            child_files,
            partition_format,
            lists,
        )
        super().__init__(lambda: GCSStore(bucket(), retries=retries, extra_args=extra), settings)


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
