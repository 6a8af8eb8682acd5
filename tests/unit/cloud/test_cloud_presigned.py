from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.presigned import (
    PresignedUrl,
    check_host,
    expires_at,
    redact,
    signatures,
)
from airflow_provider_genesys.exceptions import UntrustedHostError

NOW = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
LATER = datetime(2026, 11, 1, 18, tzinfo=timezone.utc)
HOST = "https://store.s3.eu-west-1.amazonaws.com"
URL = (
    f"{HOST}/exports/archive.ndjson?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261101T120000Z&X-Amz-Expires=86400"
    "&X-Amz-Security-Token=temporary%2Ftoken%3D&X-Amz-Signature=0123456789abcdef"
)


@pytest.mark.parametrize(
    ("query", "died"),
    [
        ("X-Amz-Date=20261101T120000Z&X-Amz-Expires=21600", LATER),
        ("x-amz-expires=21600&x-amz-date=20261101T120000Z", LATER),
        (f"AWSAccessKeyId=A&Expires={int(LATER.timestamp())}&Signature=x", LATER),
        ("sv=2024&se=2026-11-01T18%3A00%3A00Z&sig=x", LATER),
        ("X-Amz-Date=20261101T120000Z&X-Amz-Expires=60&Expires=1", NOW + timedelta(seconds=60)),
    ],
)
def test_the_url_itself_says_when_it_dies(query: str, died: datetime) -> None:
    assert expires_at(f"{HOST}/a?{query}", now=NOW, fallback=NOW) == died


@pytest.mark.parametrize(
    "query",
    [
        "",
        "X-Amz-Date=yesterday&X-Amz-Expires=60",
        "X-Amz-Date=20261101T120000Z&X-Amz-Expires=soon",
        "X-Amz-Date=20261101T120000Z&X-Amz-Expires=" + "9" * 30,
        "X-Amz-Date=20261101T120000Z",
        "Expires=never",
        "Expires=",
        "se=%ff",
        "Expires=" + "9" * 5000,
    ],
)
def test_a_url_that_does_not_say_lives_as_long_as_told_or_a_day(query: str) -> None:
    assert expires_at(f"{HOST}/a?{query}", now=NOW, fallback=LATER) == LATER
    assert expires_at(f"{HOST}/a?{query}", now=NOW) == NOW + timedelta(hours=24)


@given(st.text())
def test_no_text_breaks_what_looks_at_urls(text: str) -> None:
    assert expires_at(text, now=NOW).tzinfo is not None
    assert signatures(text) is not None
    assert "?" not in redact(text)


def test_signatures_are_found_and_harmless_values_are_not() -> None:
    assert signatures(URL) == ["temporary%2Ftoken%3D", "0123456789abcdef", "temporary/token="]
    assert signatures(
        "https://x.blob.core.windows.net/c/b?sv=2024-01-01&se=2026-11-01T18:00:00Z&sp=r&sig=ab%2Bcd%3D"
    ) == [
        "ab%2Bcd%3D",
        "ab+cd=",
    ]
    assert signatures(f"{HOST}/a?Signature=first1&Signature=second") == ["first1", "second"]
    assert signatures(f"{HOST}/a") == []


def test_redacting_leaves_what_may_be_shown() -> None:
    assert redact(URL) == f"{HOST}/exports/archive.ndjson"
    assert redact("https://user:pw@host:8443/p?q#f") == "https://host:8443/p"
    assert redact("https://[bad/x?y=z") == "(not a URL)"


# Where a URL may lead.


def open_settings(make_config: Callable[..., CloudConfig], **given: Any) -> CloudConfig:
    return make_config(**{"allow_insecure": False, **given})


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to: a public address, unless a test says otherwise. No test asks a name server."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        found = known.get(host, ["8.8.8.8"])
        if not found:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize(
    "host",
    [
        "store.s3.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "STORE.S3.AMAZONAWS.COM",
        "store.s3.amazonaws.com.",
        "store.s3.eusc-de-east-1.amazonaws.eu",
        "api-downloads.mypurecloud.com",
        "x.euw2.pure.cloud",
        "x.use2.us-gov-pure.cloud",
        "x.edee1.eusc-pure.cloud",
    ],
)
def test_the_clouds_own_stores_are_allowed(make_config: Callable[..., CloudConfig], host: str) -> None:
    check_host(f"https://{host}/a?b", open_settings(make_config))


@pytest.mark.outcome("download", "the URL leads to another host, to http or to a private address", "UntrustedHostError")
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://evil.example/a", "leads to evil.example, which is not among.*'allowed_download_hosts'"),
        ("https://amazonaws.com.evil.example/a", "is not among"),
        ("https://evilamazonaws.com/a", "is not among"),
        ("https://amazonaws.com/a", "is not among"),
        ("https://store.s3.amazonaws.com@evil.example/a", "user name"),
        ("https://evil.example\\@store.s3.amazonaws.com/a", "user name"),
        ("https://evil.example#@store.s3.amazonaws.com/a", "is not among"),
        ("http://store.s3.amazonaws.com/a", "only https:// is accepted.*'allow_insecure'"),
        ("ftp://store.s3.amazonaws.com/a", "only https://"),
        ("file:///etc/passwd", "only https://"),
        ("//store.s3.amazonaws.com/a", "only https://"),
        ("https:///a", "no host"),
        ("", "only https://"),
        ("https://store.s3.amazonaws.com:port/a", "not a URL at all"),
        ("https://127.0.0.1/a", "leads to 127.0.0.1, which is not among"),
        ("https://169.254.169.254/latest/meta-data", "is not among"),
        ("https://[::1]/a", "leads to ::1, which is not among"),
        ("https://localhost/a", "is not among"),
    ],
)
def test_all_else_is_refused(make_config: Callable[..., CloudConfig], url: str, message: str) -> None:
    with pytest.raises(UntrustedHostError, match=message):
        check_host(url, open_settings(make_config))


def test_no_refusal_shows_a_signature(make_config: Callable[..., CloudConfig]) -> None:
    for url in (
        URL.replace("amazonaws", "evil"),
        URL.replace("https", "http"),
        URL.replace("https://", "https://u:pw@"),
    ):
        with pytest.raises(UntrustedHostError) as caught:
            check_host(url, open_settings(make_config))
        assert "0123456789abcdef" not in str(caught.value)
        assert "pw" not in str(caught.value)


@pytest.mark.outcome("download", "the URL leads to another host, to http or to a private address", "UntrustedHostError")
@pytest.mark.parametrize(
    "address", ["10.1.2.3", "127.0.0.1", "169.254.1.1", "192.168.0.1", "100.64.0.1", "::1", "fd00::1"]
)
def test_a_private_address_must_be_listed_by_its_name(
    make_config: Callable[..., CloudConfig], addresses: dict[str, list[str]], address: str
) -> None:
    addresses["store.s3.amazonaws.com"] = ["8.8.8.8", address]
    with pytest.raises(UntrustedHostError, match="private address and is not listed by its name"):
        check_host("https://store.s3.amazonaws.com/a", open_settings(make_config))
    by_name = open_settings(make_config, allowed_download_hosts=("*.amazonaws.com", "store.s3.amazonaws.com"))
    check_host("https://store.s3.amazonaws.com/a", by_name)


def test_literal_addresses_can_be_listed(make_config: Callable[..., CloudConfig]) -> None:
    config = open_settings(make_config, allowed_download_hosts=("127.0.0.1", "::1"), allow_insecure=True)
    check_host("http://127.0.0.1:9000/a", config)
    check_host("http://[::1]:9000/a", config)


def test_a_name_that_only_a_proxy_can_resolve_is_left_to_it(
    make_config: Callable[..., CloudConfig], addresses: dict[str, list[str]]
) -> None:
    addresses["store.s3.amazonaws.com"] = []
    check_host("https://store.s3.amazonaws.com/a", open_settings(make_config))


def test_a_bare_star_opens_nothing(make_config: Callable[..., CloudConfig]) -> None:
    with pytest.raises(UntrustedHostError):
        check_host("https://evil.example/a", open_settings(make_config, allowed_download_hosts=("*",)))


def test_a_presigned_url_does_not_show() -> None:
    assert "0123456789abcdef" not in repr(PresignedUrl(URL, NOW))
