"""Opens the object store of an Airflow connection: Amazon S3, Azure Blob or Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.clients import azure_container, client
from airflow_provider_genesys.hooks.gcs import gcs_bucket

if TYPE_CHECKING:
    from airflow_provider_genesys.stores.base import ObjectStore

SCHEMES = ("s3", "az", "gs")
"""What the URL of a folder in an object store begins with."""


def is_folder_url(text: str) -> bool:
    """Whether ``text`` is the URL of a folder in an object store."""
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def folder_of(url: str) -> tuple[str, str, str]:
    """Return scheme, bucket and folder of a URL. The folder ends with a slash; that of a whole bucket is empty."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, f"{parts.path.strip('/')}/".lstrip("/")


def letters_of(location: str, prefix: str) -> str:
    """Return the URL of the folder with the dead letters of the load at ``location``, a URL, below ``prefix``."""
    from airflow_provider_genesys.sinks.objects.layout import dead_letters_below

    scheme, bucket, folder = folder_of(location)
    root = f"{prefix.strip('/')}/".lstrip("/")
    return f"{scheme}://{bucket}/{dead_letters_below(prefix)}{folder.removeprefix(root)}"


def open_folder(url: str, conn_id: str | None) -> tuple[ObjectStore, str]:
    """Return the store that ``url`` (``s3://bucket/folder/``, ``az://…`` or ``gs://…``) leads to, and the folder.

    :param conn_id: the connection to the store; None for ``aws_default``, ``wasb_default`` or ``google_cloud_default``.
    :raises ConfigurationError: the URL names no bucket, or no folder.
    :raises MissingExtraError: what the store needs is not installed.
    """
    scheme, bucket, folder = folder_of(url)
    if scheme not in SCHEMES or not bucket or not folder:
        raise ConfigurationError(f"{url!r:.300} is not a folder in a bucket. Give it as s3://bucket/prefix/dt=…/load/.")
    if scheme == "s3":
        from airflow_provider_genesys.stores.s3 import S3Store

        return S3Store(client("s3", conn_id or "aws_default"), bucket), folder
    if scheme == "gs":
        from airflow_provider_genesys.stores.gcs import GCSStore

        return GCSStore(gcs_bucket(conn_id or "google_cloud_default", bucket)), folder
    container = azure_container(conn_id or "wasb_default", bucket)
    from airflow_provider_genesys.stores.azure_blob import AzureStore

    return AzureStore(container), folder
