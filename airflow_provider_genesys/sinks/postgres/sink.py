"""PostgreSQL as a sink: each batch, its dead letters and its checkpoint in one transaction.

A batch is copied into a temporary table and upserted from there. Only the data outlives the transaction, so it
works behind pgbouncer in transaction mode. ``docs/postgres.md`` shows the tables and the rights that are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airflow_provider_genesys.exceptions import MissingExtraError

try:
    import psycopg  # noqa: F401 - the modules below need it
except ImportError as error:
    raise MissingExtraError(
        "Loading into PostgreSQL needs psycopg 3. Run: pip install 'airflow-provider-genesys[postgres]'"
    ) from error

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRaw, RawBytes
from airflow_provider_genesys.sinks.postgres.attempt import Attempt
from airflow_provider_genesys.sinks.postgres.replace_window import WriteMode
from airflow_provider_genesys.sinks.postgres.session import Connection, Session
from airflow_provider_genesys.sinks.postgres.settings import PostgresSettings
from airflow_provider_genesys.sinks.postgres.staging import Publish
from airflow_provider_genesys.sinks.postgres.tables.of_load import Tables
from airflow_provider_genesys.sinks.postgres.tables.partitions import PartitionBy, Partitions


class PostgresSink:
    """Loads into one table, with ``genesys_ledger`` and ``genesys_dead_letters`` beside it in the same schema.

    :param connect: opens a connection (psycopg 3); called again after each failure.
    :param table: name of the table, without schema.
    :param create_table: create missing tables. With False, or without the right, the error holds the SQL to run.
    :param create_schema: also create a missing schema.
    :param partition_by: ``day`` or ``month``: create the table partitioned by the contract's timestamp, and the
        partitions of a load's window as it opens. None if the table has no partitions, or others create them.
    :param write_mode: ``upsert``, or ``replace_window``: remove the older rows of the load's window as it completes.
    :param publish: ``batches``: rows appear batch by batch; ``atomic``: all at once, as the load completes.
    :param raw_column: keep each record's original JSON in the column ``_raw``.
    :param child_tables: write the contract's children to separate tables, beside the table.
    :param allow_raw_pii: allow ``raw_column`` though the contract protects personal data, which ``_raw`` has in clear.
    :param dead_letter_raw: what is stored of a dead letter's bytes: encrypted, as they are, or nothing.
    :param encrypt: for ``dead_letter_raw="encrypt"``.
    :param commit_rows: records after which a transaction is committed; it is earlier after a second, or 4 MiB. With 1
        each batch is committed by itself.
    :param retries: how often a batch is tried again after connection loss, deadlock, timeout or shutdown.
    :param retry_wait: seconds before the first retry; doubled for each further one, with jitter.
    """

    cut_every: int | None = None

    def __init__(  # noqa: PLR0913 - what a user may set, as keywords
        self,
        connect: Callable[[], Connection],
        table: str,
        *,
        schema: str = "public",
        create_table: bool = True,
        create_schema: bool = False,
        partition_by: PartitionBy | None = None,
        write_mode: WriteMode = "upsert",
        publish: Publish = "batches",
        raw_column: bool = False,
        allow_raw_pii: bool = False,
        child_tables: bool = True,
        dead_letter_raw: DeadLetterRaw = "encrypt",
        encrypt: Callable[[bytes, bytes], bytes] | None = None,
        commit_rows: int = 2000,
        retries: int = 3,
        retry_wait: float = 1.0,
    ) -> None:
        self._settings = PostgresSettings(
            schema=schema,
            table=table,
            create_table=create_table,
            create_schema=create_schema,
            write_mode=write_mode,
            publish=publish,
            raw_column=raw_column,
            allow_raw_pii=allow_raw_pii,
            child_tables=child_tables,
            partitions=Partitions(schema, table, partition_by) if partition_by else None,
            raw_bytes=RawBytes(dead_letter_raw, encrypt),
            commit_rows=commit_rows,
        )
        self._session = Session(connect, retries=retries, retry_wait=retry_wait)
        self._attempt: Attempt | None = None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """See :meth:`Sink.open`. Unfinished loads of this export with another contract are fenced, and start again."""
        self._attempt = self._attempt_at(load, restart=restart)
        return self._attempt.claim.checkpoint

    @property
    def processed_at(self) -> str | None:
        """See :attr:`Sink.processed_at`."""
        return self._opened.claim.processed_at

    def write(self, batch: Batch) -> Checkpoint | None:
        """See :meth:`Sink.write`. Rows that PostgreSQL refuses are rejected in the transaction of their batch."""
        return self._opened.write(batch)

    def flush(self) -> Checkpoint | None:
        """See :meth:`.sink.GatheringSink.flush`."""
        return self._opened.flush()

    def finish(self, certificate: Certificate) -> Certificate:
        """See :meth:`Sink.finish`. The certificate's one part tells how many of the load's rows the table holds."""
        final = self._opened.finish(certificate)
        self._session.close()
        return final

    def amend(self, certificate: Certificate) -> None:
        """See :meth:`.sink.AmendingSink.amend`: one statement."""
        self._opened.amend(certificate)
        self._session.close()

    def join(self, load: Load, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """See :meth:`.sink.JoiningSink.join`: one transaction."""
        attempt = self._opened
        joint = self._session.retried(lambda: attempt.join(joined), f"export {load.export_id}, joining its shards")
        self._session.close()
        return joint

    def abort(self) -> None:
        """See :meth:`Sink.abort`."""
        if self._attempt:
            self._attempt.abort()
        self._session.close()

    @property
    def _opened(self) -> Attempt:
        if self._attempt is None:
            raise RuntimeError("The sink is not open.")
        return self._attempt

    def _attempt_at(self, load: Load, *, restart: bool) -> Attempt:
        return Attempt(self._session, self._settings, Tables(self._settings, load), load, restart=restart)
