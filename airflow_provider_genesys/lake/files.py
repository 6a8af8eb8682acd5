"""Makes the entries of a table's manifests from the parts of a load. Of each part only the footer is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.utils.datetime import datetime_to_micros

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.lake.schema import WINDOW
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.read_through import StoredFile


@dataclass(frozen=True)
class WindowFiles:
    """The files that a table has of a load's window: what the load replaces.

    :param deleted: whether other files of the table delete rows of them.
    """

    files: dict[str, DataFile]
    deleted: bool

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return sum(file.record_count for file in self.files.values())


def held_by(table: Table, name: str, load: Load) -> WindowFiles:
    """Return the files of the load's window, or of shorter windows inside it; for a listing, all files.

    :raises SinkRefusedError: a window of the table overlaps that of the load, and neither is in the other.
    """
    if load.self_asked:
        tasks = list(table.scan().plan_files())
    else:
        tasks = list(table.scan(row_filter=_overlapping(load)).plan_files())
        _check_inside(tasks, name, load)
    return WindowFiles({task.file.file_path: task.file for task in tasks}, any(task.delete_files for task in tasks))


def data_files(
    store: ObjectStore, root: str, parts: Iterable[Part], load: Load, metadata: TableMetadata
) -> list[DataFile]:
    """Return the entries of ``parts`` in a table's manifests.

    :param root: URL of the bucket, as readers of the table know it.
    """
    window = Record(datetime_to_micros(load.window_start), datetime_to_micros(load.window_end))
    return [_data_file(store, root, part, window, metadata) for part in parts]


def _data_file(store: ObjectStore, root: str, part: Part, window: Record, metadata: TableMetadata) -> DataFile:
    statistics = data_file_statistics_from_parquet_metadata(
        pq.read_metadata(StoredFile(store, part.key, part.bytes, etag=part.etag)),
        compute_statistics_plan(metadata.schema(), metadata.properties),
        parquet_path_to_id_mapping(metadata.schema()),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"{root}/{part.key}",
        file_format=FileFormat.PARQUET,
        partition=window,
        file_size_in_bytes=part.bytes,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _overlapping(load: Load) -> str:
    start, end = WINDOW
    return f"{start} < '{load.window_end.isoformat()}' AND {end} > '{load.window_start.isoformat()}'"


def _check_inside(tasks: Iterable[FileScanTask], name: str, load: Load) -> None:
    low, high = datetime_to_micros(load.window_start), datetime_to_micros(load.window_end)
    for task in tasks:
        start, end = task.file.partition[0], task.file.partition[1]
        if not low <= start <= end <= high:
            raise SinkRefusedError(
                f"The Iceberg table {name} has a window that overlaps {load.window_start} to {load.window_end} and is "
                f"not inside it (its file {task.file.file_path}). Load windows that do not overlap, or remove "
                f"the rows with {_overlapping(load)} from the table."
            )
