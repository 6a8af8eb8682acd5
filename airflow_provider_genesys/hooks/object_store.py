"""Opens the object store of an Airflow connection: Amazon S3, Azure Blob or Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.clients import azure_container, client
from airflow_provider_genesys.hooks.gcs import gcs_bucket
from airflow_provider_genesys.outside import shown

if TYPE_CHECKING:
    from airflow_provider_genesys.stores.base import ObjectStore

RETRIES = 3
"""How often a request to a store is sent again, if the caller does not say."""
DEFAULT_CONN_IDS = {"s3": "aws_default", "az": "wasb_default", "gs": "google_cloud_default"}
"""What the URL of a folder in an object store begins with, and the connection to such a store."""


def is_folder_url(text: str) -> bool:
    """Whether ``text`` is the URL of a folder in an object store."""
    return text.startswith(tuple(f"{scheme}://" for scheme in DEFAULT_CONN_IDS))


def folder_of(url: str) -> tuple[str, str, str]:
    """Return scheme, bucket and folder of a URL. The folder ends with a slash; that of a whole bucket is empty.

    :raises ConfigurationError: it is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{shown(url)!r} is no URL of a folder: {error}.") from None
    return parts.scheme, parts.netloc, f"{parts.path.strip('/')}/".lstrip("/")


def letters_of(location: str, prefix: str) -> str:
    """Return the URL of the folder with the dead letters of the load at ``location``, a URL, below ``prefix``."""
    from airflow_provider_genesys.sinks.objects.layout import dead_letters_below

    scheme, bucket, folder = folder_of(location)
    root = f"{prefix.strip('/')}/".lstrip("/")
    return f"{scheme}://{bucket}/{dead_letters_below(prefix)}{folder.removeprefix(root)}"


def open_folder(url: str, conn_id: str | None, *, retries: int = RETRIES) -> tuple[ObjectStore, str]:
    """Return the store that ``url`` (``s3://bucket/folder/``, ``az://…`` or ``gs://…``) leads to, and the folder.

    :param conn_id: the connection to the store; None for ``aws_default``, ``wasb_default`` or ``google_cloud_default``.
    :param retries: how often a request is sent again.
    :raises ConfigurationError: the URL names no bucket, or no folder.
    :raises MissingExtraError: what the store needs is not installed.
    """
    scheme, bucket, folder = folder_of(url)
    if scheme not in DEFAULT_CONN_IDS or not bucket or not folder:
        raise ConfigurationError(f"{url!r:.300} is not a folder in a bucket. Give it as s3://bucket/prefix/dt=…/load/.")
    return open_bucket(scheme, bucket, conn_id or DEFAULT_CONN_IDS[scheme], retries=retries), folder


def open_bucket(
    scheme: str, bucket: str, conn_id: str | None, extra_args: dict[str, Any] | None = None, *, retries: int = RETRIES
) -> ObjectStore:
    """Return the store of a bucket or container.

    :param scheme: ``s3``, ``az`` or ``gs``.
    :param conn_id: the connection to it; only AWS needs none.
    :param extra_args: settings of each object that is written.
    :param retries: how often a request is sent again.
    """
    if scheme == "s3":
        from airflow_provider_genesys.stores.s3 import S3Store

        return S3Store(client("s3", conn_id), bucket, retries=retries, extra_args=extra_args)
    if scheme == "gs":
        from airflow_provider_genesys.stores.gcs import GCSStore

        return GCSStore(gcs_bucket(str(conn_id), bucket), retries=retries, extra_args=extra_args)
    container = azure_container(str(conn_id), bucket)
    from airflow_provider_genesys.stores.azure_blob import AzureStore

    return AzureStore(container, retries=retries, extra_args=extra_args)
