"""The token endpoint: ``POST /oauth/token`` with client credentials."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from urllib.parse import parse_qs

from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response, json_response, oauth_error
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

CLIENT_ID = "fake-genesys-client"
CLIENT_SECRET = "fake-genesys-secret"  # noqa: S105 - opens nothing but the fake


class TokenEndpoint:
    """Issues tokens and remembers how long they are good for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._expiry: dict[str, float] = {}

    def answer(self, request: Request) -> Response:
        """Answer one request to the token endpoint."""
        if request.method != "POST":
            return oauth_error(405, "invalid_request", "method not allowed")
        if _credentials(request) != (CLIENT_ID, CLIENT_SECRET):
            return oauth_error(401, "invalid_client", "client not found")
        if parse_qs(request.body.decode("latin-1")).get("grant_type") != ["client_credentials"]:
            return oauth_error(400, "unsupported_grant_type", "grant_type must be client_credentials")
        token, lifetime = secrets.token_urlsafe(48), self._settings.token_seconds
        self._expiry[token] = time.monotonic() + lifetime
        return json_response(200, {"access_token": token, "token_type": "bearer", "expires_in": int(lifetime)})

    def accepts(self, token: str) -> bool:
        """Say whether ``token`` was issued here and is still good."""
        return time.monotonic() < self._expiry.get(token, 0)

    def revoke_all(self) -> None:
        """Let every token so far be refused from now on."""
        self._expiry.clear()


def _credentials(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if scheme.lower() == "basic" else None
