"""The settings of a connection: OAuth client, organisation, limits and hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn
from urllib.parse import urlsplit

from airflow_provider_genesys.cloud.extras import Extras, is_text, misspelt, read_extras, wrong
from airflow_provider_genesys.cloud.regions import base_urls
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown

DOWNLOAD_HOSTS = (
    "*.amazonaws.com",
    "*.amazonaws.eu",
    "*.mypurecloud.com",
    "*.mypurecloud.ie",
    "*.mypurecloud.de",
    "*.mypurecloud.com.au",
    "*.mypurecloud.jp",
    "*.pure.cloud",
    "*.us-gov-pure.cloud",
    "*.eusc-pure.cloud",
)
"""Where Genesys Cloud keeps exports: S3 (``.eu`` is AWS' European Sovereign Cloud) and its own domains."""


@dataclass(frozen=True)
class ArchiveApi:
    """Path and field names of the archive export, for organisations that offer it through their own gateway.

    ``*_field`` are names of members. Those up to ``include_field`` are in the request's body, the others in responses.
    """

    path: str = "/api/v2/recordings/exports"
    type_field: str = "exportType"
    export_type: str = "recordings"
    filter_field: str = "filter"
    from_field: str = "dateFrom"
    to_field: str = "dateTo"
    format_field: str = "format"
    include_field: str = "include"
    id_field: str = "exportId"
    state_field: str = "status"
    uri_field: str = "fileUri"
    expires_field: str = "expiresAt"
    size_field: str = "fileSize"
    etag_field: str = "etag"
    records_field: str = "recordCount"
    submitted_field: str = "submittedDate"
    progress_field: str = "percentComplete"
    message_field: str = "errorMessage"


@dataclass(frozen=True)
class CloudConfig:
    """Everything that a :class:`~airflow_provider_genesys.cloud.http.client.CloudClient` needs to know."""

    client_id: str
    client_secret: str = field(repr=False)
    former_client_secret: str = field(default="", repr=False, kw_only=True)
    """The client secret before it was rotated; empty where there is none."""
    api_url: str
    """Base URL of the API, no trailing slash."""
    login_url: str
    """Base URL of the token endpoint, no trailing slash; ``/oauth/token`` is added."""
    timeout: float = 60.0
    """Seconds to wait for each next byte, and for a connection up to 10."""
    verify: bool | str = True
    """Whether to check certificates; or the path of a file or folder of certificates to trust."""
    requests_per_minute: int = 300
    """Budget of this OAuth client."""
    request_share: float = 1.0
    """Share of that budget that this process may use, above 0 and up to 1."""
    allowed_download_hosts: tuple[str, ...] = DOWNLOAD_HOSTS
    """Host names, or ``*.domain`` for every host below it."""
    allow_insecure: bool = False
    """Whether ``http://`` is accepted."""
    archive: ArchiveApi = ArchiveApi()
    misspelt_extras: tuple[tuple[str, str], ...] = ()
    """Extras that are ignored though they look like one of ours, each with the name that was meant."""

    @classmethod
    def from_connection(
        cls,
        *,
        login: str | None,
        password: str | None,
        host: str | None = None,
        schema: str | None = None,
        port: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> CloudConfig:
        """Read the parts of an Airflow connection. Extras may be text, because forms and URIs give text.

        :param host: API base URL, or a bare host name (then ``schema``, ``https`` by default, and ``port`` count).
        :raises ConfigurationError: a part is missing or wrong; the message names it.
        """
        given = read_extras(extra)
        api_url, login_url = _urls(_base_url(host, schema, port), given)
        return cls(
            client_id=_required("OAuth client id (login)", login),
            client_secret=_required("OAuth client secret (password)", password),
            former_client_secret=given.former_client_secret.strip(),
            api_url=api_url,
            login_url=login_url,
            timeout=given.timeout,
            verify=given.verify_tls,
            requests_per_minute=int(given.requests_per_minute),
            request_share=given.request_share,
            allowed_download_hosts=_hosts(given.allowed_download_hosts) or DOWNLOAD_HOSTS,
            allow_insecure=given.allow_insecure,
            archive=_archive(given.archive),
            misspelt_extras=tuple(misspelt(extra)),
        )

    @property
    def client_secrets(self) -> list[str]:
        """What may open something that was encrypted: the client secret, and the one before it."""
        return [self.client_secret, *filter(None, [self.former_client_secret])]

    @property
    def warnings(self) -> list[str]:
        """What of these settings lets others read or change what is sent, or is ignored: sentences for the log."""
        found = []
        if self.allow_insecure:
            found.append("allow_insecure is set: http:// is accepted, which sends secrets and data in the clear.")
        if not self.verify:
            found.append("verify_tls is false: nobody checks which server gets secrets and data.")
        ignored = [
            f"The extra {shown(name, 80)!r} is ignored. Did you mean {meant!r}?" for name, meant in self.misspelt_extras
        ]
        return [f"{one} Set it for test servers only." for one in found] + ignored

    @property
    def request_budget(self) -> float:
        """Requests per minute that this process may make with this OAuth client."""
        return self.requests_per_minute * self.request_share


def _required(name: str, value: str | None) -> str:
    if not value or not value.strip():
        raise ConfigurationError(f"The Genesys connection has no {name}.")
    if not is_text(value):
        raise ConfigurationError(f"The Genesys connection's {name} has bytes that are no text. Set it again.")
    return value.strip()


def _base_url(host: str | None, schema: str | None, port: int | None) -> str:
    host = (host or "").strip().rstrip("/")
    if not host or "://" in host:
        return host
    return f"{schema or 'https'}://{host}{f':{port}' if port else ''}"


def _urls(api_url: str, given: Extras) -> tuple[str, str]:
    """Return (api_url, login_url). A URL that is given wins over the one of the region."""
    insecure = given.allow_insecure
    of_region = base_urls(given.region) if given.region else ("", "")
    api_url = _checked("API base URL (host)", api_url or of_region[0] or _nowhere(), insecure=insecure)
    login_url = given.login_url.rstrip("/") or of_region[1] or _derived_login(api_url)
    return api_url, _checked("login_url", login_url, insecure=insecure)


def _nowhere() -> NoReturn:
    raise ConfigurationError(
        "The Genesys connection does not say where your organisation is. Set extra 'region' (e.g. eu-central-1), "
        "or host to the API base URL (e.g. https://api.mypurecloud.de)."
    )


def _derived_login(api_url: str) -> str:
    login_url = api_url.replace("//api.", "//login.", 1)
    if login_url == api_url:
        raise ConfigurationError(
            f"No login host follows from the Genesys connection's host {api_url}, because its name does not begin "
            "with 'api.'. Set extra 'login_url' to the base URL of the token endpoint."
        )
    return login_url


def _checked(name: str, url: str, *, insecure: bool) -> str:
    if not _is_base_url(url):
        raise ConfigurationError(
            f"The Genesys connection's {name} must be a base URL such as https://api.mypurecloud.com: http or https, "
            "a host, perhaps a port and a path, and no user name, '?', '#' or space."
        )
    if url.startswith("http://") and not insecure:
        raise ConfigurationError(
            f"The Genesys connection's {name} is http://, which would send the client secret in the clear. Use "
            "https://, or, for a test server only, set extra 'allow_insecure' to true."
        )
    return url


_NOT_IN_URLS = re.compile(r"[\s\x00-\x20\x7f\\\ud800-\udfff]")


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        extras = parts.query or parts.fragment or "@" in parts.netloc or parts.port == 0 or _NOT_IN_URLS.search(url)
    except ValueError:
        return False
    return url.startswith(("http://", "https://")) and bool(parts.hostname) and not extras


def _hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip().strip("[]").rstrip(".").lower() for name in names)


def _archive(settings: dict[str, Any]) -> ArchiveApi:
    known = [one.name for one in fields(ArchiveApi)]
    texts = all(isinstance(value, str) and value for value in settings.values())
    if not texts or not set(settings) <= set(known):
        raise wrong("archive", f"an object of texts with members out of {', '.join(known)}", settings)
    archive = ArchiveApi(**settings)
    if not re.fullmatch(r"/[^?#]*[^?#/]", archive.path):
        raise wrong("archive.path", "a path that begins with '/', such as /api/v2/recordings/exports", archive.path)
    return archive
