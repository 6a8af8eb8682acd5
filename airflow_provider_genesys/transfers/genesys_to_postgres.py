"""Load an export into PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import Context

from airflow_provider_genesys.hooks.clients import connect
from airflow_provider_genesys.tasks.handle import check_within
from airflow_provider_genesys.tasks.reconcile import SinkView, view_of_table
from airflow_provider_genesys.tasks.rendered import flag, limit, place, text
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from airflow_provider_genesys.transfers.loader import ExportLoader
from airflow_provider_genesys.window import absent

if TYPE_CHECKING:
    from psycopg import Connection

    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.pipeline.certificate import Certificate
    from airflow_provider_genesys.pipeline.sink import Sink


class PostgresLoader(ExportLoader):
    """Loads into a table; its parameters are those of :class:`GenesysExportToPostgresOperator`, except ``handle``."""

    template_fields: Sequence[str] = (
        *ExportLoader.template_fields,
        "table",
        "schema",
        "create_table",
        "postgres_conn_id",
    )

    def __init__(
        self,
        *,
        table: str,
        schema: str = "public",
        create_table: bool | str = True,
        create_schema: bool = False,
        partition_by: Literal["day", "month"] | None = None,
        write_mode: Literal["upsert", "replace_window"] = "upsert",
        publish: Literal["batches", "atomic"] = "batches",
        raw_column: bool = False,
        allow_raw_pii: bool = False,
        child_tables: bool = True,
        postgres_conn_id: str = "postgres_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.schema = schema
        self.create_table = create_table
        self.create_schema = create_schema
        self.partition_by = partition_by
        self.write_mode = write_mode
        self.publish = publish
        self.raw_column = raw_column
        self.allow_raw_pii = allow_raw_pii
        self.child_tables = child_tables
        self.postgres_conn_id = postgres_conn_id

    def table_name(self) -> str:
        """Return the name of the table."""
        return place(self.schema, self.table)[1]

    def fits(self, contract: Contract) -> None:
        """Check the names of the columns."""
        from airflow_provider_genesys.sinks.postgres.tables.columns import check_contract

        check_contract(contract)

    def evolution_sql(self, before: Contract, after: Contract) -> str:
        """Return the ``ALTER TABLE`` statements by which the table follows the contract."""
        from airflow_provider_genesys.sinks.postgres.tables.evolve import evolution_sql

        return evolution_sql(self.schema, self.table_name(), before, after)

    def letters_at(self, certificate: Certificate) -> str:
        """Return the query."""
        table = f'"{self.schema}".genesys_dead_letters'
        columns = "source_offset, stage, rule, message"
        return f"SELECT {columns} FROM {table} WHERE load_id = '{certificate.load_id}' AND state = 'open'"  # noqa: S608 - for people

    def sink_view(self, contract: Contract) -> SinkView | None:
        """Return the view of the table for its reconciliation."""
        return view_of_table(self.connect, text(self.schema, "schema"), self.table_name(), contract)

    def connect(self) -> Connection:
        """Open a connection."""
        return connect(text(self.postgres_conn_id, "postgres_conn_id"))

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.postgres.sink import PostgresSink

        return PostgresSink(
            self.connect,
            self.table_name(),
            schema=text(self.schema, "schema"),
            create_table=flag(self.create_table, "create_table"),
            create_schema=self.create_schema,
            partition_by=self.partition_by,
            write_mode=self.write_mode,
            publish=self.publish,
            raw_column=self.raw_column,
            allow_raw_pii=self.allow_raw_pii,
            child_tables=self.child_tables,
            dead_letter_raw=self.dead_letter_raw,
            encrypt=self.encrypt,
        )


class GenesysExportToPostgresOperator(PostgresLoader, GenesysExportTransferOperator):
    """Load an export into a PostgreSQL table, one row per record id.

    Each batch, its dead letters and its checkpoint are one transaction. See ``docs/postgres.md`` for the tables and
    the rights that are needed.

    For the other parameters see :class:`.base.GenesysExportTransferOperator`.

    :param table: name of the table. (templated)
    :param schema: schema of the table, its ledger and its dead letters. (templated)
    :param create_table: create missing tables. With False, no right to create is needed. (templated)
    :param create_schema: also create a missing schema.
    :param partition_by: ``day`` or ``month``: create the table partitioned by the contract's timestamp, and the
        partitions of each load's window. None for a table without partitions, or whose partitions are created
        elsewhere.
    :param write_mode: ``upsert``, or ``replace_window``: also remove older rows of the load's window when it completes.
    :param publish: ``batches``: rows appear batch by batch; ``atomic``: all at once, when the load completes.
    :param raw_column: keep each record's original JSON in the column ``_raw``.
    :param allow_raw_pii: allow ``raw_column`` even if the contract drops, hashes or masks personal data; ``_raw`` holds
        it in clear.
    :param child_tables: write the contract's children (of a conversation: participants, sessions, segments, metrics) to
        separate tables named ``<table>_<child>``.
    :param postgres_conn_id: the PostgreSQL connection. (templated)
    :param look_back_days: with ``replace_window``, how many days before the run's window the handle's window may begin.
        (templated)
    """

    template_fields: Sequence[str] = ("handle", "look_back_days", *PostgresLoader.template_fields)

    def __init__(self, *, look_back_days: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.look_back_days = look_back_days

    def find_handle(self, context: Context) -> dict[str, Any]:
        """Return the handle, with a window that ``replace_window`` may empty: the DAG or its run names it.

        :raises WindowError: only the handle does.
        """
        handle = super().find_handle(context)
        if self.write_mode == "replace_window" and absent(self.window_start):
            check_within(handle, context, limit(self.look_back_days, "look_back_days", int) or 0)
        return handle
