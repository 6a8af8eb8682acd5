"""Genesys' own Python SDK, logged in to a fake."""

from __future__ import annotations

import base64
from typing import Any

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.genesys_sdk import Sdk


def logged_in(genesys: FakeGenesys) -> Any:
    """Return a client of the SDK with a token: its own login derives the host from the region, and knows no port."""
    client = Sdk.api_client.ApiClient(host=genesys.url)
    secret = base64.b64encode(f"{genesys.client_id}:{genesys.client_secret}".encode()).decode()
    token = client.call_api(
        "/oauth/token",
        "POST",
        header_params={"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"},
        post_params={"grant_type": "client_credentials"},
        response_type="object",
    )
    client.access_token = token["access_token"]
    return client
