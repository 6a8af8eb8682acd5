"""Resumable uploads of Google Cloud Storage.

A session takes the object's bytes in order and says how many it has. It keeps multiples of 256 KiB, except at the
object's end. After an error it is asked what it has, and only the rest is sent.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from airflow_provider_genesys.failpoints import COMPLETING, PIECE_SENT, failpoint
from airflow_provider_genesys.retries import retried
from airflow_provider_genesys.stores.advice import not_the_stores
from airflow_provider_genesys.stores.base import Body, ObjectStore, SentPieces
from airflow_provider_genesys.stores.gcs_errors import (
    ERRORS,
    NothingKeptError,
    SessionEndedError,
    describe,
    explained,
    is_transient,
)
from airflow_provider_genesys.stores.read_through import completed

_TIMEOUT = (10, 60)
_GOES_ON = 308
"""Status of a session that waits for more bytes."""
_ENDED = {404, 410, 499}
"""Statuses of a session that is unknown, expired or cancelled."""


class UploadSession:
    """An upload session of Google's JSON API.

    :param url: a credential: who has it can write the object.
    :param place: names the object in errors.
    """

    def __init__(self, url: str, place: str, retries: int) -> None:
        import requests

        self._url = url
        self._request = f"upload {place}"
        self._retries = retries
        # The session's URL is its own credential.
        self._http = requests.Session()
        self._held: int | None = 0
        """Bytes that the store has; None if it has to be asked."""

    def holds(self, size: int) -> bool:
        """Return whether the store has the first ``size`` bytes, and the object is not complete yet."""
        self._held = None
        try:
            held: int = self._retried(self._ask)
        except SessionEndedError:
            return False
        return held >= size

    def send(self, piece: Body, start: int, total: int | None, hashes: dict[str, str]) -> str:
        """Send the bytes from ``start`` on, except those that the store has.

        :param total: length of the object, if these are its last bytes.
        :param hashes: header with the object's checksum, which goes with its last bytes.
        :return: the generation of the object that has appeared; empty if it goes on.
        :raises SinkUnavailableError: the session has ended, or all retries are spent.
        """
        try:
            return str(self._retried(lambda: self._send(piece, start, total, hashes)))
        except SessionEndedError as error:
            raise explained(error, self._request) from None

    def cancel(self) -> None:
        """Let the store discard what it has."""
        self._retried(lambda: self._put("DELETE"))

    def _send(self, piece: Body, start: int, total: int | None, hashes: dict[str, str]) -> str:
        held = self._ask() if self._held is None else self._held
        if held < start:
            raise SessionEndedError
        end = start + len(piece)
        while held < end or total is not None:
            self._held = None
            rest = bytes(memoryview(piece)[held - start :])
            span = f"{held}-{end - 1}" if rest else "*"
            answer = self._put(
                "PUT", rest, {"Content-Range": f"bytes {span}/{total or '*'}", **(hashes if total else {})}
            )
            if answer.status_code != _GOES_ON:
                return self._generation(answer)
            self._held = _held(answer)
            if self._held <= held:
                raise NothingKeptError
            held = self._held
        return ""

    def _generation(self, answer: Any) -> str:
        try:
            return str(answer.json()["generation"])
        except (KeyError, TypeError, ValueError):
            raise not_the_stores(self._request, "it has no generation") from None

    def _ask(self) -> int:
        answer = self._put("PUT", b"", {"Content-Range": "bytes */*"})
        if answer.status_code != _GOES_ON:
            raise SessionEndedError
        self._held = _held(answer)
        return self._held

    def _put(self, method: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        from google.api_core.exceptions import from_http_response

        answer = self._http.request(
            method, self._url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
        )
        if answer.status_code in _ENDED:
            if method == "DELETE":
                return answer
            raise SessionEndedError
        if answer.status_code not in {200, 201, 204, _GOES_ON}:
            raise from_http_response(answer)
        return answer

    def _retried(self, action: Any) -> Any:
        try:
            return retried(action, self._request, self._retries, is_transient=is_transient, describe=describe)
        except (*ERRORS, NothingKeptError) as error:
            # Not "from error": its message holds the session's URL.
            raise explained(error, self._request) from None


class GCSUpload:
    """Implements :class:`.stores.base.ResumableUpload`."""

    def __init__(self, store: ObjectStore, session: UploadSession, sent: SentPieces) -> None:
        import google_crc32c

        self.sent = sent
        self._store = store
        self._session = session
        self._crc32c = None if sent.pieces else google_crc32c.Checksum()

    def send(self, piece: Body) -> None:
        """Send the next piece."""
        self._session.send(piece, self.sent.bytes, None, self._hashed(piece))
        self.sent = self.sent.and_pieces([len(piece)])
        failpoint(PIECE_SENT)

    def complete(self, last: Body, sha256: str) -> str:
        """Send the last piece, with which the object appears; Google compares it with the CRC-32C of all pieces."""
        failpoint(COMPLETING)
        total = self.sent.bytes + len(last)
        hashed = self._hashed(last)
        return completed(
            lambda: self._session.send(last, self.sent.bytes, total, hashed),
            self._store,
            self.sent.key,
            size=total,
            sha256=sha256,
        )

    def abort(self) -> None:
        """Discard what was sent."""
        self._session.cancel()

    def _hashed(self, piece: Body) -> dict[str, str]:
        """Return the header with the checksum of all pieces; none if another process has sent the first."""
        if self._crc32c is None:
            return {}
        self._crc32c.update(bytes(piece))
        return {"x-goog-hash": f"crc32c={base64.b64encode(self._crc32c.digest()).decode()}"}


def _held(answer: Any) -> int:
    found = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
    return int(found[1]) + 1 if found else 0
