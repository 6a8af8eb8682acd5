"""The hook: makes a Genesys Cloud client from an Airflow connection."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, cached_property, partial
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import (
    ExportRequest,
    ExportStatus,
    PagedFamily,
    QueryFamily,
    StartedFamily,
)
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    DeadLetterError,
    GenesysError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_genesys.get_provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_provider_genesys.hooks.connections import read_connection
from airflow_provider_genesys.outside import shown

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

    from airflow_provider_genesys.cloud.http.client import CloudClient
    from airflow_provider_genesys.cloud.presigned import PresignedUrl

log = logging.getLogger(__name__)

_DEAD_LETTERS = "dead letters"

_BUTTON_PATIENCE = 2.0
"""Seconds. A person who tests the connection wants to see an error soon, not after many retries."""


@cache
def _warn_once(conn_id: str, warning: str) -> None:
    """Log a warning once in a process: a triggerer makes many hooks."""
    log.warning("Connection %r: %s", conn_id, warning)


class GenesysCloudHook(BaseHook):
    """
    Talk to Genesys Cloud with the OAuth client of a connection.

    Nothing is read or opened before the first call. The connection, its extras and the permissions that the OAuth
    client needs are described in ``docs/connection.md``. Use it in a ``with`` statement, or :meth:`close` it.

    :param genesys_conn_id: the connection to Genesys Cloud.
    :param patience: seconds during which one call retries. Triggers poll again anyway, so they use few.
    """

    conn_name_attr = "genesys_conn_id"
    default_conn_name = "genesys_default"
    conn_type = "genesys_cloud"
    hook_name = "Genesys Cloud"

    def __init__(self, genesys_conn_id: str = default_conn_name, *, patience: float = 120.0) -> None:
        super().__init__()
        self.genesys_conn_id = genesys_conn_id
        self.patience = patience

    @cached_property
    def config(self) -> CloudConfig:
        """
        The settings of the connection.

        :raises ConfigurationError: a field is missing or wrong; the message names the connection and the field.
        """
        connection = read_connection(self.genesys_conn_id, self.conn_type)
        try:
            config = CloudConfig.from_connection(
                login=connection.login,
                password=connection.password,
                host=connection.host,
                schema=connection.schema,
                port=connection.port,
                extra=connection.extra_dejson,
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"Connection {self.genesys_conn_id!r}: {error}") from None
        for warning in config.warnings:
            _warn_once(self.genesys_conn_id, warning)
        return config

    @cached_property
    def _client(self) -> CloudClient:
        from airflow_provider_genesys.cloud.http.client import CloudClient

        return CloudClient(self.config, on_secret=mask_secret, patience=self.patience)

    def get_conn(self) -> CloudClient:
        """Return the hook's one client. Its secrets are masked in the task's log."""
        return self._client

    def close(self) -> None:
        """
        Give up this hook's share of connections and token refresh. The process's last user ends both.

        A hook that is used again opens again.
        """
        if "_client" in vars(self):
            self._client.close()

    def __enter__(self) -> GenesysCloudHook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def get_token(self) -> str:
        """
        Return an OAuth token for your own requests to Genesys Cloud. It is masked in the task's log.

        It is valid for at least another half minute, unless the token endpoint has failed for a while. From the first
        call until :meth:`close` it is renewed in the background. So ask for a token before each request.

        :raises AuthenticationError: client id, secret or region are wrong.
        :raises CloudUnavailableError: there is no token, and the token endpoint gives none.
        """
        return self._client.token()

    def token_provider(self) -> Callable[[], str]:
        """Return :meth:`get_token` as a function, for code that asks for a token before each request."""
        return self.get_token

    def create_export(self, kind: str, request: ExportRequest) -> str:
        """
        Ask Genesys for an export and return its id.

        :param kind: the kind of export, e.g. ``recordings``.
        :param request: window, filters and format.
        """
        return family(kind, self.config).create(self._client, request)

    def get_export(self, export_id: str, kind: str) -> ExportStatus:
        """
        Ask for the state of an export.

        :raises NotFoundError: Genesys does not know the export, or not for this OAuth client.
        """
        return family(kind, self.config).status(self._client, export_id)

    def jobs_of(self, export_id: str, kind: str) -> list[str]:
        """Return the ids of an export's jobs, for kinds that can be asked for again; else none."""
        found = family(kind, self.config)
        if isinstance(found, StartedFamily) or not isinstance(found, PagedFamily):
            return []
        return found.jobs(export_id)

    def start_export(self, export_id: str, kind: str) -> ExportStatus:
        """Start an export that is READY. It is still READY if it has to wait until others end."""
        found = family(kind, self.config)
        if not isinstance(found, StartedFamily):
            raise ConfigurationError(f"Exports of kind {kind!r} begin by themselves.")
        return found.start(self._client, export_id)

    def cancel_export(self, export_id: str, kind: str) -> bool:
        """Cancel an export. Return False if there is nothing to cancel, or if the API cannot cancel."""
        return family(kind, self.config).cancel(self._client, export_id)

    def available_until(self, kind: str) -> datetime | None:
        """Return the time up to which Genesys has all data of a kind (aware); None if it does not say."""
        found = family(kind, self.config)
        return found.available_until(self._client) if isinstance(found, QueryFamily) else None

    def make_handle(
        self, status: ExportStatus, *, window_start: datetime | None = None, window_end: datetime | None = None
    ) -> dict[str, Any]:
        """
        Return the handle of an export for XCom: JSON-serialisable, times in ISO 8601 UTC, the file's URL encrypted.

        {export_id, kind, state, window_start, window_end, file_uri, expires_at, size, etag, records, submitted_at};
        what Genesys does not say is None.

        :param status: the export.
        :param window_start: start of its window, aware; None for what Genesys says.
        :param window_end: end of its window, aware; None for what Genesys says.
        """
        from airflow_provider_genesys.cloud.exports.handle import make_handle

        return make_handle(status, self.config, window_start=window_start, window_end=window_end)

    def open_file_uri(self, handle: dict[str, Any], *, fresh: bool = False) -> PresignedUrl:
        """
        Return the clear URL of an export's file; it is masked in the task's log.

        :param handle: from :meth:`make_handle`; ``export_id`` and ``kind`` are enough. Its URL is used if it is valid
            for another 5 minutes and the client secret, or the one before it, is the one that encrypted it.
        :param fresh: ask Genesys for a new URL in any case.
        :raises ExportGoneError: the export has expired or was deleted.
        :raises ExportFailedError: the export ended without a file.
        :raises UrlExpiredError: Genesys knows the export but gives an expired URL.
        :raises UntrustedHostError: the connection does not allow downloads from the URL's host.
        """
        from airflow_provider_genesys.cloud.exports.handle import open_handle

        return open_handle(handle, self._client, fresh=fresh)

    def cipher(self, purpose: str) -> MultiFernet:
        """
        Return a cipher that only this connection opens; each ``purpose`` has its own key.

        It encrypts with the client secret, and decrypts with that and with ``former_client_secret``.
        """
        from airflow_provider_genesys.cloud.seal import cipher

        return cipher(self.config.client_secrets, purpose)

    def encrypt_dead_letter(self, raw: bytes, bound_to: bytes) -> bytes:
        """
        Encrypt the bytes of a record with the connection's client secret; :meth:`open_dead_letter` undoes it.

        :param bound_to: what they belong to. They open together with the same only.
        """
        from airflow_provider_genesys.cloud.seal import encrypt

        return encrypt(raw, self.config.client_secrets[0], _DEAD_LETTERS, bound_to)

    def open_dead_letter(self, letter: Mapping[str, Any], *, client_secret: str | None = None) -> bytes:
        """
        Return the exact bytes of a dead-lettered record. They hold personal data: do not log them.

        :param letter: the dead letter: a row of ``genesys_dead_letters``, or a line of a file below ``_dead_letters/``.
            Of a row, ``raw``, ``raw_form``, ``load_id``, ``shard``, ``export_id`` and ``source_offset`` are enough.
        :param client_secret: the connection's client secret when the record was dead-lettered; default: the client
            secret of today, and the connection's extra ``former_client_secret``.
        :raises DeadLetterError: the bytes were not kept, were encrypted with another client secret, or are those of
            another letter.
        """
        from cryptography.exceptions import InvalidTag

        from airflow_provider_genesys.cloud.seal import decrypt
        from airflow_provider_genesys.sinks.dead_letters import opened

        secrets = [client_secret] if client_secret else self.config.client_secrets
        try:
            return opened(letter, partial(decrypt, secrets=secrets, purpose=_DEAD_LETTERS))
        except InvalidTag:
            raise DeadLetterError(
                f"The dead letter was encrypted with another client secret than connection {self.genesys_conn_id!r} "
                "has now, or its bytes are those of another letter. If the secret was rotated, set the former one as "
                "the connection's extra 'former_client_secret'."
            ) from None

    def test_connection(self) -> tuple[bool, str]:
        """Get a token and make one request. Return whether that worked, and what to tell the user."""
        try:
            return True, self.greet()
        except GenesysError as error:
            # Airflow tests under an id that nobody has given.
            return False, str(error).removeprefix(f"Connection {self.genesys_conn_id!r}: ")

    def greet(self) -> str:
        """Get a token, make one request, and return a sentence that says whom the API takes the client for.

        :raises GenesysError: that does not work.
        """
        from airflow_provider_genesys.cloud.http.client import CloudClient

        try:
            with CloudClient(self.config, on_secret=mask_secret, patience=_BUTTON_PATIENCE) as client:
                organization = client.request("GET", "/api/v2/organizations/me")
        except (NotFoundError, PermissionDeniedError):
            # A gateway may offer exports only. The token was accepted all the same.
            organization = None
        name = organization.get("name") if isinstance(organization, dict) else None
        of = f" of organisation {shown(name, 80)}" if name else ""
        return " ".join(
            [f"Genesys Cloud at {self.config.api_url} accepts the OAuth client{of}.", *self.config.warnings]
        )

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the form for Airflow 3.1; newer ones read them from the provider's metadata."""
        forms = import_module("wtforms")
        # Where Airflow puts its stand-ins for a WTForms that is not installed. On Python 3.10 these are two places.
        validators = forms.validators if sys.version_info < (3, 11) else import_module("wtforms.validators")
        classes = {"boolean": forms.BooleanField, "integer": forms.IntegerField, "string": forms.StringField}
        widgets = {}
        for name, field in CONNECTION_FIELDS.items():
            schema = field["schema"]
            checks = [validators.any_of(schema["enum"])] if "enum" in schema else []
            form = forms.PasswordField if schema.get("format") == "password" else classes[schema["type"][0]]
            widgets[name] = form(
                field["label"],
                validators=[validators.Optional(), *checks],
                description=field["description"],
                default=schema["default"],
            )
        return widgets

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the standard fields of the form look in Airflow 3.1."""
        return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}
