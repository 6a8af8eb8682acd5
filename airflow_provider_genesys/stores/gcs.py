"""The store of :class:`.gcs.GCSSink`: requests to a bucket of Google Cloud Storage, with retries and helpful errors.

What other stores call an ETag is here the object's generation: a number that each write increases, and that reads and
writes can depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

from cryptography.fernet import InvalidToken, MultiFernet

from airflow_provider_genesys.failpoints import PUTTING, failpoint
from airflow_provider_genesys.stores.advice import not_the_stores, understood
from airflow_provider_genesys.stores.base import Body, SentPieces, Stored, content_type, listed, stored
from airflow_provider_genesys.stores.gcs_errors import (
    ERRORS,
    NOT_FOUND,
    PRECONDITION_FAILED,
    describe,
    explained,
    is_transient,
    status_of,
)
from airflow_provider_genesys.stores.gcs_upload import GCSUpload, UploadSession

T = TypeVar("T")

_ONE_TRY: dict[str, Any] = {"retry": None, "timeout": (10, 60)}
"""Options of each request. The sink retries by itself, so the client must not retry as well."""
_LISTED = "kind,items(name,size,generation),nextPageToken"
_LIST = "storage#objects"


class GCSStore:
    """Implements :class:`.stores.base.ObjectStore`.

    :param bucket: a ``google.cloud.storage.Bucket``.
    :param extra_args: settings of each object that is written: see :data:`.sinks.gcs.EXTRA_ARGS`.
    :param cipher: encrypts the URLs of uploads that another process may continue, because anyone who has such a URL can
        write the object. Without it no other process can continue an upload.
    """

    def __init__(
        self,
        bucket: Any,
        *,
        retries: int = 3,
        extra_args: dict[str, Any] | None = None,
        cipher: MultiFernet | None = None,
    ) -> None:
        self.url = f"gs://{bucket.name}"
        self._bucket = bucket
        self._retries = retries
        extra = dict(extra_args or {})
        acl = extra.pop("predefined_acl", None)
        self._of_request = {"predefined_acl": acl} if acl else {}
        self._of_object = extra
        self._cipher = cipher

    def put(self, key: str, body: Body) -> str:
        """Write an object in one request."""
        failpoint(PUTTING)
        return str(self._put(key, body))

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object. Return False if Google says that the name is taken."""
        return self._put(key, body, if_generation_match=0) is not None

    def get(self, key: str) -> bytes | None:
        """Return a small object."""
        return self._read(key, checksum="crc32c")

    def read(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | None:
        """Return some bytes of an object."""
        condition = {"if_generation_match": int(etag)} if etag else {}
        return self._read(key, etag, start=start, end=start + length - 1, checksum=None, **condition)

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the objects below ``prefix``."""

        def read() -> list[Stored]:
            found = self._bucket.list_blobs(prefix=prefix, fields=_LISTED, **_ONE_TRY)
            pages = (self._of_google(page, f"list {self.url}/{prefix}") for page in found.pages)
            blobs = listed(pages, lambda blob: str(blob.name), f"{self.url}/{prefix}")
            return [stored(one.name, one.size, str(int(one.generation))) for one in blobs]

        yield from self._retried("list", prefix, read) or []

    def delete(self, key: str) -> None:
        """Remove an object."""
        blob = self._bucket.blob(key)
        self._retried("delete", key, lambda: blob.delete(**_ONE_TRY), {NOT_FOUND})

    def upload(self, key: str) -> GCSUpload:
        """Begin a resumable upload."""
        blob = self._blob(key)

        def begin() -> str:
            return str(
                blob.create_resumable_upload_session(
                    content_type=content_type(key), checksum=None, **self._of_request, **_ONE_TRY
                )
            )

        url = self._retried("begin the upload of", key, begin) or ""
        name = self._cipher.encrypt(url.encode()).decode() if self._cipher else ""
        return GCSUpload(self, UploadSession(url, f"{self.url}/{key}", self._retries), SentPieces(key, name))

    def resume(self, sent: SentPieces) -> GCSUpload | None:
        """Continue a resumable upload; None unless Google still has all that was sent."""
        url = self._opened(sent.name)
        if url is None:
            return None
        session = UploadSession(url, f"{self.url}/{sent.key}", self._retries)
        return GCSUpload(self, session, sent) if session.holds(sent.bytes) else None

    def abort_uploads(self, prefix: str) -> None:
        """Leave them: Google lists no uploads, shows nothing of them, and discards each after a week."""

    def _opened(self, name: str) -> str | None:
        try:
            return self._cipher.decrypt(name).decode() if self._cipher and name else None
        except InvalidToken:
            return None  # the secret was rotated

    def _blob(self, key: str) -> Any:
        extra = dict(self._of_object)
        kms = {"kms_key_name": extra.pop("kms_key_name")} if "kms_key_name" in extra else {}
        blob = self._bucket.blob(key, **kms)
        for name, value in extra.items():
            setattr(blob, name, value)
        return blob

    def _put(self, key: str, body: Body, **condition: int) -> str | None:
        def write() -> str:
            blob = self._blob(key)
            described = {"content_type": content_type(key), "checksum": "crc32c", **self._of_request}
            blob.upload_from_string(bytes(body), **described, **condition, **_ONE_TRY)
            return self._generation(blob)

        return self._retried("upload", key, write, {PRECONDITION_FAILED} if condition else ())

    def _read(self, key: str, etag: str | None = None, **options: Any) -> bytes | None:
        def read() -> bytes | None:
            blob = self._bucket.blob(key)
            body: bytes = blob.download_as_bytes(raw_download=True, **options, **_ONE_TRY)
            return body if etag in {None, self._generation(blob)} else None

        return self._retried("download", key, read, {NOT_FOUND, PRECONDITION_FAILED} if etag else {NOT_FOUND})

    def _of_google(self, page: Any, request: str) -> Any:
        if page.raw_page.get("kind") != _LIST:
            raise not_the_stores(request, "it is no list")
        return page

    def _generation(self, blob: Any) -> str:
        if blob.generation is None:
            raise not_the_stores(f"{self.url}/{blob.name}", "it has no generation")
        return str(blob.generation)

    def _retried(self, operation: str, key: str, action: Callable[[], T], tolerate: Collection[int] = ()) -> T | None:
        request = f"{operation} {self.url}/{key}"
        try:
            return understood(
                action, request, self._retries, errors=ERRORS, is_transient=is_transient, describe=describe
            )
        except ERRORS as error:
            if status_of(error) in tolerate:
                return None
            # Not "from error": its message may hold the URL of a session, and a traceback would show it.
            raise explained(error, request) from None
