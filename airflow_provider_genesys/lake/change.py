"""The change that one load makes to one table: one commit, which fails if the table has changed meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import cast

import msgspec
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table, TableProperties

from airflow_provider_genesys.lake.catalog import Confirming
from airflow_provider_genesys.lake.commits import Committed, is_own, properties_of
from airflow_provider_genesys.lake.files import WindowFiles, data_files
from airflow_provider_genesys.lake.schema import add_columns
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.sinks.objects.publish import Publication
from airflow_provider_genesys.stores.base import ObjectStore


class Change:
    """Takes the window's files out of a table and puts the load's in.

    :param root: URL of the bucket with the parts, as readers of the table know it.
    """

    def __init__(self, store: ObjectStore, publication: Publication, child: str, root: str) -> None:
        self.publication = publication
        self._store = store
        self._root = root
        self._columns = publication.columns[child]
        self._parts: Sequence[Part] = publication.parts.get(child, ())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the manifest lists for this table: the key, rows and digest of each part."""
        listed = [(part.key, part.rows, part.sha256) for part in self._parts]
        return hashlib.sha256(msgspec.json.encode(listed)).hexdigest()

    def is_in(self, held: WindowFiles, found: Committed | None) -> bool:
        """Whether the table has this load already.

        The table's history says so. If the history has nothing of the window any more, the list of its files does.
        """
        if found is not None:
            return is_own(found, held, self.publication.load, self._rows, self.digest)
        paths = {f"{self._root}/{part.key}" for part in self._parts}
        return bool(paths) and held.files.keys() == paths and not held.deleted

    def commit(self, table: Table, held: WindowFiles) -> None:
        """Commit, once. Columns that the table lacks are added in the same commit.

        :raises CommitFailedException: the table is no longer as it was loaded.
        """
        # PyIceberg would try again without a new judgement. Only this copy of the metadata gets the property.
        once = {**table.metadata.properties, TableProperties.COMMIT_NUM_RETRIES: "0"}
        table.metadata = table.metadata.model_copy(update={"properties": once})
        table.catalog = cast("Catalog", Confirming(table.catalog))
        transaction = table.transaction()
        add_columns(transaction, self._columns)
        metadata = transaction.table_metadata
        kept = {} if held.deleted else held.files
        new = [part for part in self._parts if f"{self._root}/{part.key}" not in kept]
        stays = {f"{self._root}/{part.key}" for part in self._parts} & kept.keys()
        facts = properties_of(self.publication, self._rows, self.digest)
        with transaction.update_snapshot(snapshot_properties=facts).overwrite() as snapshot:
            for path in held.files.keys() - stays:
                snapshot.delete_data_file(held.files[path])
            for file in data_files(self._store, self._root, new, self.publication.load, metadata):
                snapshot.append_data_file(file)
        transaction.commit_transaction()

    @property
    def _rows(self) -> int:
        return sum(part.rows for part in self._parts)
