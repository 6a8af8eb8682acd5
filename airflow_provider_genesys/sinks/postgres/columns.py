"""How a contract's columns are named and typed in PostgreSQL, and what comes beside them."""

from __future__ import annotations

import re
from typing import NamedTuple

from airflow_provider_genesys.contracts.contract import ColumnType, Contract
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError

LONGEST_NAME = 63
"""Bytes; PostgreSQL would cut what is longer."""

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
    """Raise :class:`ConfigurationError` where one cannot name a table or schema."""
    for name in names:
        if not name or len(name.encode()) > LONGEST_NAME or re.search("[%\0]", name):
            raise ConfigurationError(f"{name!r} cannot name a table or schema: 1 to {LONGEST_NAME} bytes, no '%'.")


def column_names(contract: Contract) -> list[str]:
    """Return the contract's columns as PostgreSQL's users write them: ``queueId`` becomes ``queue_id``.

    :raises ContractError: a name is empty or too long then, or two are the same.
    """
    names = [snake_case(column.name) for column in contract.columns]
    taken = {column.name: "the lineage" for column in LINEAGE}
    for column, name in zip(contract.columns, names, strict=True):
        if not name.strip("_") or len(name.encode()) > LONGEST_NAME:
            raise ContractError(
                f"Contract {contract.name}: column {column.name!r} would be {name!r} in PostgreSQL, where a name has "
                f"1 to {LONGEST_NAME} bytes. Rename it in the contract."
            )
        if name in taken:
            raise ContractError(
                f"Contract {contract.name}: column {column.name!r} would be {name!r} in PostgreSQL, as {taken[name]} "
                "already is. Rename one of them in the contract."
            )
        taken[name] = repr(column.name)
    return names


def key_choices(contract: Contract) -> list[tuple[str, ...]]:
    """Return the columns that may tell one row from another, the choice for a partitioned table last.

    PostgreSQL wants the partition's column in every unique key, hence the timestamp beside the contract's key. It has
    to be required: a unique key takes any number of nulls.
    """
    names = column_names(contract)
    key, timestamp = (contract.index(role) for role in (contract.key, contract.timestamp))
    alone = (names[key],)
    return [alone, (names[key], names[timestamp])] if contract.columns[timestamp].required else [alone]


def snake_case(name: str) -> str:
    """Return ``name`` in lower case, words parted by underscores: ``HTTPStatus.codeIds`` → ``http_status_code_ids``."""
    parted = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W", "_", parted).lower()
