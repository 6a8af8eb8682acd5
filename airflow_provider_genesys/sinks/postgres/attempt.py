"""One attempt at a load into PostgreSQL: batches, their dead letters and their checkpoint in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import psycopg

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import GenesysError, SinkRefusedError
from airflow_provider_genesys.failpoints import CHECKED, CLAIMING, COMMITTING, LANDED, PUBLISHED, WRITING, failpoint
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.background import Background, Sent
from airflow_provider_genesys.sinks.postgres.errors import is_of_a_row, is_transient
from airflow_provider_genesys.sinks.postgres.gathered import Gathered, Together
from airflow_provider_genesys.sinks.postgres.held import Claim, HeldRow
from airflow_provider_genesys.sinks.postgres.poison import search, with_records, without
from airflow_provider_genesys.sinks.postgres.replace_window import (
    NOTHING_REMOVED,
    Removed,
    exclusive_lock,
    remove_older,
    shared_lock,
)
from airflow_provider_genesys.sinks.postgres.session import Cursor, Session
from airflow_provider_genesys.sinks.postgres.settings import PostgresSettings
from airflow_provider_genesys.sinks.postgres.straight import Ready
from airflow_provider_genesys.sinks.postgres.tables.evolve import SHORT_WAIT
from airflow_provider_genesys.sinks.postgres.tables.of_load import Tables
from airflow_provider_genesys.sinks.postgres.tables.relation import RowsKeptOut
from airflow_provider_genesys.sinks.postgres.upsert import Landed, lineage
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.times import iso_time, now

# An earlier attempt may hang in its transaction; opening the load waits this long for it, once per try.
_WAIT = "SET LOCAL lock_timeout = '30s'"


class Attempt:
    """Holds a fence of the ledger, and the position of the load.

    Creating one claims the ledger: from then on every earlier attempt is fenced.
    """

    def __init__(
        self, session: Session, settings: PostgresSettings, tables: Tables, load: Load, *, restart: bool
    ) -> None:
        self._session = session
        self._settings = settings
        self._tables = tables
        self._load = load
        self._rules: Counter[str] = Counter()
        self._gathered = Gathered(settings.commit_rows)
        self._under_way: Background | None = None
        self.claim = session.retried(lambda: self._open(restart=restart), self._doing("opening it"))
        self._position = self.claim.checkpoint.position if self.claim.checkpoint else None

    def write(self, batch: Batch) -> Checkpoint | None:
        """Gather the batch; where that makes a commit due, begin it, or make it where each batch is to be committed.

        Only one commit is under way: the one before has ended, and its checkpoint is returned.
        """
        failpoint(WRITING)
        widened = self._tables.widened_batch(batch)
        before = self._settled() if self._under_way and self._under_way.has_ended else None
        while self._differs(widened.contract) and (committed := self.flush()):
            before = committed
        if not self._gathered.add(widened):
            return before
        if self._settings.commit_rows == 1 or widened.contract != self._target.contract:
            return self.flush()
        due, done = self._gathered.batches, self._under_way
        ready = self._ready(due.batch)
        before = self._settled() or before
        self._begin(ready if self._gathered.batches is due else None)
        del done  # not before: the server would wait while its rows are freed
        return before

    def flush(self) -> Checkpoint | None:
        """Commit what is gathered in one transaction; batch by batch where PostgreSQL refuses it.

        If a commit was under way, its checkpoint is returned, and the next call commits what is gathered.
        """
        return self._settled() or self._write_gathered(self._gathered.take())

    def abort(self) -> None:
        """Give up the commit under way. Never raises."""
        if self._under_way:
            self._session.cut()
            self._under_way.end()

    def _differs(self, contract: Contract) -> bool:
        """Whether batches that wait have other columns, so that they are committed first."""
        under_way = self._under_way.batches if self._under_way else []
        return any(batch.contract != contract for batch in (*under_way, *self._gathered.batches))

    def _ready(self, batch: Batch) -> Ready | None:
        """Pack the rows of the next commit. The server works on the one before meanwhile, and need not wait then."""
        connection = self._session.connection
        return self._table.ready(connection, batch.rows, batch.offsets) if connection else None

    def _begin(self, ready: Ready | None) -> None:
        """Begin to commit what is gathered, in the background."""
        batches = self._gathered.take()
        self._under_way = Background(batches, lambda sent: self._commit(batches.batch, {}, sent, ready))
        self._under_way.start()

    def _settled(self) -> Checkpoint | None:
        """Wait for the commit under way. If it fails, it is tried again here."""
        under_way, self._under_way = self._under_way, None
        return self._write_gathered(under_way.batches, [under_way.result]) if under_way else None

    def _write_gathered(self, batches: Together, begun: Sequence[Callable[[], Checkpoint]] = ()) -> Checkpoint | None:
        """Commit ``batches``.

        :param begun: the first try, if it has begun.
        """
        if len(batches) > 1 or begun:
            first = list(begun)
            committed = self._session.retried(
                lambda: self._write_all(batches.batch, first), self._doing_batch(batches.batch)
            )
            if committed:
                self._position = committed.position
                return committed
        return self._write_each(batches)

    def _write_all(self, batch: Batch, begun: list[Callable[[], Checkpoint]]) -> Checkpoint | None:
        """Commit several batches as one; None where that is refused, and nothing is written."""
        try:
            if begun:
                return begun.pop()()
            self._evolve(batch.contract)
            return self._commit(batch, {})
        except psycopg.Error as error:
            if is_transient(error) and not is_of_a_row(error):
                raise
            return None

    def _write_each(self, batches: list[Batch]) -> Checkpoint | None:
        """Commit one batch after the other; what follows a failed one is gathered again, if something was committed.

        So the caller learns of every commit before it gets the error, which the next flush raises.
        """
        committed: Checkpoint | None = None
        for place, batch in enumerate(batches):
            try:
                committed = self._write_one(batch)
            except GenesysError:
                if committed is None:
                    raise
                self._gathered.put_back(batches[place:])
                break
        return committed

    def _write_one(self, batch: Batch) -> Checkpoint:
        """Commit one batch; rows that PostgreSQL refuses are rejected in the same transaction."""
        poison: dict[int, DeadLetter] = {}
        checkpoint = self._session.retried(lambda: self._write(batch, poison), self._doing_batch(batch))
        self._position = checkpoint.position
        self._rules.update(letter.rule for letter in poison.values())
        return checkpoint

    def finish(self, certificate: Certificate) -> Certificate:
        """Publish the rows beside the table, compare the account with the table, and mark the load complete."""
        while self.flush():
            pass
        return self._session.retried(lambda: self._finish(certificate), self._doing("completing it"))

    def amend(self, certificate: Certificate) -> None:
        """Replace the certificate of the complete load; see :meth:`.sink.AmendingSink.amend`."""

        def amended() -> None:
            with self._session.transaction() as cursor:
                self._tables.ledger.amend(cursor, certificate, self.claim.fence)

        self._session.retried(amended, self._doing("adding to its certificate"))

    def join(self, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """Mark the load complete if all its shards are."""
        with self._session.transaction() as cursor:
            return self._tables.shards.join(cursor, joined)

    def _open(self, *, restart: bool) -> Claim:
        tables = self._tables
        with self._session.transaction() as cursor:
            cursor.execute(_WAIT)
            tables.prepare(cursor, self._load)
            claim = tables.ledger.claim(cursor, restart=restart or tables.cannot_continue(cursor))
            if claim.checkpoint is None:
                tables.forget(cursor)
            self._load = replace(self._load, submitted_at=claim.submitted_at)
            self._dead_letters = tables.dead_letters.of(self._load)
            self._lineage = lineage(self._load, self._settings.full_name, claim.begun_at)
            self._target = tables.target(cursor)
            self._table = tables.written(self._target, self._lineage)
            self._fresh = tables.fresh(cursor)
            tables.rehearse(cursor, self._target, self._load, self._lineage)
            failpoint(CLAIMING)
        return claim

    def _write(self, batch: Batch, poison: dict[int, DeadLetter]) -> Checkpoint:
        self._evolve(batch.contract)
        while True:
            try:
                return self._commit(batch, poison)
            except psycopg.Error as error:
                if isinstance(error, RowsKeptOut) and error.all_of_several:
                    raise SinkRefusedError(f"Export {self._load.export_id}: {error}. Then clear the task.") from None
                if not is_of_a_row(error) or not (found := self._search(batch, poison)):
                    raise
                if is_transient(error) and len(found) + len(poison) == len(batch.offsets):
                    raise  # a trigger raises it for every row: no row is to blame
                poison.update(found)

    def _evolve(self, contract: Contract) -> None:
        """Let the table take the contract's new columns, in a separate transaction, since readers wait."""
        if contract == self._target.contract:
            return
        ledger = self._tables.ledger
        with self._session.transaction(SHORT_WAIT, ledger.lock) as cursor:
            ledger.held(cursor, self.claim.fence)
            target = self._tables.evolve(cursor, self._target, contract)
        self._target = target
        self._table = self._tables.written(self._target, self._lineage)

    def _commit(
        self,
        batch: Batch,
        poison: dict[int, DeadLetter],
        sent: Sent = lambda: None,
        ready: Ready | None = None,
    ) -> Checkpoint:
        rows, offsets = without(batch, poison)
        ledger, lock = self._tables.ledger, shared_lock(self._settings.full_name)
        with self._session.transaction(lock, ledger.lock, *self._fresh.statements) as cursor:
            held = ledger.held(cursor, self.claim.fence)
            self._fresh.were_read(cursor)
            if held.checkpoint and held.position == batch.checkpoint.position:
                return held.checkpoint  # It landed on a former try, and only the answer to COMMIT was lost.
            if held.position != self._position:
                raise ledger.forgotten()
            overtaken = held.overtaken and self._settings.publish == "batches"
            table, now = self._table, held.now
            landed = Landed()
            if rows:
                landed = table.land(cursor, rows, offsets, loaded_at=now, overtaken=overtaken, sent=sent, ready=ready)
            failpoint(LANDED)
            child_rows = self._tables.children.replace(cursor, rows, offsets, landed.renewed)
            letters = [*batch.dead_letters, *poison.values()]
            if letters:
                self._dead_letters.keep(cursor, batch, letters)
            tally = Counts(batch.records, landed.written, len(letters), landed.duplicates)
            checkpoint = self._checkpoint(batch, held.counts + tally, poison)
            ledger.advance(cursor, checkpoint, held, landed, child_rows)
            failpoint(COMMITTING)
        return checkpoint

    def _search(self, batch: Batch, poison: dict[int, DeadLetter]) -> dict[int, DeadLetter]:
        rows, offsets = without(batch, poison)
        with self._session.transaction() as cursor, cursor.connection.transaction(force_rollback=True):
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            load, children = replace(self._load, contract=batch.contract), self._tables.children
            found = search(cursor, self._table, load, rows, offsets, children=children)
        return with_records(found, batch)

    def _checkpoint(self, batch: Batch, counts: Counts, poison: dict[int, DeadLetter]) -> Checkpoint:
        rules = Counter(batch.checkpoint.rules) + self._rules + Counter(letter.rule for letter in poison.values())
        checkpoint = replace(batch.checkpoint, fence=self.claim.fence, rules=dict(rules))
        return checkpoint.at(now(), counts, where=f"byte {batch.end} of {self._doing('a batch')}")

    def _finish(self, certificate: Certificate) -> Certificate:
        lock, ledger = exclusive_lock if self._removes else shared_lock, self._tables.ledger
        with self._session.transaction(lock(self._settings.full_name), ledger.lock) as cursor:
            held = ledger.held(cursor, self.claim.fence)
            if held.complete:
                return ledger.certificate(cursor)  # Only the answer to COMMIT was lost.
            if held.position != self._position:
                raise ledger.forgotten()
            self._tables.check_unchanged(cursor, self._target)
            landed = self._published(cursor, held)
            removed = self._removed(cursor)
            final = self._accounted(cursor, replace(certificate, duplicates="counted"), held, landed, removed)
            taken_over = Counter(held.taken_over) + landed.taken_over + removed.taken_over
            ledger.complete(cursor, final, self.claim.fence, taken_over)
            failpoint(CHECKED)
        return final

    @property
    def _removes(self) -> bool:
        """Whether the load removes rows when it completes, so that no other load may write meanwhile."""
        return self._settings.write_mode == "replace_window"

    def _removed(self, cursor: Cursor) -> Removed:
        return remove_older(cursor, self._target, self._load, self._lineage) if self._removes else NOTHING_REMOVED

    def _published(self, cursor: Cursor, held: HeldRow) -> Landed:
        """Publish the rows beside the table. Return the outcome of all rows of the load."""
        before = held.counts
        if self._settings.publish == "batches":
            return Landed(before.written, before.duplicates)
        landed = self._tables.staging.publish(
            cursor, self._target, self._lineage, written=before.written, overtaken=held.overtaken
        )
        failpoint(PUBLISHED)
        return replace(landed, duplicates=landed.duplicates + before.duplicates)

    def _accounted(
        self, cursor: Cursor, certificate: Certificate, held: HeldRow, landed: Landed, removed: Removed
    ) -> Certificate:
        ledger, full_name = self._tables.ledger, self._settings.full_name
        present, taken = ledger.audit(cursor, self.claim.begun_at)
        ledger.check(cursor, landed.written, present, taken)
        self._tables.children.check(cursor, self._lineage, held.child_rows, exact=not taken)
        self._dead_letters.check(cursor, held.counts.dead_letters)
        facts = {"rows": present, "taken_over": landed.written - present}
        facts |= {"removed": removed.rows} if self._settings.write_mode == "replace_window" else {}
        info = cursor.connection.info
        return certificate.accounted(
            replace(held.counts, written=landed.written, duplicates=landed.duplicates),
            rules=held.checkpoint.rules if held.checkpoint else {},
            location=f"postgresql://{info.host}:{info.port}/{info.dbname}/{full_name}",
            parts=[{"key": full_name, **facts}],
            submitted_at=iso_time(self._load.submitted_at),
            attempts=self.claim.attempts,
        )

    def _doing_batch(self, batch: Batch) -> str:
        return self._doing(f"bytes {batch.start} to {batch.end}, {batch.records} records")

    def _doing(self, what: str) -> str:
        return f"export {self._load.export_id} into {self._settings.full_name} ({what})"
