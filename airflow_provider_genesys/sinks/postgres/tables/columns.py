"""Names and types of a contract's columns in PostgreSQL, and the further columns of a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from airflow_provider_genesys.contracts.child import Child
from airflow_provider_genesys.contracts.column import snake_case
from airflow_provider_genesys.contracts.contract import ColumnType, Contract
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError

LONGEST_NAME = 63
"""Bytes; PostgreSQL would cut a longer name."""

ORDINAL = "ordinal"
"""Number of a child's row among those of its record, from 1."""

TYPES: dict[ColumnType, str] = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "decimal": "numeric",
    "boolean": "boolean",
    "timestamp": "timestamptz",
    "uuid": "uuid",
    "json": "jsonb",
}


class _Lineage(NamedTuple):
    name: str
    type: str
    description: str


EXPORT, SUBMITTED, SHARD, OFFSET, CONTRACT, LOADED = LINEAGE = (
    _Lineage("_genesys_export_id", "text", "Export that the row comes from"),
    _Lineage("_genesys_submitted_at", "timestamptz", "When that export was asked for; of equal keys the later wins"),
    _Lineage(
        "_source_shard",
        "integer",
        "Shard by which the record was loaded, from 1; 0 where the export was loaded in one piece",
    ),
    _Lineage("_source_offset", "bigint", "Byte of the unpacked file at which the record begins"),
    _Lineage("_contract_version", "text", "Contract that the record was read through"),
    _Lineage("_loaded_at", "timestamptz", "When the row was written"),
)


def check_names(*names: str) -> None:
    """Raise :class:`ConfigurationError` if one of them cannot name a table or schema."""
    for name in names:
        if not name or len(name.encode()) > LONGEST_NAME or re.search("[%\0]", name):
            raise ConfigurationError(f"{name!r} cannot name a table or schema: 1 to {LONGEST_NAME} bytes, no '%'.")


def column_names(contract: Contract) -> list[str]:
    """Return the contract's columns as PostgreSQL's users write them: ``queueId`` becomes ``queue_id``.

    :raises ContractError: a resulting name is empty or too long, or two are equal.
    """
    lineage = {column.name: "the lineage" for column in LINEAGE}
    return _names(contract, "columns", [column.name for column in contract.columns], lineage)


def child_column_names(contract: Contract, child: Child) -> list[str]:
    """Return the columns of a child's table, without the record's key and the ordinal.

    :raises ContractError: see :func:`column_names`.
    """
    taken = {snake_case(contract.key): "the record's key", ORDINAL: "the ordinal"}
    return _names(contract, f"children.{child.name}", [column.name for column in child.columns], taken)


def child_name(table: str, child: Child, contract: Contract) -> str:
    """Return the name of a child's table.

    :raises ContractError: it is too long.
    """
    name = name_of_child(table, child.name)
    if len(name.encode()) > LONGEST_NAME:
        raise ContractError(
            f"Contract {contract.name}: a table cannot be called {name!r}; that is too long.",
            about=f"children.{child.name}",
        )
    return name


def name_of_child(table: str, child: str) -> str:
    """Return the name of the table of a child."""
    return f"{table}_{snake_case(child)}"


def check_contract(contract: Contract) -> None:
    """Raise :class:`ContractError` if a column cannot be in a table."""
    column_names(contract)
    for child in contract.children:
        child_column_names(contract, child)


def _names(contract: Contract, place: str, wanted: Sequence[str], lineage: Mapping[str, str]) -> list[str]:
    names, taken = [snake_case(name) for name in wanted], dict(lineage)
    for own, name in zip(wanted, names, strict=True):
        would_be = f"Contract {contract.name}: column {own!r} would be {name!r} in PostgreSQL,"
        about = f"{place}.{own}"
        if not name.strip("_") or len(name.encode()) > LONGEST_NAME:
            what = f"{would_be} where a name has 1 to {LONGEST_NAME} bytes. Rename it in the contract."
            raise ContractError(what, about=about)
        if name in taken:
            what = f"{would_be} as {taken[name]} already is. Rename one of them in the contract."
            raise ContractError(what, about=about)
        taken[name] = repr(own)
    return names


def key_choices(contract: Contract) -> list[tuple[str, ...]]:
    """Return the choices of columns that may identify a row; the one for a partitioned table comes last.

    PostgreSQL wants the partition's column in every unique key, hence the timestamp beside the contract's key. It has
    to be required: a unique key takes any number of nulls.
    """
    names = column_names(contract)
    key, timestamp = (contract.index(role) for role in (contract.key, contract.timestamp))
    alone = (names[key],)
    return [alone, (names[key], names[timestamp])] if contract.columns[timestamp].required else [alone]
