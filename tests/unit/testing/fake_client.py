"""A client for the fake that is as simple as a client can be."""

from __future__ import annotations

from typing import Any

import httpx

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

EXPORTS = "/api/v2/recordings/exports"
ORDER = {
    "exportType": "recordings",
    "filter": {"dateFrom": "2026-11-22T00:00:00Z", "dateTo": "2026-11-23T00:00:00Z", "status": "AVAILABLE"},
    "format": "ndjson",
    "include": ["media", "participants", "metadata"],
}


class Client(httpx.Client):
    """Takes a token at once and speaks the archive export."""

    def __init__(self, genesys: FakeGenesys) -> None:
        super().__init__(base_url=genesys.url)
        self.genesys = genesys
        self.login()

    def login(self) -> httpx.Response:
        form = {"grant_type": "client_credentials"}
        answer = self.post("/oauth/token", data=form, auth=(self.genesys.client_id, self.genesys.client_secret))
        if answer.is_success:
            self.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer

    def create(self, **changes: Any) -> str:
        answer = self.post(EXPORTS, json=ORDER | changes)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["exportId"])

    def status(self, export_id: str) -> dict[str, Any]:
        return dict(self.get(f"{EXPORTS}/{export_id}").raise_for_status().json())

    def completed(self, **changes: Any) -> dict[str, Any]:
        """Create an export and return its status once it has completed."""
        export_id = self.create(**changes)
        while (status := self.status(export_id))["status"] != "COMPLETED":
            pass
        return status

    def download(self, uri: str, **headers: str) -> httpx.Response:
        return httpx.get(uri, headers={name.replace("_", "-"): value for name, value in headers.items()})
