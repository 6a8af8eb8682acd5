"""Lists for warehouses: exactly the objects of a finished load, in the form that Redshift or Snowflake reads.

::

    <load>/_list-redshift.json                 a manifest for COPY of the rows
    <load>/_list-redshift-<child>.json         the same of a child
    <load>/_list-snowflake.json                {"files": groups of keys, "statements": a COPY INTO of each group}

They lie beside the manifest. A load that replaces this one removes them, because its manifest does not list them. A
replay of dead letters leaves them: they lack what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.sinks.objects.layout import MANIFEST
from airflow_provider_genesys.sinks.objects.manifest import read_manifest
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.base import ObjectStore, quoted

ROWS = "rows"
"""Names the load itself, beside the names of its children."""

MOST_FILES = 1000
"""Files that one COPY INTO of Snowflake takes in FILES."""


@dataclass(frozen=True)
class WrittenLists:
    """What was written: the URL of each list, by table and warehouse, and the number of rows, by table."""

    export_id: str
    urls: dict[str, dict[str, str]]
    rows: dict[str, int]


def write_lists(store: ObjectStore, folder: str, warehouses: Sequence[str]) -> WrittenLists:
    """Write lists of the load whose manifest is in ``folder``, a key that ends with a slash.

    :param warehouses: of :data:`LISTS`.
    :raises ConfigurationError: a warehouse is unknown, or cannot read from this store.
    :raises AccountError: there is no manifest, or it is of an archive as it came.
    """
    check_warehouses(store.url, warehouses)
    manifest = read_manifest(store, f"{folder}{MANIFEST}")
    if manifest is None or "children" not in manifest:
        raise AccountError(
            f"{store.url}/{folder} has no manifest with rows: the load is not finished, or it is of an archive as it "
            "came. Let the loading task succeed first."
        )
    tables = {name: msgspec.convert(parts, list[Part]) for name, parts in _tables(manifest).items()}
    urls = {
        table: {warehouse: _write(store, folder, table, warehouse, parts) for warehouse in warehouses}
        for table, parts in tables.items()
    }
    rows = {table: sum(part.rows for part in parts) for table, parts in tables.items()}
    return WrittenLists(str(manifest["export_id"]), urls, rows)


def check_warehouses(url: str, warehouses: Sequence[str]) -> None:
    """Raise :class:`ConfigurationError` for a warehouse that is unknown, or cannot read from the store at ``url``."""
    if not warehouses or set(warehouses) - LISTS.keys():
        raise ConfigurationError(f"lists is {list(warehouses)}; it has to name some of: {', '.join(LISTS)}.")
    if "redshift" in warehouses and not url.startswith("s3://"):
        raise ConfigurationError(f"Redshift cannot load from {url}, but from S3 alone. Leave it out of lists.")


def _tables(manifest: dict[str, Any]) -> dict[str, list[Any]]:
    return {ROWS: manifest["parts"], **manifest["children"]}


def _write(store: ObjectStore, folder: str, table: str, warehouse: str, parts: list[Part]) -> str:
    of_child = "" if table == ROWS else f"-{quoted(table)}"
    key = f"{folder}_list-{warehouse}{of_child}.json"
    store.put(key, msgspec.json.format(msgspec.json.encode(LISTS[warehouse](store.url, parts))))
    return f"{store.url}/{key}"


def _redshift(url: str, parts: list[Part]) -> dict[str, Any]:
    # Redshift needs the length of Parquet files, and ignores that of others.
    entries = [
        {"url": f"{url}/{part.key}", "mandatory": True, "meta": {"content_length": part.bytes}} for part in parts
    ]
    return {"entries": entries}


def _snowflake(_: str, parts: list[Part]) -> dict[str, Any]:
    keys = [part.key for part in parts]
    groups = [keys[start : start + MOST_FILES] for start in range(0, len(keys), MOST_FILES)]
    return {"files": groups, "statements": [_copy_into(group) for group in groups]}


def _copy_into(keys: list[str]) -> str:
    """Return a statement with ``<table>`` and ``<stage>`` for the user's names."""
    is_parquet = keys[0].endswith(".parquet")
    form = "TYPE = PARQUET USE_LOGICAL_TYPE = TRUE" if is_parquet else "TYPE = JSON"
    files = ", ".join(map(_literal, keys))
    return (
        f"COPY INTO <table> FROM @<stage> FILES = ({files}) FILE_FORMAT = ({form}) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


LISTS: dict[str, Callable[[str, list[Part]], dict[str, Any]]] = {"redshift": _redshift, "snowflake": _snowflake}
"""What makes a list, by warehouse: of the store's URL and the parts."""
