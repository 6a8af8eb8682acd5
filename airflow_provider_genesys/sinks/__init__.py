"""Where records land: each module or package here is one sink. The names that an author of another sink needs.

:class:`Sink` says what a sink promises. ``objects`` is what every object store shares: parts, formats, ledger and
manifest; a store adds its requests to it.
"""

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.sink import JoiningSink, Sink
from airflow_provider_genesys.source.records import DeadLetter

__all__ = ["Batch", "Certificate", "Checkpoint", "Counts", "DeadLetter", "JoiningSink", "Load", "Sink"]
