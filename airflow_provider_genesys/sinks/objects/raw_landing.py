"""A raw archive in an object store: one object, sent in pieces, and a manifest that is written last.

::

    <prefix>/dt=2026-11-01/<load_id>/archive-<tag>.gz     the archive's own bytes
    <prefix>/dt=2026-11-01/<load_id>/_manifest.json       the certificate, and the handle that loads from here
    <prefix>/_ledger/<load_id>/00000/<number>.json

The upload outlives the attempt that began it. The ledger (:mod:`.ledger`) holds its progress, and the next attempt
continues from there.
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


class RawLanding:
    """Implements :class:`.land.Landing` on an :class:`.stores.base.ObjectStore`.

    :param connect: makes the store; called by each ``open``.
    :param settings: only the prefix, the part size (bytes between two checkpoints) and the fencing are used.
    """

    def __init__(self, connect: Callable[[], ObjectStore], settings: ObjectSettings) -> None:
        self._connect = connect
        self._settings = settings
        self._attempt: LandingAttempt | None = None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Take a new fence and return where to continue; None for the beginning. See :meth:`.Sink.open`."""
        with error_context(f"Export {load.export_id}, opening the landing"):
            self._attempt = LandingAttempt(load, self._settings, self._connect(), restart=restart)
        return self._attempt.entry.checkpoint

    def write(self, data: bytes, source: Identity) -> Checkpoint | None:
        """Take the archive's next bytes. Return the newest checkpoint if this call committed one.

        :param source: the archive's identity.
        :raises NotAnArchiveError: the bytes are not an archive.
        """
        with self._working() as attempt:
            return attempt.write(data, source)

    def finish(self, certificate: Certificate, handle: dict[str, Any]) -> Certificate:
        """Make the archive visible, write the manifest, remove objects it does not list. Return the certificate.

        :param handle: the handle by which the archive is loaded from here later; JSON-serialisable.
        """
        with self._working() as attempt:
            return attempt.finish(certificate, handle)

    def close(self) -> None:
        """Let go of the landing, finished or not: wait for what is being sent, and send no more. Never raises."""
        if self._attempt:
            self._attempt.close()

    @contextmanager
    def _working(self) -> Iterator[LandingAttempt]:
        attempt = self._attempt
        if attempt is None:
            raise RuntimeError("The landing is not open.")
        try:
            with error_context(f"Export {attempt.load.export_id}, landing its archive from byte {attempt.sent} on"):
                yield attempt
        except SinkUnavailableError:
            attempt.check_fence()  # a newer attempt aborts our upload: then report the fencing instead
            raise
