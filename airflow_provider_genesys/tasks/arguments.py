"""Arguments of a loading operator: its contract and modes, its shard and the key for personal data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator, Variable
from airflow.sdk.log import mask_secret

try:
    from airflow.sdk.exceptions import AirflowNotFoundException
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]

from airflow_provider_genesys.cloud.exports import aggregates
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.tasks.connection import dag_folder
from airflow_provider_genesys.tasks.rendered import json_mapping, text
from airflow_provider_genesys.window import absent

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Check, Contract
    from airflow_provider_genesys.source.shards import Shard


def contract_of(
    contract: str | Contract | None,
    modes: dict[str, str] | None,
    *,
    kind: str,
    folder: str,
    check: Check | None = None,
) -> Contract:
    """Return the contract by which exports of ``kind`` are read.

    :param contract: the operator's argument; None or empty for the built-in contract.
    :param modes: these replace the contract's own modes.
    :param folder: the folder that a relative path of a contract file begins at.
    :raises ContractError: there is none, or it is not valid.
    """
    from airflow_provider_genesys.contracts.contract import resolve

    named = None if absent(contract) else contract
    return resolve(named, kind=kind, folder=folder, check=check).with_modes(json_mapping(modes, "contract_modes"))


def contract_for(
    handle: dict[str, Any],
    contract: str | Contract | None,
    modes: dict[str, str] | None,
    folder: str,
    check: Check,
) -> Contract:
    """Return the contract by which the export of ``handle`` is read, as :func:`contract_of` does.

    The built-in one of aggregates gets the dimensions that the export was grouped by.
    """
    found = contract_of(contract, modes, kind=handle["kind"], folder=folder, check=check)
    if not absent(contract) or handle["kind"] != aggregates.KIND:
        return found
    from airflow_provider_genesys.contracts.column import Column

    return found.evolved([Column(name, name, "string") for name in aggregates.group_by_of(handle)])


def check_contract(
    contract: str | Contract | None,
    modes: dict[str, str] | None,
    *,
    kind: str,
    folder: str,
    check: Check,
) -> None:
    """Check the contract while the DAG is parsed, unless a template has to be rendered first."""
    if (contract, modes) != (None, None) and not any(map(is_rendered_later, (contract, modes, kind))):
        contract_of(contract, modes, kind=kind, folder=folder, check=check)


def hash_key_of(pii_key: str | None, contract: Contract) -> bytes | None:
    """Return the key that ``contract`` hashes with; None if it hashes nothing."""
    return read_pii_key(contract.pii_key if absent(pii_key) else pii_key) if contract.hashes else None


def is_rendered_later(value: Any) -> bool:
    """Whether ``value`` holds a template, or is the output of another task."""
    if isinstance(value, dict):
        return any(map(is_rendered_later, value.values()))
    return hasattr(value, "resolve") or (isinstance(value, str) and ("{{" in value or "{%" in value))


def shard_of(given: Any, contract: Contract) -> Shard:
    """Return the shard that GenesysPlanShardsOperator planned; if none is given, the range of the whole archive.

    :raises ConfigurationError: it is no shard, or ``contract`` evolves: each shard would evolve it differently.
    """
    from airflow_provider_genesys.source.shards import WHOLE, Shard

    if absent(given):
        return WHOLE
    if "evolve" in asdict(contract.modes).values():
        raise ConfigurationError(
            "A contract that evolves cannot be loaded in shards: each would add other columns. Load "
            "the export in one piece, or choose other contract_modes."
        )
    import msgspec

    try:
        return msgspec.convert(json_mapping(given, "shard"), Shard)
    except (msgspec.ValidationError, ConfigurationError) as error:
        raise ConfigurationError(
            f"The argument shard is no shard ({error}). Map the operator over what GenesysPlanShardsOperator returned: "
            ".partial(...).expand(shard=plan.output)."
        ) from None


SHORTEST = 16
"""Characters. There are few telephone numbers: anyone who guesses the key can find the number behind each hash."""


def read_pii_key(named: str | None) -> bytes:
    """Return the key that ``named`` names: ``connection:<id>`` (its password) or ``variable:<key>``.

    :raises ConfigurationError: there is no such key, or it is too short.
    """
    place, _, name = ("" if absent(named) else text(named, "pii_key")).partition(":")
    if place not in ("connection", "variable") or not name:
        raise ConfigurationError(
            "The contract hashes personal data, which needs a key. Name where it is kept: "
            "pii_key='connection:<id>' or 'variable:<key>'. What is given is neither. If it is the key "
            "itself, remove it from the DAG."
        )
    secret = _password_of(name) if place == "connection" else Variable.get(name, default=None)
    if secret is None:
        raise ConfigurationError(
            f"The contract hashes personal data with the key in {named!r}, and there is none: create the {place} "
            "with a random one, for example of `openssl rand -hex 32`."
        )
    if not secret or len(secret) < SHORTEST:
        raise ConfigurationError(
            f"The key in {named!r} has fewer than {SHORTEST} characters. Put a random one there, for example of "
            "`openssl rand -hex 32`, and keep it: with another key the same value gets another hash."
        )
    mask_secret(secret)
    return secret.encode()


def _password_of(conn_id: str) -> str | None:
    """Return the password of a connection; None if it has none, or does not exist."""
    try:
        return BaseHook.get_connection(conn_id).password
    except AirflowNotFoundException:
        return None


def check_hash_keys(task: BaseOperator, kind: str) -> None:
    """Check that tasks downstream find the keys by which they hash, before Genesys is asked for what they will load.

    :raises ConfigurationError: there is none; the message names the task.
    """
    dag = task.get_dag()
    for one in task.get_flat_relatives(upstream=False) if dag else ():
        given = getattr(one, "partial_kwargs", None) or vars(one)
        contract, modes, key = (given.get(name) for name in ("contract", "contract_modes", "pii_key"))
        if "pii_key" not in one.template_fields or any(map(is_rendered_later, (contract, modes, key, kind))):
            continue
        try:
            hash_key_of(key, contract_of(contract, modes, kind=kind, folder=dag_folder(task)))
        except ConfigurationError as error:
            raise ConfigurationError(f"Task {one.task_id}: {error}") from None
