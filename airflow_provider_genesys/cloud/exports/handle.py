"""The handle: what an XCom holds of an export, and how to get the export's file from it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import (
    AGAIN,
    ExportState,
    ExportStatus,
    check_usable,
    known_status,
)
from airflow_provider_genesys.cloud.exports.recordings import OTHER_MEMBER
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.presigned import PresignedUrl, check_host, expires_at
from airflow_provider_genesys.cloud.seal import seal, unseal
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    ExportFailedError,
    UrlExpiredError,
)
from airflow_provider_genesys.times import iso_time, now, parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


MARGIN = timedelta(minutes=5)
"""A URL that expires within this time is treated as expired."""


def make_handle(
    status: ExportStatus,
    config: CloudConfig,
    *,
    window_start: datetime | None = None,
    window_end: datetime | None = None,
) -> dict[str, Any]:
    """Return the handle of ``status``: JSON-serialisable, times in ISO 8601 UTC, the file's URL sealed.

    A window that is given here wins over the one that Genesys reports.
    """
    uri, expires = status.file_uri, status.expires_at
    if uri:
        expires = expires_at(uri, now=now(), fallback=expires)
    return {
        "export_id": status.export_id,
        "kind": status.kind,
        "state": status.state.value,
        "window_start": iso_time(window_start or status.window_start),
        "window_end": iso_time(window_end or status.window_end),
        "file_uri": seal(uri, config.client_secret, _owner(status.export_id, status.kind, config)) if uri else None,
        "expires_at": iso_time(expires),
        "size": status.size,
        "etag": status.etag,
        "records": status.records,
        "submitted_at": iso_time(status.submitted_at),
    }


def open_handle(handle: dict[str, Any], client: CloudClient, *, fresh: bool) -> PresignedUrl:
    """Return the clear URL of the export's file: the handle's URL if it is valid, else (or if ``fresh``) a new one.

    Raises as :meth:`airflow_provider_genesys.hooks.genesys.GenesysCloudHook.open_file_uri` does.
    """
    try:
        export_id, kind = handle["export_id"], handle["kind"]
    except (KeyError, TypeError):
        raise ConfigurationError(
            "A handle is what GenesysExportSensor returns, an object with at least 'export_id' and 'kind'."
        ) from None
    return (None if fresh else _own_url(handle, client)) or _new_url(export_id, kind, client)


def _owner(export_id: str, kind: str, config: CloudConfig) -> list[str]:
    """Return what the URL of an export's file belongs to: the export, and the connection that asked for it."""
    return [export_id, kind, config.api_url, config.client_id]


def _own_url(handle: dict[str, Any], client: CloudClient) -> PresignedUrl | None:
    sealed, config = handle.get("file_uri"), client.config
    if not isinstance(sealed, str):
        return None
    url = unseal(sealed, config.client_secrets, _owner(handle["export_id"], handle["kind"], config))
    if url is None:
        return None
    found = _checked(url, parse_time(handle.get("expires_at")), client)
    return found if found.expires_at - now() > MARGIN else None


def _new_url(export_id: str, kind: str, client: CloudClient) -> PresignedUrl:
    status = known_status(family(kind, client.config), client, export_id)
    found = _checked(_file_of(status), status.expires_at, client)
    if found.expires_at <= now():
        raise UrlExpiredError(
            f"Genesys gives a URL for export {export_id} that expired at {found.expires_at:%Y-%m-%d %H:%M} UTC. "
            f"{AGAIN} If that time is still to come, the worker's clock is wrong."
        )
    return found


def _file_of(status: ExportStatus) -> str:
    check_usable(status, "file")
    if not status.file_uri:
        hint = f"{OTHER_MEMBER} " if status.kind == "recordings" and status.state is ExportState.COMPLETED else ""
        raise ExportFailedError(f"Export {status.export_id} is {status.raw_state}. It has no file. {hint}{AGAIN}")
    return status.file_uri


def _checked(url: str, expiry: datetime | None, client: CloudClient) -> PresignedUrl:
    client.note_url(url)
    check_host(url, client.config)
    return PresignedUrl(url, expires_at(url, now=now(), fallback=expiry))
