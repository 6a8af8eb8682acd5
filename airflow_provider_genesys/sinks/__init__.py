"""The sinks: each module or package here is one. This module exports the names that an author of a sink needs.

:class:`Sink` says what a sink promises. ``objects`` has what all object stores share: parts, formats, ledger and
    manifest.
"""

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.sink import JoiningSink, Sink
from airflow_provider_genesys.source.records import DeadLetter

__all__ = ["Batch", "Certificate", "Checkpoint", "Counts", "DeadLetter", "JoiningSink", "Load", "Sink"]
