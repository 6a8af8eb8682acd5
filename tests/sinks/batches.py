"""Loads and batches for the sinks' tests; they are shipped with the conformance suite."""

from airflow_provider_genesys.testing.sink_conformance.source import (
    DAY,
    LENGTH,
    PROCESSED_AT,
    make_batch,
    make_batches,
    make_certificate,
    make_checkpoint,
    make_dead_letter,
    make_load,
    recording_row,
)

__all__ = [
    "DAY",
    "LENGTH",
    "PROCESSED_AT",
    "make_batch",
    "make_batches",
    "make_certificate",
    "make_checkpoint",
    "make_dead_letter",
    "make_load",
    "recording_row",
]
