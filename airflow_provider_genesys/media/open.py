"""Opens the recordings of a handle's conversations; reading them stores their media."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.cloud.exports.results import page_reader
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.media.batches import MediaBatches, Patience
from airflow_provider_genesys.media.fetch import Media
from airflow_provider_genesys.media.index import Index, of_pages, recording_metadata
from airflow_provider_genesys.media.store import MediaStore
from airflow_provider_genesys.source.broken_pages import repaired

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


def open_media(
    handle: dict[str, Any],
    client: CloudClient,
    store: MediaStore,
    *,
    index: Index | None = None,
    page_size: int,
    at_once: int,
    patience: Patience,
) -> tuple[Media, int]:
    """Return the recordings of the export's conversations, and the number of jobs. The caller closes the recordings.

    :param index: names the conversations, instead of the export's results.

    Raises as :func:`~.results.page_reader` does.
    """
    named, jobs = (index, 1) if index else _named_by(handle, client, page_size)
    stopped = threading.Event()
    media = Media(
        named,
        partial(recording_metadata, client),
        MediaBatches(client, patience, stopped),
        store,
        client.config,
        stopped=stopped,
        at_once=at_once,
    )
    return media, jobs


def _named_by(handle: dict[str, Any], client: CloudClient, page_size: int) -> tuple[Index, int]:
    found = page_reader(handle, client, page_size=page_size, repair=repaired)
    if found is None:
        raise ConfigurationError(f"An export of the kind {handle['kind']!r} names no conversations to fetch media of.")
    return of_pages(found[0]), found[1]
