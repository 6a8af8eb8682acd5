"""An archive in an object store as it came: one object, sent in pieces, and a manifest that is written last.

::

    <prefix>/dt=2026-11-01/<load_id>/archive-<tag>.gz     the archive's own bytes
    <prefix>/dt=2026-11-01/<load_id>/_manifest.json       the certificate, and the handle that loads from here
    <prefix>/_ledger/<load_id>/00000/<number>.json

The upload outlives the attempt that has begun it. The ledger (:mod:`.ledger`) says how far it has come, and the next
attempt goes on behind that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_genesys.exceptions import SinkUnavailableError, error_context
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.landing_attempt import LandingAttempt
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.piece_writer import PIECE


class RawLanding:
    """Implements :class:`.land.Landing` on an :class:`.stores.base.ObjectStore`.

    :param connect: makes the store; called by each ``open``.
    :param settings: of these the prefix, the part size (bytes between two checkpoints) and the fencing.
    """

    piece = PIECE
    """Bytes that it takes best at a time."""

    def __init__(self, connect: Callable[[], ObjectStore], settings: ObjectSettings) -> None:
        self._connect = connect
        self._settings = settings
        self._attempt: LandingAttempt | None = None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Take a new fence and return where to go on, None for the beginning; see :meth:`.Sink.open`."""
        with error_context(f"Export {load.export_id}, opening the landing"):
            self._attempt = LandingAttempt(load, self._settings, self._connect(), restart=restart)
        return self._attempt.entry.checkpoint

    def write(self, data: bytes, source: Identity) -> Checkpoint | None:
        """Take the archive's next bytes; return the newest checkpoint where this call has committed one.

        :param source: what is known of the archive.
        :raises NotAnArchiveError: it is none.
        """
        with self._working() as attempt:
            return attempt.write(data, source)

    def finish(self, certificate: Certificate, handle: dict[str, Any]) -> Certificate:
        """Let the archive appear, write the manifest, remove what it does not list; return the certificate.

        :param handle: what loads the archive from here, JSON-serialisable.
        """
        with self._working() as attempt:
            return attempt.finish(certificate, handle)

    @contextmanager
    def _working(self) -> Iterator[LandingAttempt]:
        attempt = self._attempt
        if attempt is None:
            raise RuntimeError("The landing is not open.")
        try:
            with error_context(f"Export {attempt.load.export_id}, landing its archive from byte {attempt.sent} on"):
                yield attempt
        except SinkUnavailableError:
            attempt.check_fence()  # a newer attempt throws our upload away: say that, then
            raise
