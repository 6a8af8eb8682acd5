"""From Airflow's connections to an Iceberg catalog, and to what PyIceberg needs to reach a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.hooks.clients import client
from airflow_provider_genesys.hooks.connections import read_connection

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


def open_catalog(conn_id: str | None, properties: Mapping[str, str]) -> Catalog:
    """Return the catalog of a connection, which has the form that Airflow's own provider for Iceberg gives it.

    Host is the ``uri``; login and password are client id and client secret; extras are properties of PyIceberg. The
    ``type`` is ``rest`` unless they say otherwise.

    :param conn_id: None for a catalog that ``properties`` alone describe.
    :param properties: those of the store, and of the argument. What the connection says wins.
    :raises ConfigurationError: they lead to no catalog.
    :raises MissingExtraError: PyIceberg is not installed.
    """
    from airflow_provider_genesys.lake import catalog

    chosen = {"type": "rest", **properties, **(_of_connection(conn_id) if conn_id else {})}
    return catalog.open_catalog(chosen.pop("name", conn_id or "default"), chosen)


@dataclass(frozen=True)
class Access:
    """How PyIceberg reaches the bucket with a load's parts.

    :param root: URL of the bucket, as tables have it.
    :param properties: of PyIceberg. They hold secrets.
    """

    root: str
    properties: dict[str, str] = field(repr=False)


_VIRTUAL = {"virtual": "true", "path": "false"}


def s3_access(bucket: str, aws_conn_id: str | None) -> Access:
    """Return the access to S3 that the AWS connection has."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    meta, secret = client("s3", aws_conn_id).meta, AwsBaseHook(aws_conn_id, client_type="s3").get_credentials()
    style = (meta.config.s3 or {}).get("addressing_style")
    found = {
        "s3.endpoint": meta.endpoint_url,
        "s3.region": meta.region_name,
        "s3.access-key-id": secret.access_key,
        "s3.secret-access-key": secret.secret_key,
        "s3.session-token": secret.token,
        "s3.force-virtual-addressing": _VIRTUAL.get(str(style)),
    }
    return Access(f"s3://{bucket}", {name: value for name, value in found.items() if value})


def azure_access(container: Any) -> Access:
    """Return the access to Azure that a ``ContainerClient`` has: of its credentials the account's key, if it has that.

    With other credentials the Iceberg connection has to say more, e.g. ``adls.client-id``.
    """
    account, key = container.account_name, getattr(container.credential, "account_key", None)
    found = {"adls.account-name": account}
    if key:
        endpoint = container.url.partition("?")[0].removesuffix(f"/{container.container_name}")
        found["adls.connection-string"] = f"AccountName={account};AccountKey={key};BlobEndpoint={endpoint}"
    return Access(f"abfss://{container.container_name}@{account}.dfs.core.windows.net", found)


def _of_connection(conn_id: str) -> dict[str, str]:
    connection = read_connection(conn_id, "iceberg")
    found: dict[str, Any] = dict(connection.extra_dejson)
    if connection.host:
        found["uri"] = connection.host.rstrip("/")
    if connection.login and connection.password and found.get("type", "rest") == "rest":
        found["credential"] = f"{connection.login}:{connection.password}"
    return {name: str(value) for name, value in found.items()}
