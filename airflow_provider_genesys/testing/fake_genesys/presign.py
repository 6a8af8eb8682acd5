"""Presigned URLs: valid for GET of one path until a given time, invalid if anything in them is changed."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from urllib.parse import urlencode

from airflow_provider_genesys.testing.fake_genesys.messages import Response, s3_error
from airflow_provider_genesys.times import now

DATE = "%Y%m%dT%H%M%SZ"


class Signer:
    """Signs and checks URLs in the manner of Amazon S3's query authentication (its own, simpler signature)."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._generation = 1

    def sign(self, path: str, seconds: int) -> tuple[str, datetime]:
        """Return ``path`` with its signed query, and the moment it expires."""
        signed_at = now().replace(microsecond=0)
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self._credential()}/{signed_at:%Y%m%d}/us-east-1/s3/aws4_request",
            "X-Amz-Date": signed_at.strftime(DATE),
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": "host",
        }
        query["X-Amz-Signature"] = self._signature("GET", path, query)
        return f"{path}?{urlencode(query)}", signed_at + timedelta(seconds=seconds)

    def expire_all(self) -> None:
        """Let every URL so far be expired from now on."""
        self._generation += 1

    def refusal(self, method: str, path: str, query: Mapping[str, str]) -> Response | None:
        """Return the error for a request that the query does not allow, None where it does."""
        signature = query.get("X-Amz-Signature")
        if signature is None:
            return s3_error(403, "Access Denied")
        if not hmac.compare_digest(signature.encode(), self._signature(method, path, query).encode()):
            return s3_error(
                403,
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
                "SignatureDoesNotMatch",
            )
        issued = datetime.strptime(query["X-Amz-Date"], DATE).replace(tzinfo=timezone.utc)
        expires = issued + timedelta(seconds=int(query["X-Amz-Expires"]))
        asked_at = now()
        if asked_at >= expires or not query["X-Amz-Credential"].startswith(f"{self._credential()}/"):
            times = {"Expires": f"{expires:%Y-%m-%dT%H:%M:%SZ}", "ServerTime": f"{asked_at:%Y-%m-%dT%H:%M:%SZ}"}
            return s3_error(403, "Request has expired", **{"X-Amz-Expires": query["X-Amz-Expires"]}, **times)
        return None

    def _credential(self) -> str:
        return f"FAKEGENESYS{self._generation:05}"

    def _signature(self, method: str, path: str, query: Mapping[str, str]) -> str:
        signed = sorted((name, value) for name, value in query.items() if name != "X-Amz-Signature")
        text = "\n".join([method, path, urlencode(signed)])
        return hmac.new(self._secret, text.encode(), sha256).hexdigest()
