"""Opens the object store of an Airflow connection: Amazon S3 through S3Hook, Azure Blob through WasbHook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_genesys.exceptions import ConfigurationError, MissingExtraError
from airflow_provider_genesys.hooks.aws import client

if TYPE_CHECKING:
    from airflow_provider_genesys.stores.base import ObjectStore

SCHEMES = ("s3", "az")
"""What the URL of a folder in an object store begins with."""


def azure_container(conn_id: str, name: str) -> Any:
    """Return a ``ContainerClient`` of the account that WasbHook connects to.

    :raises MissingExtraError: Airflow's Azure provider is not installed.
    """
    try:
        from airflow.providers.microsoft.azure.hooks.wasb import WasbHook
    except ImportError as error:
        raise MissingExtraError(
            "Azure Blob needs Airflow's Azure provider. Run: pip install 'airflow-provider-genesys[azure]'"
        ) from error
    return WasbHook(wasb_conn_id=conn_id).get_conn().get_container_client(name)


def is_folder_url(text: str) -> bool:
    """Whether ``text`` is the URL of a folder in an object store."""
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def open_folder(url: str, conn_id: str | None) -> tuple[ObjectStore, str]:
    """Return the store that ``url`` (``s3://bucket/folder/`` or ``az://container/folder/``) leads to, and the folder.

    :param conn_id: the connection to the store; None for ``aws_default`` or ``wasb_default``.
    :raises ConfigurationError: the URL names no bucket, or no folder.
    :raises MissingExtraError: Airflow's Azure provider is not installed.
    """
    parts = urlsplit(url)
    folder = f"{parts.path.strip('/')}/"
    if not parts.netloc or folder == "/":
        raise ConfigurationError(f"{url!r} is not a folder in a bucket. Give it as s3://bucket/prefix/dt=…/load/.")
    if parts.scheme == "s3":
        from airflow_provider_genesys.stores.s3 import S3Store

        return S3Store(client("s3", conn_id or "aws_default"), parts.netloc), folder
    container = azure_container(conn_id or "wasb_default", parts.netloc)
    from airflow_provider_genesys.stores.azure_blob import AzureStore

    return AzureStore(container), folder
