"""An object store that keeps nothing: what is left is the cost of fetching, cutting and digesting."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_genesys.stores.base import Body, ObjectStore, ResumableUpload, SentPieces, Stored


class NullStore(ObjectStore):
    """Counts bytes."""

    url = "null://"

    def __init__(self) -> None:
        self.bytes = 0

    def put(self, key: str, body: Body) -> str:  # noqa: ARG002 - nothing is kept
        """Count an object."""
        self.bytes += len(body)
        return ""

    def list_objects(self, prefix: str) -> Iterator[Stored]:  # noqa: ARG002 - as above
        """Find nothing."""
        return iter(())

    def upload(self, key: str) -> ResumableUpload:
        """Begin an object that is sent in pieces."""
        return NullUpload(self, key)

    def abort_uploads(self, prefix: str) -> None:
        """Throw nothing away."""


class NullUpload(ResumableUpload):
    """Counts the bytes of its pieces."""

    def __init__(self, store: NullStore, key: str) -> None:
        self._store, self._key = store, key

    @property
    def sent(self) -> SentPieces:
        """Where it would go on, if anything were kept."""
        return SentPieces(self._key, "")

    def send(self, piece: Body) -> None:
        """Count a piece."""
        self._store.bytes += len(piece)

    def complete(self, last: Body, sha256: str) -> str:  # noqa: ARG002 - as above
        """Count the last piece."""
        self.send(last)
        return ""

    def abort(self) -> None:
        """End."""
