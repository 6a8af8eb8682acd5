"""Where the tables of a load are, and how a missing one is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.lake.schema import properties_of, schema_of, spec_of


@dataclass(frozen=True)
class IcebergTarget:
    """Where the tables are.

    :param namespace: with dots between its levels.
    :param table: the table of the rows; that of a child is ``<table>_<child>``.
    :param create: create tables that are missing, and add columns that they lack.
    :param location: URL below which new tables keep their metadata; None for the catalog's own choice.
    """

    namespace: str
    table: str
    create: bool = False
    location: str | None = None

    def name(self, child: str) -> str:
        """Return the full name of the table of the rows, for ``""``, or of a child."""
        return f"{self.namespace}.{'_'.join(filter(None, (self.table, child)))}"


def load_or_create(catalog: Catalog, target: IcebergTarget, name: str, columns: Sequence[Column]) -> Table:
    """Return the table of that name, with ``columns`` if it has to be created.

    :raises SinkRefusedError: there is none, and ``target`` does not say to create it.
    """
    try:
        return catalog.load_table(name)
    except NoSuchTableError:
        if not target.create:
            raise SinkRefusedError(
                f"There is no Iceberg table {name}. Set create=True in publish_to_iceberg, or check its name."
            ) from None
    catalog.create_namespace_if_not_exists(target.namespace)
    schema = schema_of(columns)
    location = f"{target.location.rstrip('/')}/{name.rpartition('.')[2]}" if target.location else None
    return catalog.create_table(name, schema, location, spec_of(schema), properties=properties_of(schema))
