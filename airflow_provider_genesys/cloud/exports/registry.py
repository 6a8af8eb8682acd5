"""Which module serves which kind of export."""

from __future__ import annotations

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports import aggregates, details, recording_jobs, recordings
from airflow_provider_genesys.cloud.exports.base import ExportFamily
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown


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
    for one in every:
        if one.kind == kind:  # anything may be given: an argument's template may make a list
            return one
    known = ", ".join(one.kind for one in every)
    raise ConfigurationError(f"There is no kind of export named {shown(kind, 80)!r}. Known kinds: {known}.")
