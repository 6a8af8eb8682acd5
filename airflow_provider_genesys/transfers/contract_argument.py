"""The contract that a loading operator was given: read, laid over with its modes, and checked as early as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.contract import Contract
    from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator


def contract_of(operator: GenesysExportTransferOperator, kind: str) -> Contract:
    """Return the contract by which ``operator`` reads exports of ``kind``.

    :raises ContractError: there is none, or it is not valid.
    """
    from airflow_provider_genesys.pipeline.contract import resolve

    folder = operator.dag.folder if operator.get_dag() else "."
    named = operator.contract or None  # a template may render to nothing
    return resolve(named, kind=kind, folder=folder).with_modes(operator.contract_modes or {})


def check_contract(operator: GenesysExportTransferOperator) -> None:
    """Read the contract while the DAG is parsed, where no template has to be rendered before."""
    given = (operator.contract, operator.contract_modes)
    if given != (None, None) and not any(map(_is_rendered_later, (*given, operator.kind))):
        contract_of(operator, operator.kind)


def hash_key_of(operator: GenesysExportTransferOperator, contract: Contract) -> bytes | None:
    """Return the key that ``contract`` hashes with; None where it does not."""
    from airflow_provider_genesys.transfers.pii_key import read_pii_key

    return read_pii_key(operator.pii_key or contract.pii_key) if contract.hashes else None


def _is_rendered_later(value: Any) -> bool:
    """Whether ``value`` holds a template, or is what another task returns."""
    if isinstance(value, dict):
        return any(map(_is_rendered_later, value.values()))
    return hasattr(value, "resolve") or (isinstance(value, str) and ("{{" in value or "{%" in value))
