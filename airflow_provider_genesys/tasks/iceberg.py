"""The argument ``publish_to_iceberg`` of loading operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.iceberg import Access, open_catalog
from airflow_provider_genesys.tasks.rendered import flag, mapping, text
from airflow_provider_genesys.window import absent

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

    from airflow_provider_genesys.sinks.objects.publish import Publisher

ARGUMENT = "publish_to_iceberg"
DEFAULT_CONN_ID = "iceberg_default"
_KNOWN = {"conn_id", "properties", "namespace", "table", "create", "location"}
_SECRET = ("credential", "token", "secret", "password", "account-key", "access-key", "sas")
"""A property with one of these in its name belongs into the connection: arguments are shown in Airflow's UI."""


def check_iceberg(given: Any) -> None:
    """Raise :class:`ConfigurationError` if the argument has an unknown key, lacks one, or shows a secret."""
    if absent(given):
        return
    found = mapping(given, ARGUMENT)
    if unknown := sorted(found.keys() - _KNOWN):
        raise ConfigurationError(
            f"publish_to_iceberg has {', '.join(unknown)}; it may have {', '.join(sorted(_KNOWN))}."
        )
    for name in ("namespace", "table"):
        text(found.get(name), f"publish_to_iceberg[{name!r}]")
    for name in mapping(found.get("properties"), "publish_to_iceberg['properties']"):
        if any(word in name.lower() for word in _SECRET):
            raise ConfigurationError(
                f"publish_to_iceberg['properties'] has {name!r}, which is a secret and would be shown in Airflow's UI. "
                "Put it into the extras of the Iceberg connection."
            )


def publisher_of(given: Any, access: Callable[[], Access]) -> Publisher | None:
    """Return what publishes a load as the argument says; None if it is absent.

    :param access: returns how readers of the tables reach the bucket with the parts.
    :raises MissingExtraError: PyIceberg is not installed.
    """
    check_iceberg(given)
    if absent(given):
        return None
    from airflow_provider_genesys.lake.publish import TablePublisher
    from airflow_provider_genesys.lake.tables import IcebergTarget

    found = mapping(given, ARGUMENT)
    location, properties = found.get("location"), mapping(found.get("properties"), "publish_to_iceberg['properties']")
    target = IcebergTarget(
        str(found["namespace"]),
        str(found["table"]),
        create=flag(found.get("create", False), "publish_to_iceberg['create']"),
        location=None if absent(location) else str(location),
    )
    conn_id = None if properties and absent(found.get("conn_id")) else str(found.get("conn_id") or DEFAULT_CONN_ID)
    return TablePublisher(partial(_open, conn_id, access, properties), lambda: access().root, target)


def _open(conn_id: str | None, access: Callable[[], Access], properties: Mapping[str, Any]) -> Catalog:
    return open_catalog(conn_id, {**access().properties, **{name: str(value) for name, value in properties.items()}})
