"""Where a loading operator reads from: pages, the archive at Genesys, or an archive in one's own object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.object_store import open_folder

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
    from airflow_provider_genesys.source.base import Archive
    from airflow_provider_genesys.source.pages import Pages
    from airflow_provider_genesys.source.position import Identity, Start

LOCATION = "landed_at"
"""Member of a handle whose archive was landed: the URL of its folder."""


def landed_handle(url: str, conn_id: str | None) -> dict[str, Any]:
    """Return the handle of the archive that was landed at ``url``, as its manifest has it.

    :raises SourceRefusedError: there is none.
    """
    from airflow_provider_genesys.source.landed import find_landed

    return {**find_landed(*open_folder(url, conn_id)).handle, LOCATION: url}


def open_result(
    hook: GenesysCloudHook, handle: dict[str, Any], start: Start, *, page_size: int, source_conn_id: str | None
) -> Archive | Pages:
    """Return the export's result, to be read from ``start`` on.

    :raises ConfigurationError: it is conversations that media is to be fetched of, and no records of a table.
    """
    if handle["kind"] == "recording_media":
        raise ConfigurationError(
            f"Export {handle['export_id']} names conversations to fetch media of. GenesysRecordingMediaToS3Operator or "
            "GenesysRecordingMediaToAzureBlobOperator does that, and finishes what it has begun when it is cleared."
        )
    from airflow_provider_genesys.source.pages import open_pages

    pages = open_pages(handle, hook.get_conn(), page_size=page_size)
    return pages or open_archive(hook, handle, start.source, source_conn_id)


def open_archive(
    hook: GenesysCloudHook, handle: dict[str, Any], known: Identity, source_conn_id: str | None
) -> Archive:
    """Return the export's archive, from where it was landed, or else from Genesys.

    :param known: what an earlier reader learned of it; it has to be the same.
    """
    if LOCATION in handle:
        return _landed(handle[LOCATION], source_conn_id, known)
    from airflow_provider_genesys.source.download import Download, DownloadSettings

    return Download(
        lambda fresh: hook.open_file_uri(handle, fresh=fresh),
        handle["export_id"],
        identity=known,
        settings=DownloadSettings(timeout=hook.config.timeout, verify=hook.config.verify),
    )


def _landed(url: str, conn_id: str | None, known: Identity) -> Archive:
    from airflow_provider_genesys.source.landed import LandedArchive, find_landed

    store, folder = open_folder(url, conn_id)
    return LandedArchive(store, find_landed(store, folder), identity=known)
