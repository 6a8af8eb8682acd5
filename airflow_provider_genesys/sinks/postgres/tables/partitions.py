"""Partitions of a target that is partitioned by the contract's timestamp."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Literal, NamedTuple

from psycopg import errors, sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError, SinkRefusedError
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.columns import LONGEST_NAME
from airflow_provider_genesys.sinks.postgres.tables.schema import create_target, is_partitioned

log = logging.getLogger(__name__)

PartitionBy = Literal["day", "month"]
"""How much time one partition holds, in UTC."""

_SUFFIXES: dict[PartitionBy, str] = {"day": "_%Y%m%d", "month": "_%Y%m"}
_DEFAULT = "_default"
# Created beside the table and then attached: only so can the table be read meanwhile.
_CREATE = "CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
_ATTACH = "ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({start}) TO ({end})"


class Partition(NamedTuple):
    """One partition: start ≤ t < end."""

    name: str
    start: datetime
    end: datetime


class Partitions:
    """How one table is cut, and the partitions that a load needs of it.

    :raises ConfigurationError: ``by`` is unknown, or the partitions would have longer names than PostgreSQL takes.
    """

    def __init__(self, schema: str, table: str, by: PartitionBy) -> None:
        if by not in _SUFFIXES:
            raise ConfigurationError(f"partition_by is one of {', '.join(_SUFFIXES)}, not {by!r}.")
        longest = LONGEST_NAME - len("_YYYYMMDD")
        if len(table.encode()) > longest:
            raise ConfigurationError(
                f"A partition of {table!r} would have a longer name than PostgreSQL takes. With partition_by, a "
                f"table's name has at most {longest} bytes."
            )
        self._schema = schema
        self._name = table
        self._table = sql.Identifier(schema, table)
        self._by = by

    def create_target(self, contract: Contract) -> sql.Composed:
        """Compose the statements that create the table, with the default partition.

        :raises ContractError: a record may lack the timestamp that decides its partition.
        """
        timestamp = contract.columns[contract.index(contract.timestamp)]
        if not timestamp.required:
            raise ContractError(
                f"Contract {contract.name}: partition_by needs a required timestamp, and {timestamp.name!r} is not."
            )
        default = sql.SQL("CREATE TABLE {} PARTITION OF {} DEFAULT").format(
            sql.Identifier(self._schema, self._name + _DEFAULT), self._table
        )
        return sql.SQL(";\n").join([create_target(self._table, contract, partitioned=True), default])

    def ensure(self, cursor: Cursor, start: datetime, end: datetime, *, create: bool) -> None:
        """Create the partitions of the window ``start ≤ t < end`` that are missing.

        What a partition of another name holds, or whose rows lie in the default partition already, is left alone.

        :raises SinkRefusedError: the table has no partitions, or one is missing and cannot be created; the message
            holds the SQL.
        """
        if not is_partitioned(cursor, self._table):
            raise SinkRefusedError(
                f"The table {self._table.as_string()} is not partitioned, and partition_by cannot make it so. Leave "
                "partition_by out, or load into a new table."
            )
        for partition in self.touched(start, end):
            identifier = sql.Identifier(self._schema, partition.name)
            if cursor.execute("SELECT to_regclass(%s)", [identifier.as_string()]).fetchall() == [(None,)]:
                self._create(cursor, identifier, partition, create=create)

    def touched(self, start: datetime, end: datetime) -> Iterator[Partition]:
        """Yield the partitions that the window touches."""
        begin = start.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        if self._by == "month":
            begin = begin.replace(day=1)
        while begin < end:
            # 32 days after the first of a month is always in the next one.
            after = begin + timedelta(days=1) if self._by == "day" else (begin + timedelta(days=32)).replace(day=1)
            yield Partition(self._name + begin.strftime(_SUFFIXES[self._by]), begin, after)
            begin = after

    def _create(self, cursor: Cursor, identifier: sql.Identifier, partition: Partition, *, create: bool) -> None:
        bounds = {"start": partition.start.isoformat(), "end": partition.end.isoformat()}
        literals = {name: sql.Literal(bound) for name, bound in bounds.items()}
        statement = sql.SQL(f"{_CREATE};\n{_ATTACH}").format(table=self._table, partition=identifier, **literals)
        if not create:
            raise _absent(identifier, statement, "create_table is off")
        try:
            with cursor.connection.transaction():
                cursor.execute(statement)
        except (errors.InvalidObjectDefinition, errors.DuplicateTable):
            log.debug("Another partition holds what %s would, or another load has just created it.", partition.name)
        except errors.CheckViolation:
            log.warning("%s was not created: the default partition holds such rows and takes more.", partition.name)
        except errors.InsufficientPrivilege:
            raise _absent(identifier, statement, "the role may not create it") from None


def _absent(partition: sql.Identifier, statement: sql.Composed, why: str) -> SinkRefusedError:
    return SinkRefusedError(
        f"There is no partition {partition.as_string()}, and {why}. Leave partition_by out where somebody else sees to "
        f"the partitions; else have the table's owner run:\n{statement.as_string()};"
    )
