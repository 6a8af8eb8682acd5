"""The store of :class:`.s3.S3Sink`: requests to a bucket, with retries and helpful errors."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import count
from operator import itemgetter
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from isal import isal_zlib

from airflow_provider_genesys.aws_errors import code_of, describe, is_transient
from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.failpoints import COMPLETING, PIECE_SENT, PUTTING, failpoint
from airflow_provider_genesys.stores.advice import PROXY, not_the_stores, understood
from airflow_provider_genesys.stores.base import MOST_PIECES, Body, SentPieces, Stored, content_type, listed, stored
from airflow_provider_genesys.stores.read_through import completed
from airflow_provider_genesys.stores.s3_errors import explained

T = TypeVar("T")
_ERRORS = (ClientError, BotoCoreError, ResponseParserError)

_OF_A_PIECE = {"PartNumber", "ETag", "ChecksumCRC32"}
"""Members of each piece that the request to complete an upload needs."""
_CHECKSUM = "x-amz-checksum-crc32"
_WITH_BODY = ("PutObject", "UploadPart")
_NO_SUCH_REQUEST = {"NotImplemented", "MethodNotAllowed"}
"""Codes of a store that cannot list unfinished uploads. They are left to the store's lifecycle rules."""


_TAKEN = {"PreconditionFailed", "412"}
"""Codes of a refused condition. A response without a body has its status as code."""

_ABSENT = {"NoSuchKey", "404"}


class S3Store:
    """Implements :class:`.stores.base.ObjectStore`.

    Each body is sent with its CRC-32 in a header. boto would send it in a trailer, which many other stores do not
    know. No CRC-32 is sent if the client's ``request_checksum_calculation`` is ``when_required``. Over TLS a body with
    a CRC-32 is not hashed again for the signature, as boto has it for the checksums that it makes itself.

    :param client: a boto3 S3 client.
    """

    def __init__(self, client: Any, bucket: str, *, retries: int = 3, extra_args: dict[str, Any] | None = None) -> None:
        self.url = f"s3://{bucket}"
        self._client = client
        self._bucket = bucket
        self._retries = retries
        self._extra_args = extra_args or {}
        for operation in _WITH_BODY:
            client.meta.events.register(f"before-sign.s3.{operation}", _tell_checksum, unique_id=f"genesys-{operation}")

    def put(self, key: str, body: Body) -> str:
        """Write an object in one request."""
        failpoint(PUTTING)
        return self.etag_of(self._put(key, body), key)

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object. Return False if S3 says that the key is taken."""
        return self._put(key, body, IfNoneMatch="*") is not None

    def get(self, key: str) -> bytes | None:
        """Return a small object."""
        return self._read(key, lambda answer: bytes(answer["Body"].read()))

    def read(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | None:
        """Return some bytes of an object."""
        span = {"Range": f"bytes={start}-{start + length - 1}", **({"IfMatch": etag} if etag else {})}
        return self._read(key, lambda answer: bytes(answer["Body"].read()), **span)

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the objects below ``prefix``."""
        for found in self._listed("list_objects_v2", "Contents", prefix, Prefix=prefix):
            yield _stored(found)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.call("delete_object", Key=key)

    def upload(self, key: str) -> S3Upload:
        """Begin a multipart upload."""
        algorithm = {"ChecksumAlgorithm": "CRC32"} if self._checksums else {}
        made = self.call("create_multipart_upload", **self._described(key), **algorithm)
        return S3Upload(self, SentPieces(key, self.member_of(made, "UploadId", key)), [])

    def resume(self, sent: SentPieces) -> S3Upload | None:
        """Continue a multipart upload; None unless S3 lists all pieces that were sent."""
        found = self._listed("list_parts", "Parts", sent.key, Key=sent.key, UploadId=sent.name)[: sent.pieces]
        if (len(found), sum(piece["Size"] for piece in found)) != (sent.pieces, sent.bytes):
            return None
        return S3Upload(self, sent, [{name: piece[name] for name in _OF_A_PIECE & piece.keys()} for piece in found])

    def abort_uploads(self, prefix: str) -> None:
        """Discard every unfinished multipart upload below ``prefix``, if the store can list them."""
        found = self._listed("list_multipart_uploads", "Uploads", prefix, tolerate=_NO_SUCH_REQUEST, Prefix=prefix)
        for upload in found:
            S3Upload(self, SentPieces(upload["Key"], upload["UploadId"]), []).abort()

    def call(self, operation: str, *, tolerate: Collection[str] = (), **arguments: Any) -> Any:
        """Send a request to the bucket and return the response.

        :param operation: method of the client.
        :param tolerate: error codes for which None is returned.
        """
        request = getattr(self._client, operation)
        return self._retried(operation, arguments["Key"], lambda: request(Bucket=self._bucket, **arguments), tolerate)

    def etag_of(self, answer: Any, key: str) -> str:
        """Return the ETag in the response to a write, as :meth:`member_of` does."""
        return self.member_of(answer, "ETag", key)

    def member_of(self, answer: Any, name: str, key: str) -> str:
        """Return a member of the response to a write.

        :raises SinkUnavailableError: it has none, so it is not S3's.
        """
        if found := answer.get(name):
            return str(found)
        raise not_the_stores(f"writing {self.url}/{key}", f"it has no {name}")

    def checksum(self, body: Body) -> dict[str, str]:
        """Return the argument with the checksum of ``body``; empty if the client must not send checksums."""
        return {"ChecksumCRC32": _crc32(body)} if self._checksums else {}

    @property
    def _checksums(self) -> bool:
        return getattr(self._client.meta.config, "request_checksum_calculation", None) != "when_required"

    def _put(self, key: str, body: Body, **condition: str) -> Any:
        arguments = {**self._described(key), **self.checksum(body), **condition}
        return self.call("put_object", tolerate=_TAKEN if condition else (), Body=body, **arguments)

    def _described(self, key: str) -> dict[str, Any]:
        return {"Key": key, "ContentType": content_type(key), **self._extra_args}

    def _read(self, key: str, take: Callable[[Any], T], **span: str) -> T | None:
        def read() -> T:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **span)
            if not answer.get("ETag"):
                raise not_the_stores(f"get_object {self.url}/{key}", "it has no ETag")
            return take(answer)

        return self._retried("get_object", key, read, _ABSENT | _TAKEN if "IfMatch" in span else _ABSENT)

    def _listed(
        self, operation: str, field: str, place: str, *, tolerate: Collection[str] = ("NoSuchUpload",), **arguments: Any
    ) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            pages = self._client.get_paginator(operation).paginate(Bucket=self._bucket, **arguments)
            return list(listed(map(members_of, pages), _name, f"{self.url}/{place}"))

        def members_of(page: dict[str, Any]) -> list[dict[str, Any]]:
            if operation == "list_objects_v2" and "IsTruncated" not in page:
                raise not_the_stores(
                    f"{operation} {self.url}/{place}", "IsTruncated, whether the list is whole, is missing"
                )
            found = list(page.get(field, []))
            return [one for one in found if _NAMED[field](one)]

        return self._retried(operation, place, read, tolerate) or []

    def _retried(self, operation: str, key: str, action: Callable[[], T], tolerate: Collection[str] = ()) -> T | None:
        request = f"{operation} {self.url}/{key}"
        try:
            return understood(
                action, request, self._retries, errors=_ERRORS, is_transient=is_transient, describe=describe
            )
        except _ERRORS as error:
            if code_of(error) in tolerate:
                return None
            raise explained(error, request) from error
        except RecursionError:
            # boto asks for the bucket's region after a redirect, and asks again when that is redirected.
            raise SinkRefusedError(f"{request} was refused: it is answered with a redirect. {PROXY}") from None


class S3Upload:
    """Implements :class:`.stores.base.NumberedUpload`.

    :param begun: what an earlier attempt has sent.
    :param pieces: S3's responses for its pieces.
    """

    def __init__(self, store: S3Store, begun: SentPieces, pieces: list[dict[str, Any]]) -> None:
        self._begun = begun
        self._store = store
        self._target = {"Key": begun.key, "UploadId": begun.name}
        self._pieces = dict(enumerate(pieces, 1))
        self._lengths: list[int] = []  # of the pieces that this attempt has sent
        self._numbers = count(len(pieces) + 1)

    @property
    def sent(self) -> SentPieces:
        """What was sent so far."""
        return self._begun.and_pieces(self._lengths)

    def send(self, piece: Body) -> None:
        """Send the next piece."""
        self.next_piece()(piece)

    def next_piece(self) -> Callable[[Body], None]:
        """Return what sends the next piece."""
        number = next(self._numbers)
        if number > MOST_PIECES:
            raise SinkRefusedError(
                f"{self._store.url}/{self._begun.key} would have more than the {MOST_PIECES:,} pieces that S3 takes. "
                "Choose a smaller part_size."
            )
        return partial(self._send, number)

    def _send(self, number: int, piece: Body) -> None:
        numbered: dict[str, Any] = {"PartNumber": number, **self._store.checksum(piece)}
        answer = self._store.call("upload_part", Body=piece, **self._target, **numbered)
        self._pieces[number] = {**numbered, "ETag": self._store.etag_of(answer, self._begun.key)}
        self._lengths.append(len(piece))
        failpoint(PIECE_SENT)

    def complete(self, last: Body, sha256: str) -> str:
        """Send the last piece and make the object appear."""
        if last:
            self.send(last)
        failpoint(COMPLETING)
        return completed(self._complete, self._store, self._begun.key, size=self.sent.bytes, sha256=sha256)

    def _complete(self) -> str:
        pieces = {"Parts": [piece for _, piece in sorted(self._pieces.items())]}
        answer = self._store.call("complete_multipart_upload", **self._target, MultipartUpload=pieces)
        return self._store.etag_of(answer, self._begun.key)

    def abort(self) -> None:
        """Discard what was sent."""
        self._store.call("abort_multipart_upload", tolerate={"NoSuchUpload"}, **self._target)


def _stored(one: dict[str, Any]) -> Stored:
    return stored(one["Key"], one["Size"], one.get("ETag", ""))


_NAMED: dict[str, Callable[[dict[str, Any]], object]] = {
    "Contents": _stored,
    "Parts": lambda one: one["PartNumber"] and one["ETag"] and stored("part", one["Size"], one["ETag"]),
    "Uploads": itemgetter("Key", "UploadId"),
}
"""What reads one of a list, so that one that lacks something is found while the list can be asked for again."""


def _name(one: dict[str, Any]) -> str:
    """Return what distinguishes an object, an upload or a piece from all others in a list."""
    return str([one.get(field) for field in ("Key", "UploadId", "PartNumber")])


def _tell_checksum(request: Any, **_: object) -> None:
    """Tell boto that a request has a checksum. It does not look for one that it has not made."""
    if _CHECKSUM in request.headers:
        request.context.setdefault("checksum", {})["request_algorithm"] = {"in": "header", "name": _CHECKSUM}


def _crc32(body: Body) -> str:
    return base64.b64encode(isal_zlib.crc32(body).to_bytes(4, "big")).decode()
