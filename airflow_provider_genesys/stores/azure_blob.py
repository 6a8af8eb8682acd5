"""The store of :class:`.azure_blob.AzureBlobSink`: requests to a container, with retries and helpful errors."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.failpoints import COMPLETING, PIECE_SENT, PUTTING, failpoint
from airflow_provider_genesys.stores.advice import not_the_stores, understood
from airflow_provider_genesys.stores.azure_errors import AzureError, code_of, describe, explained, is_transient
from airflow_provider_genesys.stores.base import Body, SentPieces, Stored, content_type, listed, stored
from airflow_provider_genesys.stores.read_through import completed

T = TypeVar("T")

_TAKEN = {"BlobAlreadyExists", "ConditionNotMet"}
_ONE_TRY = {"retry_total": 0, "connection_timeout": 10, "read_timeout": 60}
"""Options of each request. The sink retries by itself, so the SDK must not retry as well."""

MOST_BLOCKS = 50_000
"""Largest number of blocks in one blob."""


def _named(blob: Any) -> Stored:
    """Check an uncommitted blob, too."""
    return stored(blob.name, 0, "")


class AzureStore:
    """Implements :class:`.stores.base.ObjectStore`.

    :param container: a ``ContainerClient``.
    :param extra_args: passed with each blob that is written: see :data:`.azure_blob.EXTRA_ARGS`.
    """

    def __init__(self, container: Any, *, retries: int = 3, extra_args: dict[str, Any] | None = None) -> None:
        self.url = f"az://{container.container_name}"
        self._container = container
        self._retries = retries
        self._extra_args = extra_args or {}

    def put(self, key: str, body: Body) -> str:
        """Write a blob in one request."""
        failpoint(PUTTING)
        return str(self._put(key, bytes(body), overwrite=True))

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create a blob. Return False if Azure says that the name is taken."""
        return self._put(key, body, overwrite=False) is not None

    def get(self, key: str) -> bytes | None:
        """Return a small blob."""
        return self._read(key, lambda answer: bytes(answer.readall()))

    def read(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | None:
        """Return some bytes of a blob."""
        from azure.core import MatchConditions

        condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        return self._read(key, lambda answer: bytes(answer.readall()), offset=start, length=length, **condition)

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the blobs below ``prefix``, without those that were never committed, and without folders."""
        # An account with a hierarchical namespace lists folders, which cannot be removed while they hold something.
        for found in self._listed(prefix, _stored, include=["metadata"]):
            if (found.metadata or {}).get("hdi_isfolder") != "true":
                yield _stored(found)

    def delete(self, key: str) -> None:
        """Remove a blob and its snapshots. Azure does not remove a blob that still has snapshots."""
        self.call("delete_blob", key, tolerate={"BlobNotFound"}, delete_snapshots="include")

    def upload(self, key: str) -> AzureUpload:
        """Begin a blob that is staged in blocks."""
        return AzureUpload(self, SentPieces(key, uuid.uuid4().hex))

    def resume(self, sent: SentPieces) -> AzureUpload | None:
        """Continue a blob; None unless Azure still has all blocks that were sent."""
        held = self.call("get_block_list", sent.key, tolerate={"BlobNotFound"}, block_list_type="uncommitted")
        sizes = {block.id: block.size for block in held[1]} if held else {}
        upload = AzureUpload(self, sent)
        return upload if sum(sizes.get(block, 0) for block in upload.blocks) == sent.bytes else None

    def abort_uploads(self, prefix: str) -> None:
        """Discard the blocks of every blob below ``prefix`` that was never committed.

        Azure has no request for that. So this commits an empty blob, unless a blob exists by now, and removes it.
        """
        committed = {found.name for found in self._listed(prefix)}
        for found in self._listed(prefix, include=["uncommittedblobs"]):
            if found.name not in committed:
                with suppress(_Taken):
                    self.commit(found.name, [], if_none_match="*")
                    self.delete(found.name)

    def stage(self, key: str, block: str, piece: bytes) -> None:
        """Send one block of a blob."""
        scope = {name: value for name, value in self._extra_args.items() if name == "encryption_scope"}
        self.call("stage_block", key, block_id=block, data=piece, length=len(piece), validate_content=True, **scope)

    def commit(self, key: str, blocks: list[str], **condition: str) -> str:
        """Commit blocks as a blob and return its ETag. A second commit of the same blocks only changes the ETag.

        :raises _Taken: the condition says that there must be no blob, and there is one.
        """
        from azure.storage.blob import BlobBlock

        listed = [BlobBlock(block_id=block) for block in blocks]
        answer = self.call(
            "commit_block_list", key, tolerate=_TAKEN, block_list=listed, **self._described(key), **condition
        )
        if answer is None:
            raise _Taken
        return self._etag_of(answer, key)

    def call(self, operation: str, key: str, *, tolerate: Collection[str] = (), **arguments: Any) -> Any:
        """Send a request about a blob and return the response.

        :param operation: method of the SDK's ``BlobClient``.
        :param tolerate: error codes for which None is returned.
        """
        request = getattr(self._container.get_blob_client(key), operation)
        return self._retried(operation, key, lambda: request(**arguments, **_ONE_TRY), tolerate)

    def _put(self, key: str, body: bytes, *, overwrite: bool) -> str | None:
        arguments = {"data": body, "length": len(body), "overwrite": overwrite, "validate_content": True}
        tolerate = () if overwrite else _TAKEN
        answer = self.call("upload_blob", key, tolerate=tolerate, **arguments, **self._described(key))
        return None if answer is None else self._etag_of(answer, key)

    def _etag_of(self, answer: Any, key: str) -> str:
        if not answer.get("etag"):
            raise not_the_stores(f"writing {self.url}/{key}", "it has no ETag")
        return _etag(answer["etag"])

    def _described(self, key: str) -> dict[str, Any]:
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_type=content_type(key))
        return {"content_settings": settings, **self._extra_args}

    def _read(self, key: str, take: Callable[[Any], T], **span: Any) -> T | None:
        blob = self._container.get_blob_client(key)

        def read() -> T:
            return take(blob.download_blob(**span, **_ONE_TRY))

        tolerate = {"BlobNotFound", "ConditionNotMet"} if "etag" in span else {"BlobNotFound"}
        return self._retried("download_blob", key, read, tolerate)

    def _listed(self, prefix: str, check: Callable[[Any], object] = _named, **options: Any) -> list[Any]:
        def read() -> list[Any]:
            found = self._container.list_blobs(name_starts_with=prefix, **options, **_ONE_TRY)
            blobs = list(listed(found.by_page(), lambda blob: str(blob.name), f"{self.url}/{prefix}"))
            return [blob for blob in blobs if check(blob)]

        return self._retried("list_blobs", prefix, read) or []

    def _retried(self, operation: str, key: str, action: Callable[[], T], tolerate: Collection[str] = ()) -> T | None:
        request = f"{operation} {self.url}/{key}"
        try:
            return understood(
                action, request, self._retries, errors=(AzureError,), is_transient=is_transient, describe=describe
            )
        except AzureError as error:
            if code_of(error) in tolerate:
                return None
            # Not "from error": the SDK's message may hold a signature, and a traceback would show it.
            raise explained(error, request) from None


class AzureUpload:
    """Implements :class:`.stores.base.NumberedUpload`.

    :param begun: what an earlier attempt has sent.
    """

    def __init__(self, store: AzureStore, begun: SentPieces) -> None:
        self._begun = begun
        self._store = store
        self._lengths: list[int] = []  # of the blocks that this attempt has sent
        self._numbers = count(begun.pieces)

    @property
    def sent(self) -> SentPieces:
        """What was sent so far."""
        return self._begun.and_pieces(self._lengths)

    @property
    def blocks(self) -> list[str]:
        """Ids of the blocks that were sent. All have one length, as Azure demands, and name this upload."""
        return [self._block(number) for number in range(self.sent.pieces)]

    def send(self, piece: Body) -> None:
        """Stage the next piece as a block."""
        self.next_piece()(piece)

    def next_piece(self) -> Callable[[Body], None]:
        """Return what stages the next piece."""
        number = next(self._numbers)
        if number >= MOST_BLOCKS:
            raise SinkRefusedError(
                f"{self._store.url}/{self._begun.key} would have more than {MOST_BLOCKS} blocks, Azure's limit. "
                "Choose a smaller part_size."
            )
        return partial(self._send, number)

    def _send(self, number: int, piece: Body) -> None:
        self._store.stage(self._begun.key, self._block(number), bytes(piece))
        self._lengths.append(len(piece))
        failpoint(PIECE_SENT)

    def complete(self, last: Body, sha256: str) -> str:
        """Stage the last block and make the blob appear."""
        if last:
            self.send(last)
        failpoint(COMPLETING)
        key, size, blocks = self._begun.key, self.sent.bytes, self.blocks
        return completed(lambda: self._store.commit(key, blocks), self._store, key, size=size, sha256=sha256)

    def abort(self) -> None:
        """Leave the blocks: they are invisible. The next attempt discards them; otherwise Azure does after a week."""

    def _block(self, number: int) -> str:
        return f"{self._begun.name}-{number:05}"


class _Taken(Exception):  # noqa: N818 - an answer rather than an error
    """The name is taken."""


def _stored(blob: Any) -> Stored:
    return stored(blob.name, blob.size, _etag(blob.etag))


def _etag(etag: str) -> str:
    # Responses have quotes around the ETag, listings have none.
    return etag.strip('"')
