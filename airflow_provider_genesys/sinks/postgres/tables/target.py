"""A table that rows are upserted into, and which of two exports is newer there.

The export that was requested later is newer. If the time of a request is unknown, it is taken to be at or before the
time at which its rows were written. If that does not decide, or both were requested at the same time, the load fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import UnrankedExportError
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

_EARLIER = "(t.{export} IS NULL OR coalesce(coalesce(t.{submitted}, t.{loaded}) < %(submitted)s::timestamptz, false))"
"""Whether the row ``t`` is of an export that was requested before that of the load, or has no lineage."""

_LATER = "coalesce(t.{submitted} > %(submitted)s::timestamptz, false)"
"""Whether the row ``t`` is of an export that was requested after that of the load."""

_AS_ISO = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USOF')"""
"""A time as ISO 8601 in UTC, whatever the connection's settings are."""


@dataclass(frozen=True)
class Target:
    """One table, as one contract fills it.

    :param ledger: the ledger of the loads into it.
    :param key: names of the columns of its unique key; among equal keys the newest row stays.
    :param near: columns that hold only some of the contract's values; see :mod:`.postgres.types`.
    :param watched: whether its triggers may drop or change rows, so that each row is looked for once it is written.
    :param takes_binary: whether rows can be copied straight into it; see :mod:`.postgres.straight`.
    """

    identifier: sql.Identifier
    ledger: sql.Identifier
    contract: Contract
    key: tuple[str, ...]
    near: tuple[Near, ...] = ()
    takes_binary: bool = False
    watched: bool = False

    @property
    def own(self) -> list[str]:
        """Names of the contract's columns."""
        return column_names(self.contract)

    def names(self) -> dict[str, sql.Composable]:
        """Return the names for the braces of its statements, without those that depend on a stage."""
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
        names["loads_submitted"] = sql.SQL(_AS_ISO).format(sql.SQL("max(submitted)"))
        ranks = {"asked_earlier": _EARLIER, "asked_later": _LATER}
        return {**names, **{name: sql.SQL(text).format(**names) for name, text in ranks.items()}}


def unranked(lineage: dict[str, Any], other: str, submitted: str | None, records: int) -> UnrankedExportError:
    """Return the error for two exports of which it is not known which is newer.

    :param lineage: that of the load; see :func:`.postgres.upsert.lineage`.
    :param other: the other source, ``export_id/shard``.
    :param submitted: when that one was requested, ISO 8601; None if it is not known.
    :param records: number of records that both exports hold.
    """
    export = lineage["export"]
    own = lineage["submitted"]
    return UnrankedExportError(
        f"Export {export} and {lineage['target']}, which holds {records} of its records from export "
        f"{other.rpartition('/')[0]}: it is not known which of the two was asked for later. {export} was asked for at "
        f"{own.isoformat() if own else '(nobody knows)'}, the other one at {submitted or '(nobody knows)'}. Nothing of "
        f"this batch is written. Give the operator submitted_at, the time at which export {export} was asked for, and "
        "clear the task."
    )
