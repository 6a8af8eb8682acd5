"""The settings of a sink into a table of PostgreSQL, which all its attempts share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from psycopg import sql

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.dead_letters import RawBytes
from airflow_provider_genesys.sinks.postgres.replace_window import WriteMode
from airflow_provider_genesys.sinks.postgres.staging import Publish
from airflow_provider_genesys.sinks.postgres.tables.columns import check_names
from airflow_provider_genesys.sinks.postgres.tables.partitions import Partitions


@dataclass(frozen=True)
class PostgresSettings:
    """The settings that a user gives; see :class:`.postgres.sink.PostgresSink`.

    :raises ConfigurationError: a name or a mode is not valid.
    """

    schema: str
    table: str
    create_table: bool
    create_schema: bool
    write_mode: WriteMode
    publish: Publish
    raw_column: bool
    allow_raw_pii: bool
    child_tables: bool
    partitions: Partitions | None
    raw_bytes: RawBytes
    commit_rows: int

    def __post_init__(self) -> None:
        check_names(self.schema, self.table)
        modes = (("write_mode", self.write_mode, WriteMode), ("publish", self.publish, Publish))
        for name, value, known in modes:
            if value not in get_args(known):
                raise ConfigurationError(f"{name} is one of {', '.join(get_args(known))}, not {value!r}.")

    @property
    def full_name(self) -> str:
        """``schema.table``, for ledger and messages."""
        return f"{self.schema}.{self.table}"

    @property
    def identifier(self) -> sql.Identifier:
        """The table, for statements."""
        return sql.Identifier(self.schema, self.table)
