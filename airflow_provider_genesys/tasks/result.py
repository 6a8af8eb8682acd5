"""Opens what a loading operator reads: pages, the archive at Genesys, or a landed archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.tasks.landed import LOCATION, LandedArchives

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
    from airflow_provider_genesys.source.base import Archive
    from airflow_provider_genesys.source.pages import Pages
    from airflow_provider_genesys.source.position import Identity, Start


def open_result(
    hook: GenesysCloudHook, handle: dict[str, Any], start: Start, *, page_size: int, landed: LandedArchives
) -> Archive | Pages:
    """Return the export's result, for reading from ``start`` on.

    :raises ConfigurationError: it is of a kind that only the media operators load.
    """
    if handle["kind"] == "recording_media":
        raise ConfigurationError(
            f"Export {handle['export_id']} names conversations to fetch media of. GenesysRecordingMediaToS3Operator or "
            "GenesysRecordingMediaToAzureBlobOperator does that, and finishes what it has begun when it is cleared."
        )
    from airflow_provider_genesys.source.pages import open_pages

    pages = open_pages(handle, hook.get_conn(), page_size=page_size)
    return pages or open_archive(hook, handle, start.source, landed)


def open_archive(hook: GenesysCloudHook, handle: dict[str, Any], known: Identity, landed: LandedArchives) -> Archive:
    """Return the export's archive: the landed one if the handle has one, else that at Genesys.

    :param known: the archive's identity as an earlier attempt saw it; it has to be the same.
    """
    if LOCATION in handle:
        return landed.archive(handle[LOCATION], known)
    from airflow_provider_genesys.source.download import Download
    from airflow_provider_genesys.source.download_client import DownloadSettings

    return Download(
        lambda fresh: hook.open_file_uri(handle, fresh=fresh),
        handle["export_id"],
        identity=known,
        settings=DownloadSettings.of(hook.config),
    )
