"""The Platform API: exports, the organisation, tokens checked and requests counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol
from uuid import UUID, uuid5

from airflow_provider_genesys.testing.fake_genesys.exports import Export
from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response, api_error, json_response
from airflow_provider_genesys.testing.fake_genesys.oauth import TokenEndpoint
from airflow_provider_genesys.testing.fake_genesys.orders import ExportOrder, InvalidOrderError, parse_order
from airflow_provider_genesys.testing.fake_genesys.presign import Signer
from airflow_provider_genesys.testing.fake_genesys.rate_limit import RequestBudget
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

EXPORTS = "/api/v2/recordings/exports"
MAX_BODY_BYTES = 512_000
"""Genesys' limit ``request.bytes.max``."""

_ORGANIZATION = {
    "id": str(uuid5(UUID(int=0), "fake-genesys")),
    "name": "Fake Genesys Cloud",
    "defaultLanguage": "en-us",
    "defaultCountryCode": "CH",
    "state": "active",
}


class Resource(Protocol):
    """One more part of the API."""

    def answer(self, request: Request) -> Response | None:
        """Answer an authorised request; None if the path belongs to another part."""


class PlatformApi:
    """Answers the API's paths.

    :param exports: the jobs by id; new ones are added.
    :param make: makes the job for an order.
    :param resources: further parts of the API, asked in this order.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: TokenEndpoint,
        signer: Signer,
        exports: dict[str, Export],
        make: Callable[[ExportOrder], Export],
        resources: Sequence[Resource] = (),
    ) -> None:
        self._tokens = tokens
        self._signer = signer
        self._settings = settings
        self._exports = exports
        self._make = make
        self._resources = resources
        self._budget = RequestBudget(settings)

    def answer(self, request: Request) -> Response:
        """Answer one request to the API."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            message = "No authentication bearer token specified in authorization header."
            return self._budget.describe("", api_error(401, message, "authentication.required"))
        if not self._tokens.accepts(token):
            return self._budget.describe("", api_error(401, "Invalid login credentials."))
        response = self._budget.refusal(token) or self._route(request)
        return self._budget.describe(token, response)

    def _route(self, request: Request) -> Response:
        if len(request.body) > MAX_BODY_BYTES:
            return api_error(413, f"The request body is larger than {MAX_BODY_BYTES} bytes.")
        for resource in self._resources:
            if response := resource.answer(request):
                return response
        path, _, export_id = request.path.partition(f"{EXPORTS}/")
        if export_id and not path:
            return self._one_export(request, export_id)
        actions: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("POST", EXPORTS): self._create,
            ("GET", "/api/v2/organizations/me"): lambda _: json_response(200, _ORGANIZATION),
        }
        action = actions.get((request.method, request.path))
        if action:
            return action(request)
        if request.path in {known for _, known in actions}:
            return api_error(405, f"HTTP {request.method} is not supported by this resource.")
        return api_error(404, "The requested resource was not found.")

    def _create(self, request: Request) -> Response:
        try:
            order = parse_order(request.body)
        except InvalidOrderError as invalid:
            details = [{"errorCode": "invalid.value", "fieldName": invalid.field}]
            return api_error(400, str(invalid), details=details)
        export = self._make(order)
        self._exports[export.id] = export
        return json_response(202, {"exportId": export.id, "status": "QUEUED"})

    def _one_export(self, request: Request, export_id: str) -> Response:
        export = self._exports.get(export_id)
        if export is None:
            return api_error(404, f"Export {export_id} was not found.", entityId=export_id, entityName="export")
        if request.method == "GET":
            response = json_response(200, self._status(export, request.headers.get("Host", "")))
            export.looks += 1
            return response
        if request.method == "DELETE":
            export.cancel()
            return Response(204)
        return api_error(405, f"HTTP {request.method} is not supported by this resource.")

    def _status(self, export: Export, host: str) -> dict[str, Any]:
        status = export.status
        body = {
            "exportId": export.id,
            "status": status,
            "percentComplete": int(export.progress * 100),
            **({"submittedDate": _text(export.submitted)} if self._settings.tells_submission else {}),
            "dateFrom": _text(export.archive.window_start),
            "dateTo": _text(export.archive.window_end),
        }
        if status != "COMPLETED":
            return body
        signed, expires = self._signer.sign(export.path, self._settings.url_seconds)
        return body | {
            "fileUri": f"http://{host}{signed}",
            "expiresAt": _text(expires),
            "fileSize": export.delivered.size,
            "etag": export.delivered.etag,
            **({} if export.records is None else {"recordCount": export.records}),
        }


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
