"""What a task gets from others by XCom. Many people may write one, so its shape is checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.rendered import json_mapping, text

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.certificate import Certificate

LONGEST = 64 * 1024
"""Characters of a text."""
MOST = 2**63
"""Numbers are below it, as PostgreSQL's bigint."""
_DIGEST = re.compile("[0-9a-f]{16}|")


class _Request(TypedDict, total=False):
    filters: dict[str, Any] | None
    options: dict[str, Any] | None


class _Counts(TypedDict, total=False):
    read: int
    written: int
    dead_letters: int
    duplicates: int


class _Shard(TypedDict, total=False):
    number: int


class _Summary(TypedDict, total=False):
    """What of a certificate says which load it is of."""

    location: str
    load_id: str
    export_id: str
    digest: str
    window_start: str | None
    window_end: str | None
    counts: _Counts | None
    shard: _Shard | None


class _Export(TypedDict, total=False):
    """What both the handle and XCom ``export`` may hold; further names are ignored."""

    export_id: str
    kind: str
    state: str | None
    window_start: str | None
    window_end: str | None
    submitted_at: str | None
    file_uri: str | None
    expires_at: str | None
    size: int | None
    etag: str | None
    records: int | None
    fingerprint: str | None
    request: _Request | None


def checked_export(given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a handle, or XCom ``export``, whose fields have the types that this package writes.

    :param name: what it is called in the error.
    :raises ConfigurationError: one has another type.
    """
    # A user's own DAG may make a handle, with times as they are.
    times = {name: one.isoformat() for name, one in given.items() if isinstance(one, datetime)}
    found = json_mapping({**given, **times}, name)
    _check(found, _Export, found, name, "GenesysExportSensor or GenesysCreateExportOperator")
    return found


def checked_summary(given: Any, name: str) -> dict[str, Any]:
    """Return what the summary of a certificate says of the load that it is of; further fields are left out.

    :raises ConfigurationError: a field has another type than this package writes, or there is no location.
    """
    found = json_mapping(given, name)
    summary: dict[str, Any] = _check(found, _Summary, found, name, "a loading operator")
    text(summary.get("location"), f"{name}'s location")
    return summary


def certificate_of(given: Any, name: str) -> Certificate:
    """Return the certificate whose summary a loading operator returned.

    One of an earlier release lacks the newer fields, which have their defaults then.

    :raises ConfigurationError: it is no such summary, or its numbers cannot be those of a load.
    """
    from airflow_provider_genesys.pipeline.certificate import Certificate

    found = json_mapping(given, name)
    certificate = _check({**found, "parts": []}, Certificate, found, name, "a loading operator")
    counts = certificate.counts
    if min(counts.read, counts.written, counts.dead_letters, counts.duplicates, certificate.bytes_read) < 0:
        raise ConfigurationError(f"{name} has a negative number: {counts}. Give it what a loading operator returned.")
    if not _DIGEST.fullmatch(certificate.digest):
        raise ConfigurationError(f"{name} has the digest {shown(certificate.digest, 40)!r}, which is none.")
    return certificate  # type: ignore[no-any-return]  # _check returns what its type says


def _check(value: dict[str, Any], kind: Any, whole: dict[str, Any], name: str, source: str) -> Any:
    import msgspec

    try:
        for problem in _problems(whole):
            raise ConfigurationError(f"{name} has {problem}. Give it what {source} returned.")
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{name} is not what {source} returned: {shown(error)}.") from None


def _problems(value: dict[str, Any]) -> Iterator[str]:
    """Yield what no operator of this package writes."""
    texts = {name: one for name, one in value.items() if isinstance(one, str)}
    yield from (f"control characters in {shown(name, 40)!r}" for name, one in texts.items() if not one.isprintable())
    left: list[Any] = [value]
    while left:
        one = left.pop()
        left += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if isinstance(one, str) and len(one) > LONGEST:
            yield f"a text of {len(one):,} characters"
        if isinstance(one, int) and not -MOST < one < MOST:
            yield "a number of more than 63 bits"
