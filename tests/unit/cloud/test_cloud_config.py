from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.cloud.config import DOWNLOAD_HOSTS, ArchiveApi, CloudConfig
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import ConfigurationError


def parts(**given: Any) -> CloudConfig:
    return CloudConfig.from_connection(**{"login": "id", "password": "secret", **given})


def test_a_region_is_enough() -> None:
    config = parts(extra={"region": "eu-central-1"})
    assert config == CloudConfig("id", "secret", "https://api.mypurecloud.de", "https://login.mypurecloud.de")
    assert (config.timeout, config.verify, config.requests_per_minute) == (60.0, True, 300)
    assert config.allowed_download_hosts == DOWNLOAD_HOSTS
    assert not config.allow_insecure
    assert config.archive == ArchiveApi(path="/api/v2/recordings/exports", id_field="exportId", uri_field="fileUri")


def test_what_a_form_leaves_empty_counts_as_not_given() -> None:
    empty = dict.fromkeys(
        ["login_url", "timeout", "verify_tls", "requests_per_minute", "allowed_download_hosts", "allow_insecure"]
    )
    for nothing in ("", None):
        extra = {**dict.fromkeys(empty, nothing), "archive": nothing, "region": "eu-west-1"}
        assert parts(host="", schema=None, extra=extra) == parts(extra={"region": "eu-west-1"})


def test_extras_may_be_text() -> None:
    config = parts(
        host="http://127.0.0.1:8080/",
        extra={
            "login_url": "http://127.0.0.1:8080/",
            "timeout": "30",
            "verify_tls": "False",
            "requests_per_minute": "120",
            "allowed_download_hosts": "127.0.0.1, *.Store.Example.com. ::1",
            "allow_insecure": "true",
            "archive": '{"path": "/exports", "id_field": "id"}',
            "of_another_tool": "is ignored",
        },
    )
    assert (config.api_url, config.login_url) == ("http://127.0.0.1:8080", "http://127.0.0.1:8080")
    assert (config.timeout, config.verify, config.requests_per_minute) == (30.0, False, 120)
    assert config.allowed_download_hosts == ("127.0.0.1", "*.store.example.com", "::1")
    assert config.allow_insecure
    assert (config.archive.path, config.archive.id_field, config.archive.state_field) == ("/exports", "id", "status")


def test_extras_may_be_json() -> None:
    config = parts(
        extra={
            "region": "eu-west-1",
            "timeout": 2.5,
            "verify_tls": "/etc/ssl/our-ca.pem",
            "requests_per_minute": 10,
            "allowed_download_hosts": ["a.example.com"],
            "allow_insecure": False,
            "archive": {"export_type": "media"},
        }
    )
    assert (config.timeout, config.verify, config.requests_per_minute) == (2.5, "/etc/ssl/our-ca.pem", 10)
    assert config.allowed_download_hosts == ("a.example.com",)
    assert config.archive.export_type == "media"


@pytest.mark.parametrize(
    ("given", "api_url", "login_url"),
    [
        ({"host": "https://api.gw.example.com"}, "https://api.gw.example.com", "https://login.gw.example.com"),
        ({"host": "api.gw.example.com"}, "https://api.gw.example.com", "https://login.gw.example.com"),
        (
            {"host": "gw.example.com", "port": 8443, "schema": "https", "extra": {"login_url": "https://sso.example"}},
            "https://gw.example.com:8443",
            "https://sso.example",
        ),
        (
            {"host": "https://gw.example.com/genesys/", "extra": {"region": "eu-west-1"}},
            "https://gw.example.com/genesys",
            "https://login.mypurecloud.ie",
        ),
        (
            {"extra": {"region": "eu-west-1", "login_url": "https://sso.example/"}},
            "https://api.mypurecloud.ie",
            "https://sso.example",
        ),
    ],
)
def test_what_is_written_out_wins_over_what_follows(given: dict[str, Any], api_url: str, login_url: str) -> None:
    config = parts(**given)
    assert (config.api_url, config.login_url) == (api_url, login_url)


REGION = {"region": "eu-west-1"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"does not say where.*'region'.*host"),
        ({"login": None, "extra": REGION}, r"no OAuth client id \(login\)"),
        ({"password": " ", "extra": REGION}, r"no OAuth client secret \(password\)"),
        ({"extra": {"region": "eu-west-9"}}, r"no region 'eu-west-9'.*Known regions: us-east-1"),
        ({"extra": {"region": 7}}, "'region' must be text, not 7"),
        ({"host": "https://gw.example.com"}, "No login host follows.*'login_url'"),
        ({"host": "http://api.example.com"}, r"\(host\) is http://.*'allow_insecure'"),
        ({"host": "api.example.com", "schema": "http"}, r"\(host\) is http://"),
        ({"extra": {**REGION, "login_url": "http://sso.example"}}, "login_url is http://"),
        ({"host": "ftp://api.example.com"}, r"\(host\) must be a base URL"),
        ({"host": "https://api.example.com?x=1"}, r"\(host\) must be a base URL"),
        ({"host": "https://api.example.com#x"}, r"\(host\) must be a base URL"),
        ({"host": "https://user:pw@api.example.com"}, r"\(host\) must be a base URL"),
        ({"host": "https://api.[example.com"}, r"\(host\) must be a base URL"),
        ({"host": "https://api.example.com:99999"}, r"\(host\) must be a base URL"),
        ({"extra": {**REGION, "login_url": "sso.example"}}, "login_url must be a base URL"),
        (
            {"extra": {**REGION, "timeout": "soon"}},
            "'timeout' must be a number of at least 0.001, at most 86400, not 'soon'",
        ),
        ({"extra": {**REGION, "timeout": 0}}, "'timeout' must be"),
        ({"extra": {**REGION, "timeout": "nan"}}, "'timeout' must be"),
        ({"extra": {**REGION, "timeout": "inf"}}, "'timeout' must be"),
        ({"extra": {**REGION, "timeout": True}}, "'timeout' must be"),
        ({"extra": {**REGION, "requests_per_minute": 0}}, "'requests_per_minute' must be a number of at least 1"),
        ({"extra": {**REGION, "requests_per_minute": [1]}}, "'requests_per_minute' must be"),
        ({"extra": {**REGION, "request_share": 0}}, "'request_share' must be a number of at least 0.001, at most 1"),
        ({"extra": {**REGION, "request_share": 1.5}}, "'request_share' must be"),
        ({"extra": {**REGION, "allow_insecure": "perhaps"}}, "'allow_insecure' must be true or false, not 'perhaps'"),
        ({"extra": {**REGION, "verify_tls": 2}}, "'verify_tls' must be true, false or a path, not 2"),
        ({"extra": {**REGION, "allowed_download_hosts": "https://s3.example.com"}}, "without scheme, port and path"),
        ({"extra": {**REGION, "allowed_download_hosts": "s3.example.com:9000"}}, "without scheme, port and path"),
        ({"extra": {**REGION, "allowed_download_hosts": ["s3.example.com", 5]}}, r"not \['s3.example.com', 5\]"),
        ({"extra": {**REGION, "allowed_download_hosts": 5}}, "'allowed_download_hosts' must be"),
        ({"extra": {**REGION, "archive": "{"}}, "'archive' must be a JSON object"),
        ({"extra": {**REGION, "archive": "[]"}}, "'archive' must be a JSON object"),
        ({"extra": {**REGION, "archive": {"pth": "/x"}}}, "members out of path, type_field"),
        ({"extra": {**REGION, "archive": {"id_field": ""}}}, "'archive' must be an object of texts"),
        ({"extra": {**REGION, "archive": {"id_field": 1}}}, "'archive' must be an object of texts"),
        ({"extra": {**REGION, "archive": {"path": "exports"}}}, "'archive.path' must be a path that begins with '/'"),
        ({"extra": {**REGION, "archive": {"path": "/exports/"}}}, "'archive.path' must be"),
        ({"extra": {**REGION, "archive": {"path": "/exports?a=b"}}}, "'archive.path' must be"),
        ({"extra": [1, 2]}, "extra of the Genesys connection must be a JSON object"),
        ({"extra": '{"region": "eu-west-1"}'}, "extra of the Genesys connection must be a JSON object"),
        ({"extra": {**REGION, "timeout": 1e308}}, "'timeout' must be a number of at least 0.001, at most 86400"),
        ({"extra": {**REGION, "login_url": "https://sso example"}}, "login_url must be a base URL"),
        ({"extra": {**REGION, "login_url": "https://sso\n.example"}}, "login_url must be a base URL"),
        ({"host": "https://api.example.com\\x"}, r"\(host\) must be a base URL"),
        ({"host": "https://api.\x00example.com"}, r"\(host\) must be a base URL"),
        ({"password": "\udcff", "extra": REGION}, r"no text"),
        ({"extra": {**REGION, "archive": "\udcff"}}, "'archive' must be text"),
        ({"extra": {**REGION, "allow_insecure": "\udcff"}}, "'allow_insecure' must be text"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parts(**given)


def test_a_name_that_looks_like_an_extra_is_told_and_no_other_one() -> None:
    extra = {
        **REGION,
        "Timeout": 5,
        "request_per_minute": 60,
        "verify-tls": False,
        "of_another_tool": 1,
        "region_name": 2,
    }
    config = parts(extra=extra)
    assert dict(config.misspelt_extras) == {
        "Timeout": "timeout",
        "request_per_minute": "requests_per_minute",
        "verify-tls": "verify_tls",
    }
    assert "The extra 'request_per_minute' is ignored. Did you mean 'requests_per_minute'?" in config.warnings


@pytest.mark.parametrize("name", ["region", "timeout", "verify_tls", "allowed_download_hosts", "archive"])
@pytest.mark.parametrize("value", [10**400, {"a": "x" * 100_000}, ["x" * 100_000, 1]])
def test_what_is_shown_of_a_wrong_extra_is_short(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        parts(extra={**REGION, name: value})
    assert len(str(caught.value)) < 1_000


def test_a_path_of_certificates_that_cannot_be_one_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'verify_tls'"):
        CloudClient(parts(extra={**REGION, "verify_tls": "/etc/\x00"}), on_secret=lambda _: None)


def test_no_secret_in_representations_and_messages() -> None:
    assert "secret" not in repr(parts(extra=REGION)).replace("client_secret", "")
    with pytest.raises(ConfigurationError) as caught:
        parts(host="https://user:hunter22@api.example.com")
    assert "hunter22" not in str(caught.value)
