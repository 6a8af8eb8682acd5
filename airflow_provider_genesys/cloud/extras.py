"""The extras of a connection. They are JSON values, or text if they come from a form or a URI."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.resolved import resolved

_MOST = sys.float_info.max  # infinity is above it
_LONGEST_NAME = 80
_FORM_PREFIX = "extra__genesys_cloud__"
"""What older releases of Airflow put before the name of each extra."""
_WANTED = {
    "timeout": "a number of at least 0.001, at most 86400",
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
    timeout: Annotated[float, Meta(ge=0.001, le=86_400)] = 60.0
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
    if not isinstance(extra or {}, Mapping):
        raise ConfigurationError(
            'The extra of the Genesys connection must be a JSON object, such as {"region": "eu-central-1"}.'
        )
    parsed = {name: _parsed(name, value) if isinstance(value, str) else value for name, value in (extra or {}).items()}
    given = {name: value for name, value in parsed.items() if value not in (None, "")}
    try:
        return msgspec.convert(given, Extras, strict=False)
    except msgspec.ValidationError as error:
        (name,) = re.findall(r"`\$\.(\w+)", str(error))
        value = "(hidden)" if "secret" in name else given[name]
        raise wrong(name, _WANTED.get(name, "text"), value) from None


def misspelt(extra: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield the names in ``extra`` that look like one of ours and are none, each with the name that was meant."""
    known = Extras.__struct_fields__
    for name in extra or {}:
        plain = str(name)[:_LONGEST_NAME].lower().replace("-", "_").removeprefix(_FORM_PREFIX)
        if name not in known and (near := get_close_matches(plain, known, n=1, cutoff=0.8)):
            yield str(name), near[0]


def _parsed(name: str, value: str) -> Any:
    text = value.strip()
    if not is_text(text):
        raise wrong(name, "text", "(bytes that are no text)")
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
    written = repr(shown(value, _LONGEST_NAME)) if isinstance(value, str) else shown(value, _LONGEST_NAME)
    return ConfigurationError(f"The Genesys connection's extra {name!r} must be {wanted}, not {written}.")


def is_text(value: str) -> bool:
    """Whether UTF-8 can hold ``value``: not so what Python makes of other bytes in an environment variable."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
