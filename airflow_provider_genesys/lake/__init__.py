"""Iceberg tables over the Parquet parts of a load: one commit in a catalog for each window."""
