"""Which module serves which kind of export."""

from __future__ import annotations

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports import aggregates, details, recording_jobs, recordings
from airflow_provider_genesys.cloud.exports.base import ExportFamily
from airflow_provider_genesys.exceptions import ConfigurationError


def family(kind: str, config: CloudConfig) -> ExportFamily:
    """Return the family that ``kind`` names.

    :raises ConfigurationError: there is no such kind; the message lists all.
    """
    every: list[ExportFamily] = [
        recordings.Recordings(config.archive),
        *details.families(),
        details.DetailsJobs("recording_media", details.CONVERSATIONS),  # its conversations are those to fetch media of
        recording_jobs.RecordingJobs(),
        aggregates.Aggregates(),
    ]
    families = {one.kind: one for one in every}
    if kind not in families:
        raise ConfigurationError(f"There is no kind of export named {kind!r}. Known kinds: {', '.join(families)}.")
    return families[kind]
