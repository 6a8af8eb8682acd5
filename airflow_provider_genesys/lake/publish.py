"""Publishes a load: in each table one commit takes the window's old files out and puts the new ones in.

The table's current snapshot decides whether the commit may be made, and the commit demands that the table is still at
that snapshot. If somebody else commits in between, this commit fails, and the table is loaded and judged again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeVar

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.failpoints import PUBLISHING, TABLE_COMMITTED, failpoint
from airflow_provider_genesys.lake.catalog import PASSING, described, explained
from airflow_provider_genesys.lake.change import Change
from airflow_provider_genesys.lake.commits import check_rank, inside, is_newer, newest
from airflow_provider_genesys.lake.files import held_by
from airflow_provider_genesys.lake.schema import check_table
from airflow_provider_genesys.lake.tables import IcebergTarget, load_or_create
from airflow_provider_genesys.retries import pause
from airflow_provider_genesys.sinks.objects.publish import Columns, Publication
from airflow_provider_genesys.stores.base import ObjectStore

log = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 20
"""How often a commit is tried while other commits come first or the catalog does not answer."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between two tries."""


class TablePublisher:
    """Implements :class:`.publish.Publisher` for Iceberg.

    :param connect: opens the catalog; called when it is first needed.
    :param root: returns the URL of the bucket with the parts, as readers of the tables know it.
    """

    def __init__(self, connect: Callable[[], Catalog], root: Callable[[], str], target: IcebergTarget) -> None:
        self._connect = connect
        self._root = root
        self._target = target

    @cached_property
    def _catalog(self) -> Catalog:
        return self._connect()

    def check(self, columns: Columns) -> None:
        """Compare the tables with the contract. Create missing ones if the target says so."""
        for child in columns:
            self._tried(self._target.name(child), partial(self._table, child, columns))

    def publish(self, store: ObjectStore, publication: Publication, confirm: Callable[[], None]) -> dict[str, str]:
        """Commit each table, that of the rows last: anyone who sees a row then finds its children."""
        published = {}
        for child in sorted(publication.columns, reverse=True):
            change = Change(store, publication, child, self._root())
            name = self._target.name(child)
            published[name] = str(self._tried(name, partial(self._publish, change, child, confirm)))
        return published

    def _publish(self, change: Change, child: str, confirm: Callable[[], None]) -> int:
        """Return the snapshot that has the load: a new one, or one that the table has already."""
        name, load = self._target.name(child), change.publication.load
        table = self._table(child, change.publication.columns)
        held, found = held_by(table, name, load), newest(table, load)
        if change.is_in(held, found):
            log.info("Export %s is in the Iceberg table %s already.", load.export_id, name)
            return found.snapshot_id if found else _current(table)
        if found and is_newer(found, held, change.publication, name):
            log.warning("A newer listing is in the Iceberg table %s already; it stays.", name)
            return found.snapshot_id
        for shorter in inside(table, load) if held.files else ():
            check_rank(shorter, load, name)
        confirm()
        failpoint(PUBLISHING)
        change.commit(table, held)
        failpoint(TABLE_COMMITTED)
        return _current(table)

    def _table(self, child: str, columns: Columns) -> Table:
        name = self._target.name(child)
        table = load_or_create(self._catalog, self._target, name, columns[child])
        check_table(table, name, columns[child], may_add=self._target.create)
        return table

    def _tried(self, name: str, action: Callable[[], T]) -> T:
        """Try until no other commit comes first and the catalog answers. A try finds a commit whose answer was lost."""
        for tries in range(TRIES):
            try:
                with explained(name):
                    return action()
            except PASSING as error:
                last = described(error)
                log.warning("The Iceberg table %s: %s. Trying again.", name, last)
                time.sleep(pause(tries, FIRST_PAUSE, LONGEST_PAUSE))
        raise SinkUnavailableError(
            f"The Iceberg table {name} took no commit in {TRIES} tries ({last}). The parts are all there, and the next "
            "try of the task commits them. If it lasts, look at the catalog, and at what else commits to the table."
        )


def _current(table: Table) -> int:
    snapshot = table.current_snapshot()
    return snapshot.snapshot_id if snapshot else 0
