"""The extras of a connection. They are JSON values, or text if they come from a form or a URI."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.resolved import resolved

_MOST = sys.float_info.max  # infinity is above it
_WANTED = {
    "timeout": "a number of at least 0.001",
    "verify_tls": "true, false or a path",
    "requests_per_minute": "a number of at least 1",
    "request_share": "a number of at least 0.001, at most 1",
    "allowed_download_hosts": "host names without scheme, port and path, separated by commas",
    "allow_insecure": "true or false",
    "archive": "a JSON object",
}


@resolved
class Extras(msgspec.Struct):
    """The extras of a Genesys connection. Unknown extras are ignored."""

    region: str = ""
    login_url: str = ""
    timeout: Annotated[float, Meta(ge=0.001, le=_MOST)] = 60.0
    verify_tls: bool | str = True
    requests_per_minute: Annotated[float, Meta(ge=1, le=_MOST)] = 300
    request_share: Annotated[float, Meta(ge=0.001, le=1)] = 1.0
    allowed_download_hosts: tuple[Annotated[str, Meta(pattern=r"^([^/:]*[^/:\s][^/:]*|[^/]*:[^/]*:[^/]*)$")], ...] = ()
    allow_insecure: bool = False
    archive: dict[str, Any] = {}
    former_client_secret: str = ""


def read_extras(extra: Mapping[str, Any] | None) -> Extras:
    """Read the extras. One that a form leaves empty counts as not given.

    :raises ConfigurationError: an extra has a wrong value; the message names it.
    """
    parsed = {name: _parsed(name, value) if isinstance(value, str) else value for name, value in (extra or {}).items()}
    given = {name: value for name, value in parsed.items() if value not in (None, "")}
    try:
        return msgspec.convert(given, Extras, strict=False)
    except msgspec.ValidationError as error:
        (name,) = re.findall(r"`\$\.(\w+)", str(error))
        shown = "(hidden)" if "secret" in name else given[name]
        raise wrong(name, _WANTED.get(name, "text"), shown) from None


def _parsed(name: str, value: str) -> Any:
    text = value.strip()
    if name == "verify_tls":
        return {"true": True, "false": False}.get(text.lower(), text)
    if name == "allowed_download_hosts":
        return text.replace(",", " ").split()
    try:
        return msgspec.json.decode(text) if name == "archive" else text
    except (msgspec.MsgspecError, RecursionError):
        return text


def wrong(name: str, wanted: str, value: Any) -> ConfigurationError:
    """Return the error for an extra with a wrong value."""
    return ConfigurationError(f"The Genesys connection's extra {name!r} must be {wanted}, not {value!r}.")
