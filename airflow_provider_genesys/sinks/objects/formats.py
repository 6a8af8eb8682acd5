"""Rows as bytes: one JSON object to a line, plain or packed with gzip. Parquet: :mod:`.parquet`."""

from __future__ import annotations

from typing import Literal

from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.form import Rows, Table
from airflow_provider_genesys.sinks.objects.ndjson import GzipBlocks, Lines, Plain

OutputFormat = Literal["ndjson.gz", "ndjson", "parquet"]


def rows_of(output_format: OutputFormat, load: Load, contract: Table) -> Rows:
    """Return what makes a part of the rows of a contract, or of a child of it; the format is also the parts' extension.

    :raises MissingExtraError: a package that the format needs is not installed.
    """
    if output_format == "parquet":
        from airflow_provider_genesys.sinks.objects.parquet import ParquetRows

        return ParquetRows(load, contract)
    return Lines(contract, GzipBlocks() if output_format == "ndjson.gz" else Plain())
