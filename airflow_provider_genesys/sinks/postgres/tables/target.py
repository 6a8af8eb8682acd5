"""A table that rows are upserted into, and what has to be known of it for that."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.sinks.postgres.ranking import EARLIER, LATER, SHOWN
from airflow_provider_genesys.sinks.postgres.tables.columns import (
    CONTRACT,
    EXPORT,
    LOADED,
    OFFSET,
    SHARD,
    SUBMITTED,
    column_names,
)
from airflow_provider_genesys.sinks.postgres.tables.types import Near


@dataclass(frozen=True)
class Target:
    """One table, as one contract fills it.

    :param ledger: the ledger of the loads into it.
    :param key: names of the columns of its unique key; of equal ones the newest row stays.
    :param near: columns that hold some values of the contract's only; see :mod:`.postgres.types`.
    :param takes_binary: whether rows can be copied straight into it; see :mod:`.postgres.straight`.
    """

    identifier: sql.Identifier
    ledger: sql.Identifier
    contract: Contract
    key: tuple[str, ...]
    near: tuple[Near, ...] = ()
    takes_binary: bool = False

    @property
    def own(self) -> list[str]:
        """Names of the contract's columns."""
        return column_names(self.contract)

    def names(self) -> dict[str, sql.Composable]:
        """Return what goes into the braces of statements on it: every name that does not depend on a stage."""
        names: dict[str, sql.Composable] = {
            "target": self.identifier,
            "ledger": self.ledger,
            "timestamp": sql.Identifier(self.own[self.contract.index(self.contract.timestamp)]),
            "export": sql.Identifier(EXPORT.name),
            "submitted": sql.Identifier(SUBMITTED.name),
            "shard": sql.Identifier(SHARD.name),
            "offset": sql.Identifier(OFFSET.name),
            "contract": sql.Identifier(CONTRACT.name),
            "loaded": sql.Identifier(LOADED.name),
        }
        names["loads_submitted"] = sql.SQL(SHOWN).format(sql.SQL("max(submitted)"))
        ranks = {"asked_earlier": EARLIER, "asked_later": LATER}
        return {**names, **{name: sql.SQL(text).format(**names) for name, text in ranks.items()}}
