"""Contracts: the columns, types and modes of a record, and its personal data. ``built_in`` has the shipped ones."""

from airflow_provider_genesys.contracts.child import Child
from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.contract import Contract, resolve
from airflow_provider_genesys.contracts.drift import Modes

__all__ = ["Child", "Column", "Contract", "Modes", "resolve"]
