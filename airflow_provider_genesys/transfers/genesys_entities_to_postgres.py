"""Load a listing of entities into PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_genesys.tasks.rendered import flag, limit, place, text
from airflow_provider_genesys.transfers.entities import GenesysEntitiesOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import PostgresLoader
from airflow_provider_genesys.window import absent

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.sink import Sink


class GenesysEntitiesToPostgresOperator(GenesysEntitiesOperator, PostgresLoader):
    """Load a listing into a PostgreSQL table, one row per entity, one snapshot per run.

    The snapshot is loaded into a staging table and published in one transaction, which also marks deleted entities. See
    ``docs/entities.md``. For the other parameters see :class:`.entities.GenesysEntitiesOperator` and
    :class:`.genesys_to_postgres.GenesysExportToPostgresOperator`.

    :param table: name of the table; None for the name of the listing. (templated)
    :param deletes: what to do with the row of a deleted entity: ``mark`` (set ``_deleted_at``), ``remove`` or ``keep``.
        If the entity comes back, ``_deleted_at`` is cleared.
    :param history: keep each version of an entity in ``<table>_history``, from ``_valid_from`` to ``_valid_to``.
    :param max_deleted_ratio: share of the entities, 0 to 1, that may be deleted at once. If there are more, the task
        fails and the table is not changed. (templated)
    """

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysEntitiesOperator.template_fields, *PostgresLoader.template_fields, "max_deleted_ratio"))
    )

    def __init__(
        self,
        *,
        table: str | None = None,
        deletes: Literal["mark", "remove", "keep"] = "mark",
        history: bool = False,
        max_deleted_ratio: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(table=table, **kwargs)
        self.deletes = deletes
        self.history = history
        self.max_deleted_ratio = max_deleted_ratio

    @classmethod
    def _refused(cls) -> Sequence[str]:
        return (*super()._refused(), "publish", "write_mode", "partition_by", "child_tables")

    def table_name(self) -> str:
        """Return the table's name; by default that of the listing."""
        return place(self.schema, self.listing().name if absent(self.table) else self.table)[1]

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.postgres.snapshots import Snapshots, SnapshotSink

        listing, ratio = self.listing(), limit(self.max_deleted_ratio, "max_deleted_ratio", float)
        return SnapshotSink(
            self.connect,
            self.table_name(),
            Snapshots(self.deletes, self.history, 1.0 if ratio is None else ratio, listing.volatile),
            schema=text(self.schema, "schema"),
            create_table=flag(self.create_table, "create_table"),
            create_schema=self.create_schema,
            raw_column=self.raw_column,
            allow_raw_pii=self.allow_raw_pii,
            dead_letter_raw=self.dead_letter_raw,
            encrypt=self.encrypt,
        )
