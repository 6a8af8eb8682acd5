"""Lists for warehouses: exactly the objects of a finished load, in the form that each warehouse reads.

::

    <load>/_list-redshift.json                 a manifest for COPY of the rows
    <load>/_list-redshift-<child>.json         the same of a child
    <load>/_list-snowflake.json                {"files": groups of keys, "statements": a COPY INTO of each group}
    <load>/_list-bigquery.json                 {"source_format": …, "source_uris": groups of URIs, one for each job}

They are beside the manifest: written with it (``lists`` of the loading operators), or later. A load that replaces this
one removes them. A replay of dead letters leaves them: they lack what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.sinks.objects.layout import MANIFEST
from airflow_provider_genesys.sinks.objects.manifest import check_keys, read_manifest
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.base import ObjectStore, quoted

ROWS = "rows"
"""Names the load itself, beside the names of its children."""

SNOWFLAKE_FILES = 1_000
"""Files that one COPY INTO of Snowflake takes in FILES."""

BIGQUERY_URIS = 10_000
"""Source URIs that one load job of BigQuery takes."""

_READS_FROM = {"redshift": ("s3",), "bigquery": ("gs",)}
"""Schemes of the stores that a warehouse reads from; one that is not here reads from any."""

WrittenLists = dict[str, dict[str, Any]]
"""What was written, by table: the URL of each list by its warehouse, and under ``rows`` the number of rows."""


def write_lists(store: ObjectStore, folder: str, warehouses: Sequence[str]) -> tuple[str, WrittenLists]:
    """Write lists of the load whose manifest is in ``folder``, a key that ends with a slash.

    :param warehouses: of :data:`LISTS`.
    :return: the export's id, and what was written.
    :raises ConfigurationError: a warehouse is unknown, or cannot read from this store.
    :raises AccountError: there is no manifest, or it is of a raw archive.
    """
    check_warehouses(store.url, warehouses)
    manifest = read_manifest(store, f"{folder}{MANIFEST}")
    if manifest is None or "children" not in manifest:
        raise AccountError(
            f"{store.url}/{folder} has no manifest with rows: the load is not finished, or it landed "
            "a raw archive. Let the loading task succeed first."
        )
    tables = {ROWS: manifest["parts"], **manifest["children"]}
    parts = {table: msgspec.convert(listed, list[Part]) for table, listed in tables.items()}
    check_keys(store, folder, (part.key for some in parts.values() for part in some))
    return str(manifest["export_id"]), write_lists_of(store, folder, parts, warehouses)


def write_lists_of(
    store: ObjectStore, folder: str, tables: Mapping[str, list[Part]], warehouses: Sequence[str]
) -> WrittenLists:
    """Write lists into ``folder``.

    :param tables: the parts of each table.
    :param warehouses: as :func:`check_warehouses` has checked them.
    """
    return {
        table: {
            "rows": sum(part.rows for part in parts),
            **{warehouse: _write(store, folder, table, warehouse, parts) for warehouse in warehouses},
        }
        for table, parts in tables.items()
    }


def keys_of(url: str, written: WrittenLists) -> set[str]:
    """Return the keys of the lists in the store at ``url``."""
    urls = (one for lists in written.values() for one in lists.values() if isinstance(one, str))
    return {one.removeprefix(f"{url}/") for one in urls}


def check_warehouses(url: str, warehouses: Sequence[str]) -> None:
    """Raise :class:`ConfigurationError` for a warehouse that is unknown, or cannot read from the store at ``url``."""
    if not warehouses or set(warehouses) - LISTS.keys():
        raise ConfigurationError(f"lists is {list(warehouses)}; it has to name some of: {', '.join(LISTS)}.")
    for name in warehouses:
        schemes = _READS_FROM.get(name)
        if schemes and not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ConfigurationError(
                f"{name} cannot load from {url}, but from {schemes[0]}:// alone. Leave it out of lists."
            )


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
    groups = _groups([part.key for part in parts], SNOWFLAKE_FILES)
    return {"files": groups, "statements": [_copy_into(group) for group in groups]}


def _bigquery(url: str, parts: list[Part]) -> dict[str, Any]:
    is_parquet = bool(parts) and parts[0].key.endswith(".parquet")
    return {
        "source_format": "PARQUET" if is_parquet else "NEWLINE_DELIMITED_JSON",
        "source_uris": _groups([f"{url}/{part.key}" for part in parts], BIGQUERY_URIS),
    }


def _groups(names: list[str], most: int) -> list[list[str]]:
    return [names[start : start + most] for start in range(0, len(names), most)]


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


LISTS: dict[str, Callable[[str, list[Part]], dict[str, Any]]] = {
    "redshift": _redshift,
    "snowflake": _snowflake,
    "bigquery": _bigquery,
}
"""The function that makes a list, by warehouse: from the store's URL and the parts."""
