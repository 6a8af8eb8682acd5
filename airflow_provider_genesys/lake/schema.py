"""The columns of a table: made from a contract, with comments, and compared with those of an existing table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, TableProperties, Transaction
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from airflow_provider_genesys.contracts.column import Column, ColumnType
from airflow_provider_genesys.exceptions import SinkRefusedError

WINDOW = ("_window_start", "_window_end")
"""The columns that a table is partitioned by. They are not in the files; Iceberg keeps their values with each file."""

_TYPES: dict[ColumnType, IcebergType] = {
    "string": StringType(),
    "integer": LongType(),
    "number": DoubleType(),
    "decimal": StringType(),
    "boolean": BooleanType(),
    "timestamp": TimestamptzType(),
    "uuid": StringType(),
    "json": StringType(),
}
_SQL: dict[IcebergType, str] = {
    StringType(): "string",
    LongType(): "bigint",
    DoubleType(): "double",
    BooleanType(): "boolean",
    TimestamptzType(): "timestamp",
}
_WIDENED = {(IntegerType(), LongType()), (FloatType(), DoubleType())}
"""Changes of a type that Iceberg allows, from and to."""


def schema_of(columns: Sequence[Column]) -> Schema:
    """Return the schema of a new table. Field ids count from 1 in the order of ``columns``; the window's come last.

    Every column may be null, since a contract that evolves may let it be.
    """
    fields = [
        NestedField(number, column.name, _TYPES[column.type], required=False, doc=column.description or None)
        for number, column in enumerate(columns, start=1)
    ]
    doc = "of the window that the row was loaded with, UTC"
    window = [
        NestedField(number, name, TimestamptzType(), required=False, doc=f"{name.removeprefix('_window_')} {doc}")
        for number, name in enumerate(WINDOW, start=len(fields) + 1)
    ]
    return Schema(*fields, *window)


def spec_of(schema: Schema) -> PartitionSpec:
    """Return the partitions of a new table: its window."""
    return PartitionSpec(
        *(
            PartitionField(
                schema.find_field(name).field_id, PARTITION_FIELD_ID_START + place, IdentityTransform(), name
            )
            for place, name in enumerate(WINDOW)
        )
    )


def properties_of(schema: Schema) -> dict[str, str]:
    """Return the properties of a new table. The parts have no field ids: their columns are found by name."""
    return {TableProperties.DEFAULT_NAME_MAPPING: schema.name_mapping.model_dump_json()}


def check_table(table: Table, name: str, columns: Sequence[Column], *, may_add: bool) -> None:
    """Raise :class:`SinkRefusedError` if ``table`` cannot hold ``columns``. The message says what to run.

    :param may_add: whether columns that the table lacks are added later.
    """
    held = {field.name: field for field in table.schema().fields}
    by = {table.schema().find_column_name(field.source_id): field.transform for field in table.spec().fields}
    if list(by.items()) != [(window, IdentityTransform()) for window in WINDOW]:
        raise SinkRefusedError(
            f"The Iceberg table {name} is not partitioned by {' and '.join(WINDOW)}, so no window of it can be "
            "replaced. Publish to a table that this package creates (create=True)."
        )
    for column in columns:
        if column.name in held:
            _check_type(name, held[column.name], _TYPES[column.type])
    missing = lacking(table, columns)
    if missing and not may_add:
        added = ", ".join(f"`{column.name}` {_SQL[_TYPES[column.type]]}" for column in missing)
        raise _lacks(name, f"ALTER TABLE {name} ADD COLUMNS ({added})")
    own = {column.name for column in columns} | set(WINDOW)
    for field in held.values():
        if field.required and field.name not in own:
            raise _lacks(name, f"ALTER TABLE {name} ALTER COLUMN `{field.name}` DROP NOT NULL")


def lacking(table: Table | Transaction, columns: Iterable[Column]) -> list[Column]:
    """Return the ``columns`` that ``table`` does not have."""
    schema = table.schema() if isinstance(table, Table) else table.table_metadata.schema()
    held = set(schema.column_names)
    return [column for column in columns if column.name not in held]


def add_columns(transaction: Transaction, columns: Iterable[Column]) -> None:
    """Add what the table lacks, as a part of ``transaction``. Field ids of other columns stay."""
    missing = lacking(transaction, columns)
    if missing:
        with transaction.update_schema() as update:
            for column in missing:
                update.add_column((column.name,), _TYPES[column.type], doc=column.description or None)


def _check_type(table: str, field: NestedField, wanted: IcebergType) -> None:
    if field.field_type == wanted:
        return
    run = (
        f"Run: ALTER TABLE {table} ALTER COLUMN `{field.name}` TYPE {_SQL[wanted]}"
        if (field.field_type, wanted) in _WIDENED
        else "Iceberg cannot change the one into the other: publish to another table, or give the column another name "
        "in the contract"
    )
    raise SinkRefusedError(
        f"The column {field.name!r} of the Iceberg table {table} is of type {field.field_type}, and the load has "
        f"{wanted}. {run}; then clear the task with on_clear='resume'."
    )


def _lacks(table: str, statement: str) -> SinkRefusedError:
    return SinkRefusedError(
        f"The Iceberg table {table} does not fit the contract, and create is off. Have its owner run: {statement}; "
        "then clear the task with on_clear='resume'."
    )
