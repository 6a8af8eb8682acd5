"""The column ``_raw``: each record as it came, beside the columns of the contract."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_genesys.contracts.contract import Column, Contract
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.sinks.postgres.columns import column_names

RAW = Column("_raw", "@raw", "json", description="The record as it came")


def check_pii(contract: Contract, *, allowed: bool) -> None:
    """Raise :class:`ConfigurationError` where a record holds what the contract drops, hashes or masks."""
    guarded = [c.name for c in (*contract.columns, *contract.dropped) if c.pii != "keep" or c.pii_inside]
    if guarded and not allowed:
        raise ConfigurationError(
            f"raw_column=True would store personal data that contract {contract.name} keeps out of the table: "
            f"{', '.join(guarded)} would stand in the column _raw in clear. Leave raw_column out, or say that this is "
            "meant by allow_raw_pii=True."
        )


def with_raw(contract: Contract, *, allow_pii: bool) -> Contract:
    """Return the contract with the column for the record.

    :raises ConfigurationError: see :func:`check_pii`.
    :raises ContractError: it has a column of that name.
    """
    check_pii(contract, allowed=allow_pii)
    if RAW.name in column_names(contract):
        raise ContractError(f"Contract {contract.name} has a column _raw, so raw_column=True has no place for its own.")
    return contract.evolved([RAW])


def batch_with_raw(batch: Batch) -> Batch:
    """Return the batch with each row's record at its end."""
    rows = [(*row, raw) for row, raw in zip(batch.rows, batch.raw(), strict=True)]
    return replace(batch, rows=rows, contract=batch.contract.evolved([RAW]))
