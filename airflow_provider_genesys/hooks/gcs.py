"""Buckets of Google Cloud Storage by a connection of Airflow."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_genesys.exceptions import ConfigurationError, MissingExtraError
from airflow_provider_genesys.hooks.connections import read_connection, readable
from airflow_provider_genesys.outside import shown

SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_PREFIX = "extra__google_cloud_platform__"
"""What older releases of Airflow put before the name of each extra."""
_OWN = ("keyfile_dict", "key_path", "is_anonymous")
_OF_THE_HOOK = ("credential_config_file", "idp_issuer_url", "impersonation_chain", "key_secret_name")
"""Extras for which Airflow's own hook is needed."""


def gcs_bucket(conn_id: str, name: str) -> Any:
    """Return a ``google.cloud.storage.Bucket``. No request is made.

    The credentials are those that Airflow's own Google hook finds, if its provider is installed. Otherwise they are a
    service account's key (extra ``keyfile_dict`` or ``key_path``), none (``is_anonymous``), or those of the machine.
    The extra ``endpoint_url`` names another endpoint than Google's.

    :raises ConfigurationError: the connection has extras for which the hook is needed, or that exclude each other.
    :raises MissingExtraError: Google's client is not installed.
    """
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client
    except ImportError as error:
        raise MissingExtraError(
            "Google Cloud Storage needs its client. Run: pip install 'airflow-provider-genesys[google]'"
        ) from error
    extras = _extras(read_connection(conn_id, "google_cloud_platform").extra_dejson)
    endpoint = extras.get("endpoint_url") or None
    if endpoint and not str(endpoint).startswith("https://") and not extras.get("is_anonymous"):
        raise ConfigurationError(
            f"The endpoint_url of the connection {conn_id} does not begin with https://, so the credentials would be "
            "sent in clear. Correct it; an emulator is used without credentials, with the extra is_anonymous."
        )
    with readable(conn_id, OSError, GoogleAuthError):
        credentials, project = _credentials(conn_id, extras)
    options = {"api_endpoint": endpoint} if endpoint else None
    with readable(conn_id):
        client = Client(project=project, credentials=credentials, client_options=options)
    try:
        return client.bucket(name)
    except ValueError as error:
        raise ConfigurationError(f"{shown(name, 80)!r} is no name of a bucket: {shown(error)}.") from None


def _extras(given: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(_PREFIX): value for name, value in given.items() if value not in (None, "")}


def _credentials(conn_id: str, extras: dict[str, Any]) -> tuple[Any, str | None]:
    """Return the credentials and the project, which may be None."""
    try:
        from airflow.providers.google.common.hooks.base_google import GoogleBaseHook
    except ImportError:
        return _own_credentials(conn_id, extras)
    found: tuple[Any, str | None] = GoogleBaseHook(gcp_conn_id=conn_id).get_credentials_and_project_id()
    return found


def _own_credentials(conn_id: str, extras: dict[str, Any]) -> tuple[Any, str | None]:
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.oauth2.service_account import Credentials

    if unknown := sorted(set(_OF_THE_HOOK) & extras.keys()):
        raise ConfigurationError(
            f"The connection {conn_id} has {', '.join(unknown)}, which Airflow's own Google hook reads. Run: "
            f"pip install apache-airflow-providers-google, or use {', '.join(_OWN)} or the machine's credentials."
        )
    project = extras.get("project") or extras.get("project_id")
    if extras.get("is_anonymous"):
        return AnonymousCredentials(), project
    if key := extras.get("keyfile_dict"):
        info = json.loads(key) if isinstance(key, str) else key
        made = Credentials.from_service_account_info(info, scopes=SCOPES)
    elif path := extras.get("key_path"):
        made = Credentials.from_service_account_file(path, scopes=SCOPES)
    else:
        made, of_machine = google.auth.default(scopes=SCOPES)
        return made, project or of_machine
    return made, project or made.project_id
