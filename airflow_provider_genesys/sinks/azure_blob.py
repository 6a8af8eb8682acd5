"""Azure Blob Storage. Keys: :mod:`.layout`; which objects count: :mod:`.ledger`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.objects.settings import (
    ObjectSettings,
    RowSettings,
    check_known,
    check_retries,
)
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.azure_blob import AzureStore

if TYPE_CHECKING:
    from typing_extensions import Unpack

EXTRA_ARGS = {"encryption_scope", "metadata", "standard_blob_tier", "tags"}
"""The keys that ``extra_args`` may have; given with every blob."""


class AzureBlobSink(ObjectSink):
    """Lands a load below a prefix of a container; see :class:`.sink.Sink` for what it promises.

    :param container: returns an ``azure.storage.blob.ContainerClient`` of an existing container; called by each
        ``open``.
    :param prefix: beginning of every blob's name.
    :param retries: retries of each request after 500, 503, a timeout or a lost connection, with exponential backoff.
    :param extra_args: see :data:`EXTRA_ARGS`.
    :param settings: of parts and dead letters, as for every store: see :class:`.settings.ObjectSettings`.
    :raises ConfigurationError: a setting is unknown or out of range.
    """

    def __init__(
        self,
        container: Callable[[], Any],
        prefix: str,
        *,
        retries: int = 3,
        extra_args: dict[str, Any] | None = None,
        **settings: Unpack[RowSettings],
    ) -> None:
        extra = extra_args or {}
        check_extra_args(extra)
        check_blob_prefix(prefix)
        check_retries(retries)
        given = ObjectSettings(prefix, **settings)
        super().__init__(lambda: AzureStore(container(), retries=retries, extra_args=extra), given)


def check_blob_prefix(prefix: str) -> None:
    """Raise :class:`ConfigurationError` for a prefix that Azure would alter."""
    if "\\" in prefix or any(step.endswith(".") for step in prefix.split("/")):
        raise ConfigurationError(
            f"The prefix {prefix!r} cannot be used in Azure: it has a backslash, or a step that ends with a dot, which "
            "the service changes on the way. Correct the prefix."
        )


def check_extra_args(extra: dict[str, Any]) -> None:
    """Raise :class:`ConfigurationError` for an unknown argument, or one that makes objects unreadable at once."""
    check_known(extra, EXTRA_ARGS)
    if str(extra.get("standard_blob_tier", "")).lower() == "archive":
        raise ConfigurationError(
            "standard_blob_tier Archive cannot be read at once, and the ledger has to be. Leave it out and let a "
            "lifecycle rule move the parts, as docs/azure-blob.md shows."
        )
