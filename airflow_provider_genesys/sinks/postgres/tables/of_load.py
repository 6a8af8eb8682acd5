"""All tables that one load writes to: creates them if allowed, checks them, and rehearses the load."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from airflow_provider_genesys.contracts.contract import Column, Contract
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.dead_letters import DeadLetters
from airflow_provider_genesys.sinks.postgres.fresh import Fresh
from airflow_provider_genesys.sinks.postgres.ledger import Ledger
from airflow_provider_genesys.sinks.postgres.replace_window import remove_older
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.settings import PostgresSettings
from airflow_provider_genesys.sinks.postgres.shards import Shards, check_options
from airflow_provider_genesys.sinks.postgres.staging import Staging
from airflow_provider_genesys.sinks.postgres.tables.children import children_of
from airflow_provider_genesys.sinks.postgres.tables.columns import column_names
from airflow_provider_genesys.sinks.postgres.tables.evolve import evolve
from airflow_provider_genesys.sinks.postgres.tables.relation import check_relation, is_watched
from airflow_provider_genesys.sinks.postgres.tables.schema import (
    check,
    create_target,
    ensure,
    ensure_schema,
    find_key,
)
from airflow_provider_genesys.sinks.postgres.tables.table import Table
from airflow_provider_genesys.sinks.postgres.tables.target import Target
from airflow_provider_genesys.sinks.postgres.tables.types import near_columns, takes_binary

_RAW = Column("_raw", "@raw", "json", description="The record as it came")


class Tables:
    """The target of a load, and the tables beside it. Methods run in the transaction of the cursor that they are given.

    :raises ConfigurationError: the load cannot be written with these settings.
    """

    def __init__(self, settings: PostgresSettings, load: Load) -> None:
        check_options(load, settings.publish)
        self._settings = settings
        self.contract = self.widened(load.contract)
        schema, table, publish = settings.schema, settings.table, settings.publish
        self.identifier = settings.identifier
        self.ledger = Ledger(schema, table, load, settings.write_mode, publish)
        self.shards = Shards(self.ledger.identifier, settings.full_name, load)
        modes = (settings.write_mode, publish) if settings.child_tables else None
        self.children = children_of(schema, table, load, modes)
        self.staging = Staging(schema, table, load)
        self.dead_letters = DeadLetters(schema, table, load, settings.raw_bytes)

    def widened(self, contract: Contract) -> Contract:
        """Return the contract with the further columns of the table."""
        return _with_raw(contract, allow_pii=self._settings.allow_raw_pii) if self._settings.raw_column else contract

    def widened_batch(self, batch: Batch) -> Batch:
        """Return the batch with the values of these columns."""
        return _batch_with_raw(batch) if self._settings.raw_column else batch

    def prepare(self, cursor: Cursor, load: Load) -> None:
        """Create missing tables, and check the others.

        :raises SinkRefusedError: a table does not fit, or cannot be created; the message holds the SQL.
        """
        create = self._settings.create_table
        if self._settings.create_schema:
            ensure_schema(cursor, self._settings.schema)
        for own in (self.ledger, self.dead_letters):
            own.table.ensure(cursor, load, create=create)
        check_relation(cursor, self.identifier, deletes=self._settings.write_mode == "replace_window")
        contract, partitions = self.contract, self._settings.partitions
        definition = partitions.create_target(contract) if partitions else create_target(self.identifier, contract)
        check(self.identifier, contract, load, ensure(cursor, self.identifier, definition, create=create))
        if partitions:
            partitions.ensure(cursor, load.window_start, load.window_end, create=create)

    def cannot_continue(self, cursor: Cursor) -> bool:
        """Return whether the table beside the target is gone, or has columns that this attempt would not publish."""
        evolves = "evolve" in asdict(self.contract.modes).values()
        return self._settings.publish == "atomic" and (evolves or not self.staging.exists(cursor))

    def forget(self, cursor: Cursor) -> None:
        """Remove tables that earlier attempts left beside the target: the load starts again."""
        self.dead_letters.forget(cursor)
        self.staging.drop(cursor)
        self.shards.withdraw(cursor)

    def target(self, cursor: Cursor) -> Target:
        """Return the load's target. If the load lands beside it, that table exists from then on."""
        key = find_key(cursor, self.identifier, self.contract)
        target = self._as_it_is(cursor, Target(self.identifier, self.ledger.identifier, self.contract, key))
        if self._settings.publish == "atomic" and not self.staging.exists(cursor):
            self.staging.create(cursor, target)
        return target

    def written(self, target: Target, lineage: dict[str, Any]) -> Table:
        """Return the table that batches are written to: the target, or the one beside it."""
        staged = self._settings.publish == "atomic"
        return Table(self.staging.in_place_of(target) if staged else target, lineage)

    def fresh(self, cursor: Cursor) -> Fresh:
        """Return what reads new rows of the table that batches are written to."""
        return Fresh(cursor, self.staging.identifier if self._settings.publish == "atomic" else self.identifier)

    def rehearse(self, cursor: Cursor, target: Target, load: Load, lineage: dict[str, Any]) -> None:
        """Run the load's statements on no rows: a missing right is an error before anything is downloaded."""
        self.dead_letters.rehearse(cursor)
        self.written(target, lineage).rehearse(cursor)
        if self._settings.publish == "atomic":
            Table(target, lineage).rehearse(cursor)
        if self._settings.write_mode == "replace_window":
            remove_older(cursor, target, load, lineage, rehearse=True)
        self.children.prepare(cursor, create=self._settings.create_table)

    def evolve(self, cursor: Cursor, target: Target, contract: Contract) -> Target:
        """Add the contract's new columns to the target and the table beside it. Return the new target."""
        evolve(cursor, self.identifier, contract, allowed=self._settings.create_table)
        if self._settings.publish == "atomic":
            evolve(cursor, self.staging.identifier, contract, allowed=True)
        return self._as_it_is(cursor, replace(target, contract=contract))

    def check_unchanged(self, cursor: Cursor, target: Target) -> None:
        """Check that the target takes rows as it did when the load was opened, or last evolved.

        :raises SinkRefusedError: somebody has altered it meanwhile.
        """
        check_relation(cursor, self.identifier)
        now = self._as_it_is(cursor, target)
        if (find_key(cursor, self.identifier, target.contract), now.near) != (target.key, target.near):
            raise SinkRefusedError(
                f"The key or the types of {self.identifier.as_string()} were changed while a load wrote there: it may "
                "hold other values than the records have. Clear the task with on_clear='restart' to load them again."
            )

    def _as_it_is(self, cursor: Cursor, target: Target) -> Target:
        near = near_columns(cursor, self.identifier, target.contract)
        return replace(
            target,
            near=near,
            takes_binary=takes_binary(cursor, self.identifier, target.contract),
            watched=is_watched(cursor, self.identifier),
        )


def _check_pii(contract: Contract, *, allowed: bool) -> None:
    """Raise :class:`ConfigurationError` if whole records would be kept although the contract protects data."""
    guarded = [c.name for c in (*contract.columns, *contract.dropped) if c.pii != "keep" or c.pii_inside]
    if guarded and not allowed:
        raise ConfigurationError(
            f"raw_column=True would store personal data that contract {contract.name} keeps out of the table: "
            f"{', '.join(guarded)} would be in the column _raw in clear. Leave raw_column out, or allow it by "
            "allow_raw_pii=True."
        )


def _with_raw(contract: Contract, *, allow_pii: bool) -> Contract:
    """Return the contract with the column for the record.

    :raises ConfigurationError: records hold data that the contract protects.
    :raises ContractError: it has a column of that name.
    """
    _check_pii(contract, allowed=allow_pii)
    if _RAW.name in column_names(contract):
        raise ContractError(f"Contract {contract.name} has a column _raw, so raw_column=True has no place for its own.")
    return contract.evolved([_RAW])


def _batch_with_raw(batch: Batch) -> Batch:
    """Return the batch with each row's record at its end."""
    rows = [(*row, raw) for row, raw in zip(batch.rows, batch.raw(), strict=True)]
    return replace(batch, rows=rows, contract=batch.contract.evolved([_RAW]))
