"""Reads an archive from the bucket where :mod:`airflow_provider_genesys.sinks.objects.raw_landing` put it, unchanged.

The manifest names the object and its ETag. Each range is requested on the condition that the object still has this
ETag. The archive keeps the identity (length and ETag) that Genesys' store gave it, so a load can continue with it.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import (
    SinkRefusedError,
    SinkUnavailableError,
    SourceRefusedError,
    SourceUnavailableError,
)
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.response import cannot_read, changed
from airflow_provider_genesys.stores.base import ObjectStore, is_below

RANGE = 4 * 1024 * 1024
"""Bytes asked for at a time."""


@dataclass(frozen=True)
class LandedObject:
    """An archive in a bucket, as its manifest describes it.

    ``source`` is the identity from Genesys' store, ``etag`` that of the object in the bucket, ``handle`` the export's.
    """

    key: str
    bytes: int
    etag: str
    source: Identity
    handle: dict[str, Any]


@resolved
@dataclass(frozen=True)
class _Listed:
    """What a manifest says of an archive."""

    key: str
    bytes: int
    etag: str


def find_landed(store: ObjectStore, folder: str) -> LandedObject:
    """Return the archive whose manifest is in ``folder``, a key that ends with a slash.

    :raises SourceRefusedError: there is no manifest, or it is of another kind of load.
    :raises SourceUnavailableError: the store does not answer.
    """
    where = f"{store.url}/{folder}_manifest.json"
    try:
        text = store.get(f"{folder}_manifest.json")
    except SinkUnavailableError as error:
        raise SourceUnavailableError(str(error)) from error
    except SinkRefusedError as error:
        raise SourceRefusedError(str(error)) from error
    if text is None:
        raise SourceRefusedError(
            f"There is no {where}. A landing task writes it last, so the archive is not complete. Give the location "
            "that the landing task returned, and check that that task has succeeded."
        )
    return _read(text, where, folder)


def _read(text: bytes, where: str, folder: str) -> LandedObject:
    try:
        manifest = msgspec.json.decode(text)
        if manifest["contract"] == RAW:
            [archive] = msgspec.convert(manifest["parts"], list[_Listed])
            source = msgspec.convert(manifest["source"], Identity)
            if is_below(archive.key, folder):
                return LandedObject(archive.key, archive.bytes, archive.etag, source, dict(manifest["handle"]))
            raise SourceRefusedError(f"{where} lists {archive.key!r:.300}, which does not lie in its folder.")
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise SourceRefusedError(f"{where} is not the manifest of a landed archive ({error}).") from error
    raise SourceRefusedError(
        f"{where} lists rows that were read with contract {manifest['contract']}, not a raw archive. Give the "
        "location of a load with output_format='raw'."
    )


class LandedArchive:
    """Implements :class:`.source.base.Archive`.

    :param identity: identity of the archive that an earlier attempt of the load read.
    """

    def __init__(self, store: ObjectStore, landed: LandedObject, *, identity: Identity) -> None:
        self.identity = landed.source
        self._store = store
        self._landed = landed
        self._expected = identity
        self._export_id = str(landed.handle.get("export_id"))
        self._stopped = threading.Event()

    def read(self, start: int) -> Generator[bytes, None, None]:
        """Yield the bytes from ``start`` on, range by range."""
        if self._expected not in (Identity(), self.identity):
            raise changed(self._export_id, f"it was landed from {self.identity}, and was {self._expected}")
        for offset in range(start, self._landed.bytes, RANGE):
            yield self._range(offset, min(offset + RANGE, self._landed.bytes))

    def stop(self) -> None:
        """End :meth:`read` before its next range."""
        self._stopped.set()

    def _range(self, start: int, stop: int) -> bytes:
        where = cannot_read(self._export_id, start)
        if self._stopped.is_set():
            raise SourceUnavailableError(f"{where}: the task is being stopped.")
        try:
            piece = self._store.read(self._landed.key, start, stop - start, etag=self._landed.etag)
        except SinkUnavailableError as error:
            raise SourceUnavailableError(f"{where}: {error}") from error
        except SinkRefusedError as error:
            raise SourceRefusedError(f"{where}: {error}") from error
        if piece is None or len(piece) != stop - start:
            raise changed(self._export_id, f"{self._store.url}/{self._landed.key} is gone, or has another ETag")
        return piece


RAW = "raw"
"""The certificate's contract of such an archive, and the operators' output format."""
