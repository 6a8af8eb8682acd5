"""The object store: ``GET /archive/…``, whole or one range, under the conditions that S3 knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import format_datetime

from airflow_provider_genesys.testing.fake_genesys.exports import Export
from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response, Slice, Stored, s3_error
from airflow_provider_genesys.testing.fake_genesys.presign import Signer

_RANGE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))")


class ObjectStore:
    """Hands out the files of completed exports to anyone who has a presigned URL."""

    def __init__(self, exports: Mapping[str, Export], signer: Signer) -> None:
        self._exports = exports
        self._signer = signer

    def answer(self, request: Request) -> Response:
        """Answer one request for a file."""
        refusal = self._signer.refusal(request.method, request.path, request.query)
        if refusal:
            return refusal
        export = self._exports.get(request.path.removeprefix("/archive/").partition(".")[0])
        if export is None or export.path != request.path or export.status != "COMPLETED":
            return s3_error(404, "The specified key does not exist.", Key=request.path.lstrip("/"))
        return _deliver(export, request.headers)


def _deliver(export: Export, headers: Mapping[str, str]) -> Response:
    stored = export.delivered
    described = {
        "ETag": stored.etag,
        "Last-Modified": format_datetime(export.submitted, usegmt=True),
        "Content-Type": "application/gzip" if export.compressed else f"application/{export.path.rpartition('.')[2]}",
    }
    return deliver(stored, described, headers)


def deliver(stored: Stored, described: Mapping[str, str], headers: Mapping[str, str]) -> Response:
    """Return all of ``stored``, or the one range that is asked for, under the conditions that S3 knows.

    :param described: ETag, Last-Modified and Content-Type.
    """
    etag, described = described["ETag"], {**described, "Accept-Ranges": "bytes"}
    if headers.get("If-Match", "*") not in {"*", etag}:
        return s3_error(412, "At least one of the pre-conditions you specified did not hold", Condition="If-Match")
    wanted = headers.get("Range", "")
    if headers.get("If-Range", etag) not in {etag, described["Last-Modified"]}:
        wanted = ""
    span = _span(wanted, stored.size)
    if span is None:
        return Response(200, described, Slice(stored, 0, stored.size))
    start, stop = span
    if start >= stop:
        error = s3_error(416, "The requested range is not satisfiable", ActualObjectSize=str(stored.size))
        error.headers["Content-Range"] = f"bytes */{stored.size}"
        return error
    described["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
    return Response(206, described, Slice(stored, start, stop))


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Return the bytes that a Range header asks for; None asks for all, as do several ranges and malformed ones."""
    found = _RANGE.fullmatch(header)
    if not found:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1 if last else size, size)
