"""PostgreSQL as a sink: each batch, its dead letters and its checkpoint in one transaction.

A batch is copied into a temporary table and upserted from there. Nothing but the data outlives the transaction, so it
works behind pgbouncer in transaction mode. ``docs/postgres.md`` shows the tables and the rights that are needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import get_args

from airflow_provider_genesys.exceptions import ConfigurationError, MissingExtraError

try:
    import psycopg
except ImportError as error:
    raise MissingExtraError(
        "Loading into PostgreSQL needs psycopg 3. Run: pip install 'airflow-provider-genesys[postgres]'"
    ) from error

from psycopg import sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.failpoints import CHECKED, CLAIMING, COMMITTING, PUBLISHED, WRITING, failpoint
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRaw, RawBytes
from airflow_provider_genesys.sinks.postgres.children import children_of
from airflow_provider_genesys.sinks.postgres.columns import check_names
from airflow_provider_genesys.sinks.postgres.dead_letters import DeadLetters
from airflow_provider_genesys.sinks.postgres.errors import is_of_a_row
from airflow_provider_genesys.sinks.postgres.evolve import SHORT_WAIT, evolve
from airflow_provider_genesys.sinks.postgres.ledger import Claim, HeldRow, Ledger
from airflow_provider_genesys.sinks.postgres.partitions import PartitionBy, Partitions
from airflow_provider_genesys.sinks.postgres.poison import search, with_records, without
from airflow_provider_genesys.sinks.postgres.raw import batch_with_raw, with_raw
from airflow_provider_genesys.sinks.postgres.schema import (
    check,
    create_target,
    ensure,
    ensure_own,
    ensure_schema,
    find_key,
)
from airflow_provider_genesys.sinks.postgres.session import Connection, Cursor, Session
from airflow_provider_genesys.sinks.postgres.shards import Shards, check_options
from airflow_provider_genesys.sinks.postgres.staging import Publish, Staging
from airflow_provider_genesys.sinks.postgres.table import Table
from airflow_provider_genesys.sinks.postgres.target import Target
from airflow_provider_genesys.sinks.postgres.types import near_columns
from airflow_provider_genesys.sinks.postgres.upsert import Landed, lineage
from airflow_provider_genesys.sinks.postgres.window import (
    NOTHING_REMOVED,
    Removed,
    WriteMode,
    exclusive_lock,
    remove_older,
    shared_lock,
)
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.times import iso_time

# A former attempt may hang in its transaction; anyone who opens the load waits that long for it, once per try. psycopg
# reads times in this style alone.
_SETTINGS = "SET LOCAL lock_timeout = '30s'; SET LOCAL datestyle = 'ISO'"


class PostgresSink:
    """Loads into one table, with ``genesys_ledger`` and ``genesys_dead_letters`` beside it in the same schema.

    :param connect: opens a connection (psycopg 3); called again after each failure.
    :param table: name of the table, without schema.
    :param create_table: create the tables that are not there. With False, and for a role that may not, the error
        holds the SQL to run.
    :param create_schema: create the schema, too, if it is not there.
    :param partition_by: ``day`` or ``month``: create the table partitioned by the contract's timestamp, and the
        partitions of a load's window as it opens. None for a table that is not, or whose partitions others create.
    :param write_mode: ``upsert``, or ``replace_window``: remove the older rows of the load's window as it completes.
    :param publish: ``batches``: rows appear batch by batch; ``atomic``: all at once, as the load completes.
    :param raw_column: keep each record as it came in the column ``_raw``.
    :param child_tables: write the contract's children to tables of their own, beside the table.
    :param allow_raw_pii: also where the contract drops, hashes or masks personal data, which is there in clear.
    :param dead_letter_raw: what is stored of a dead letter's bytes: encrypted, as they are, or nothing.
    :param encrypt: for ``dead_letter_raw="encrypt"``.
    :param retries: how often a batch is tried again after connection loss, deadlock, timeout or shutdown.
    :param retry_wait: seconds before the first retry; doubled, with jitter, for each one more.
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
        encrypt: Callable[[bytes], bytes] | None = None,
        retries: int = 3,
        retry_wait: float = 1.0,
    ) -> None:
        check_names(schema, table)
        for name, value, known in (("write_mode", write_mode, WriteMode), ("publish", publish, Publish)):
            if value not in get_args(known):
                raise ConfigurationError(f"{name} is one of {', '.join(get_args(known))}, not {value!r}.")
        self._raw_bytes = RawBytes(dead_letter_raw, encrypt)
        self._session = Session(connect, retries=retries, retry_wait=retry_wait)
        self._schema, self._name = schema, table
        self._full_name = f"{schema}.{table}"
        self._create_table = create_table
        self._create_schema = create_schema
        self._write_mode = write_mode
        self._publish = publish
        self._raw_column = raw_column
        self._allow_raw_pii = allow_raw_pii
        self._child_modes = (write_mode, publish) if child_tables else None
        self._partitions = Partitions(schema, table, partition_by) if partition_by else None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """See :meth:`Sink.open`. What of this export is unfinished by another contract is fenced, and starts again."""
        check_options(load, self._publish)
        self._load = load
        self._contract = self._widened(load.contract)
        self._identifier = sql.Identifier(self._schema, self._name)
        self._ledger = Ledger(self._schema, self._name, load, self._write_mode, self._publish)
        self._shards = Shards(self._ledger.identifier, self._full_name, load)
        self._children = children_of(self._schema, self._name, load, self._child_modes)
        self._staging = Staging(self._schema, self._name, load)
        self._dead_letters = DeadLetters(self._schema, self._name, load, self._raw_bytes)
        self._rules: Counter[str] = Counter()
        self._claim = self._session.retried(lambda: self._open(restart=restart), self._doing("opening it"))
        self._position = self._claim.checkpoint.position if self._claim.checkpoint else None
        return self._claim.checkpoint

    @property
    def processed_at(self) -> str | None:
        """See :attr:`Sink.processed_at`."""
        return self._claim.processed_at

    def write(self, batch: Batch) -> Checkpoint:
        """See :meth:`Sink.write`: one transaction. Rows that PostgreSQL refuses are set aside in the same one."""
        failpoint(WRITING)
        poison: dict[int, DeadLetter] = {}
        doing = self._doing(f"bytes {batch.start} to {batch.end}, {batch.records} records")
        checkpoint = self._session.retried(lambda: self._write(self._widened_batch(batch), poison), doing)
        self._position = checkpoint.position
        self._rules.update(letter.rule for letter in poison.values())
        return checkpoint

    def finish(self, certificate: Certificate) -> Certificate:
        """See :meth:`Sink.finish`. The certificate's one part tells how many of the load's rows the table holds."""
        final = self._session.retried(lambda: self._finish(certificate), self._doing("completing it"))
        self._session.close()
        return final

    def join(self, load: Load, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """See :meth:`.sink.JoiningSink.join`: one transaction."""
        joint = self._session.retried(lambda: self._join(joined), f"export {load.export_id}, joining its shards")
        self._session.close()
        return joint

    def abort(self) -> None:
        """See :meth:`Sink.abort`."""
        self._session.close()

    def _widened(self, contract: Contract) -> Contract:
        """Return the contract with the columns that the table has beside it."""
        return with_raw(contract, allow_pii=self._allow_raw_pii) if self._raw_column else contract

    def _widened_batch(self, batch: Batch) -> Batch:
        return batch_with_raw(batch) if self._raw_column else batch

    def _join(self, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        with self._session.transaction() as cursor:
            return self._shards.join(cursor, joined)

    def _open(self, *, restart: bool) -> Claim:
        with self._session.transaction() as cursor:
            cursor.execute(_SETTINGS)
            self._prepare_tables(cursor)
            claim = self._ledger.claim(cursor, restart=restart or self._cannot_continue(cursor))
            if claim.checkpoint is None:
                self._dead_letters.forget(cursor)
                self._staging.drop(cursor)
                self._shards.withdraw(cursor)
            self._load = replace(self._load, submitted_at=claim.submitted_at)
            self._lineage = lineage(self._load, self._full_name, claim.begun_at)
            self._dead_letters = self._dead_letters.of(self._load)
            self._target = self._find_target(cursor)
            if self._publish == "atomic" and not self._staging.exists(cursor):
                self._staging.create(cursor, self._target)
            self._table = self._table_for_batches()
            self._rehearse(cursor)
            failpoint(CLAIMING)
        return claim

    def _cannot_continue(self, cursor: Cursor) -> bool:
        """Tell whether what was loaded beside the table is gone, or has columns that this attempt would not publish."""
        evolves = "evolve" in asdict(self._contract.modes).values()
        return self._publish == "atomic" and (evolves or not self._staging.exists(cursor))

    def _rehearse(self, cursor: Cursor) -> None:
        """Run what the load will run, on no rows, so that what is not allowed shows before anything is downloaded."""
        self._dead_letters.rehearse(cursor)
        self._table.rehearse(cursor)
        if self._publish == "atomic":
            self._table.unstage(cursor)
            Table(self._target, self._lineage).rehearse(cursor)
        if self._write_mode == "replace_window":
            remove_older(cursor, self._target, self._load, self._lineage, rehearse=True)
        self._children.prepare(cursor, create=self._create_table)

    def _prepare_tables(self, cursor: Cursor) -> None:
        if self._create_schema:
            ensure_schema(cursor, self._schema)
        for own in (self._ledger, self._dead_letters):
            ensure_own(cursor, own.identifier, own.definition, self._load, create=self._create_table)
        self._prepare_target(cursor, create=self._create_table)

    def _find_target(self, cursor: Cursor) -> Target:
        key = find_key(cursor, self._identifier, self._contract)
        near = near_columns(cursor, self._identifier, self._contract)
        return Target(self._identifier, self._ledger.identifier, self._contract, key, near)

    def _table_for_batches(self) -> Table:
        staged = self._publish == "atomic"
        return Table(self._staging.in_place_of(self._target) if staged else self._target, self._lineage)

    def _prepare_target(self, cursor: Cursor, *, create: bool) -> None:
        contract, partitions = self._contract, self._partitions
        definition = partitions.create_target(contract) if partitions else create_target(self._identifier, contract)
        present = ensure(cursor, self._identifier, definition, create=create)
        check(self._identifier, contract, self._load, present)
        if partitions:
            partitions.ensure(cursor, self._load.window_start, self._load.window_end, create=create)

    def _write(self, batch: Batch, poison: dict[int, DeadLetter]) -> Checkpoint:
        if batch.contract != self._target.contract:
            self._evolve(batch.contract)
        while True:
            try:
                return self._commit(batch, poison)
            except psycopg.Error as error:
                if not is_of_a_row(error) or not (found := self._search(batch, poison)):
                    raise
                poison.update(found)

    def _evolve(self, contract: Contract) -> None:
        """Let the table take the contract's new columns, in a separate transaction: readers wait for that alone."""
        with self._session.transaction(SHORT_WAIT, self._ledger.lock) as cursor:
            self._ledger.held(cursor, self._claim.fence)
            evolve(cursor, self._identifier, contract, allowed=self._create_table)
            if self._publish == "atomic":
                evolve(cursor, self._staging.identifier, contract, allowed=True)
            near = near_columns(cursor, self._identifier, contract)
        self._target = self._target.evolved(contract, near)
        self._table = self._table_for_batches()

    def _commit(self, batch: Batch, poison: dict[int, DeadLetter]) -> Checkpoint:
        rows, offsets = without(batch, poison)
        with self._session.transaction(shared_lock(self._full_name), self._ledger.lock, self._table.stage) as cursor:
            held = self._ledger.held(cursor, self._claim.fence)
            if held.checkpoint and held.position == batch.checkpoint.position:
                return held.checkpoint  # It landed on a former try, and only the answer to COMMIT was lost.
            if held.position != self._position:
                raise self._ledger.forgotten()
            overtaken = held.overtaken and self._publish == "batches"
            landed = self._table.land(cursor, rows, offsets, overtaken=overtaken) if rows else Landed()
            self._children.replace(cursor, rows, offsets)
            letters = [*batch.dead_letters, *poison.values()]
            if letters:
                self._dead_letters.set_aside(cursor, batch, letters)
            tally = Counts(batch.records, landed.written, len(letters), landed.duplicates)
            checkpoint = self._checkpoint(batch, held.counts + tally, poison)
            self._ledger.advance(cursor, checkpoint, held, landed)
            failpoint(COMMITTING)
        return checkpoint

    def _search(self, batch: Batch, poison: dict[int, DeadLetter]) -> dict[int, DeadLetter]:
        rows, offsets = without(batch, poison)
        with self._session.transaction() as cursor, cursor.connection.transaction(force_rollback=True):
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            found = search(
                cursor,
                self._table,
                replace(self._load, contract=batch.contract),
                rows,
                offsets,
                children=self._children,
            )
        return with_records(found, batch)

    def _checkpoint(self, batch: Batch, counts: Counts, poison: dict[int, DeadLetter]) -> Checkpoint:
        rules = Counter(batch.checkpoint.rules) + self._rules + Counter(letter.rule for letter in poison.values())
        checkpoint = replace(batch.checkpoint, fence=self._claim.fence, rules=dict(rules))
        return checkpoint.at(datetime.now(timezone.utc), counts, where=f"byte {batch.end} of {self._doing('a batch')}")

    def _finish(self, certificate: Certificate) -> Certificate:
        lock = exclusive_lock if self._removes else shared_lock
        with self._session.transaction(lock(self._full_name), self._ledger.lock) as cursor:
            held = self._ledger.held(cursor, self._claim.fence)
            if held.complete:
                return self._ledger.certificate(cursor)  # Only the answer to COMMIT was lost.
            if held.position != self._position:
                raise self._ledger.forgotten()
            landed = self._published(cursor, held)
            removed = self._removed(cursor)
            final = self._accounted(cursor, replace(certificate, duplicates="counted"), held, landed, removed)
            taken_over = Counter(held.taken_over) + landed.taken_over + removed.taken_over
            self._ledger.complete(cursor, final, self._claim.fence, taken_over)
            failpoint(CHECKED)
        return final

    @property
    def _removes(self) -> bool:
        """Whether the load takes rows away as it completes, and no other one may write meanwhile."""
        return self._write_mode == "replace_window"

    def _removed(self, cursor: Cursor) -> Removed:
        return remove_older(cursor, self._target, self._load, self._lineage) if self._removes else NOTHING_REMOVED

    def _published(self, cursor: Cursor, held: HeldRow) -> Landed:
        """Publish what was loaded beside the table. Return what became of all rows of the load."""
        before = held.counts
        if self._publish == "batches":
            return Landed(before.written, before.duplicates)
        landed = self._staging.publish(
            cursor, self._target, self._lineage, written=before.written, overtaken=held.overtaken
        )
        failpoint(PUBLISHED)
        return replace(landed, duplicates=landed.duplicates + before.duplicates)

    def _accounted(
        self, cursor: Cursor, certificate: Certificate, held: HeldRow, landed: Landed, removed: Removed
    ) -> Certificate:
        present, taken = self._ledger.audit(cursor, self._claim.begun_at)
        self._ledger.check(landed.written, present, taken)
        facts = {"rows": present, "taken_over": landed.written - present}
        facts |= {"removed": removed.rows} if self._write_mode == "replace_window" else {}
        info = cursor.connection.info
        return certificate.accounted(
            replace(held.counts, written=landed.written, duplicates=landed.duplicates),
            rules=held.checkpoint.rules if held.checkpoint else {},
            location=f"postgresql://{info.host}:{info.port}/{info.dbname}/{self._full_name}",
            parts=[{"key": self._full_name, **facts}],
            submitted_at=iso_time(self._load.submitted_at),
            attempts=self._claim.attempts,
        )

    def _doing(self, what: str) -> str:
        return f"export {self._load.export_id} into {self._full_name} ({what})"
