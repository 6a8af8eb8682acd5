from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.models.connection import Connection
from scripted_server import TOKEN_PATH, Reply, ScriptedServer

from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState, ExportStatus
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    DeadLetterError,
    ExportFailedError,
    ExportGoneError,
    NotFoundError,
    UntrustedHostError,
    UrlExpiredError,
)
from airflow_provider_genesys.get_provider_info import get_provider_info
from airflow_provider_genesys.hooks import genesys as hook_module
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRows, RawBytes
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.testing.sink_conformance.source import make_load

PATH = "/api/v2/recordings/exports"
ONE = f"GET {PATH}/export-1"
START = datetime(2026, 11, 1, tzinfo=timezone.utc)
END = datetime(2026, 11, 2, tzinfo=timezone.utc)
Connect = Callable[..., None]

pytestmark = pytest.mark.usefixtures("connect")


def presigned(seconds: float = 86_400, signature: str = "abcdef0123456789") -> str:
    """A URL that has ``seconds`` to live."""
    signed = datetime.now(timezone.utc) - timedelta(days=1)
    return (
        f"https://127.0.0.1:9/archive.ndjson?X-Amz-Date={signed:%Y%m%dT%H%M%SZ}"
        f"&X-Amz-Expires={int(seconds) + 86_400}&X-Amz-Signature={signature}"
    )


def completed(url: str | None = None, **more: Any) -> Reply:
    return Reply(200, {"status": "COMPLETED", "fileUri": url or presigned(), **more})


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Airflow is told to mask."""
    told: list[str] = []
    monkeypatch.setattr(hook_module, "mask_secret", told.append)
    return told


def test_making_a_hook_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_GENESYS_DEFAULT")
    hook = GenesysCloudHook()
    assert hook.genesys_conn_id == "genesys_default"
    assert GenesysCloudHook("other").genesys_conn_id == "other"


def test_config_and_client_are_made_once(connect: Connect, server: ScriptedServer) -> None:
    hook = GenesysCloudHook()
    client = hook.get_conn()
    connect(login_url="http://127.0.0.1:1")
    assert hook.get_conn() is client
    assert hook.config is client.config
    assert hook.config.login_url == server.url


def test_a_connection_may_be_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", "genesys-cloud://id:se%40cret@/?region=eu-west-1&timeout=30")
    config = GenesysCloudHook().config
    assert (config.client_id, config.client_secret, config.api_url, config.timeout) == (
        "id",
        "se@cret",
        "https://api.mypurecloud.ie",
        30.0,
    )


def test_a_gateway_may_be_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_GENESYS_DEFAULT",
        "genesys-cloud://id:secret@127.0.0.1:8080/http?allow_insecure=true&login_url=http%3A%2F%2F127.0.0.1%3A8081",
    )
    config = GenesysCloudHook().config
    assert (config.api_url, config.login_url) == ("http://127.0.0.1:8080", "http://127.0.0.1:8081")


def test_what_is_wrong_in_a_connection_is_named_with_it(connect: Connect) -> None:
    connect(timeout="soon")
    with pytest.raises(ConfigurationError, match=r"Connection 'genesys_default': .*'timeout' must be a number"):
        _ = GenesysCloudHook().config


@pytest.mark.parametrize(
    ("extra", "warned"),
    [
        ({"allow_insecure": "false"}, []),
        ({"allow_insecure": "true"}, ["allow_insecure is set"]),
        ({"allow_insecure": "false", "verify_tls": "false"}, ["verify_tls is false"]),
        ({"allow_insecure": True, "verify_tls": False}, ["allow_insecure is set", "verify_tls is false"]),
    ],
)
def test_a_connection_that_others_can_read_is_warned_of_once(
    connect: Connect, caplog: pytest.LogCaptureFixture, extra: dict[str, Any], warned: list[str]
) -> None:
    connect(host="https://api.example.com", login_url="https://login.example.com", **extra)
    hook_module._warn_once.cache_clear()
    for _ in range(2):
        _ = GenesysCloudHook().config
    assert len(caplog.messages) == len(warned)
    for message, words in zip(caplog.messages, warned, strict=True):
        assert message.startswith(f"Connection 'genesys_default': {words}")


def test_exports_are_created_asked_after_and_cancelled(server: ScriptedServer) -> None:
    server.on(f"POST {PATH}", Reply(202, {"exportId": "export-1"}))
    server.on(ONE, Reply(200, {"status": "RUNNING"}))
    server.on(f"DELETE {PATH}/export-1", Reply(204), Reply(409))
    hook = GenesysCloudHook()
    assert hook.create_export("recordings", ExportRequest(START, END)) == "export-1"
    assert hook.get_export("export-1", "recordings").state is ExportState.RUNNING
    assert hook.cancel_export("export-1", "recordings") is True
    assert hook.cancel_export("export-1", "recordings") is False
    with pytest.raises(NotFoundError):
        hook.get_export("export-2", "recordings")
    with pytest.raises(ConfigurationError, match="no kind of export named 'x'"):
        hook.get_export("export-1", "x")


def test_tokens_and_signatures_are_masked_as_they_come(server: ScriptedServer, masked: list[str]) -> None:
    server.on(ONE, completed())
    GenesysCloudHook().get_export("export-1", "recordings")
    assert masked == ["token-1", "abcdef0123456789"]


# Handles.


def status(**given: Any) -> ExportStatus:
    return ExportStatus(
        **{
            "export_id": "export-1",
            "kind": "recordings",
            "state": ExportState.COMPLETED,
            "raw_state": "Completed",
            **given,
        }
    )


def test_a_handle_holds_what_a_load_needs_and_can_be_an_xcom() -> None:
    url = presigned(signature="f" * 64)
    handle = GenesysCloudHook().make_handle(
        status(
            file_uri=url,
            size=7,
            etag='"e"',
            records=3,
            submitted_at=END,
            window_start=START,
            window_end=END,
            progress=100,
        )
    )
    assert json.loads(json.dumps(handle)) == handle
    assert handle["file_uri"].startswith("https://127.0.0.1:9/archive.ndjson?sealed=")
    assert "f" * 64 not in json.dumps(handle)
    died = datetime.fromisoformat(handle["expires_at"])
    assert died - datetime.now(timezone.utc) == pytest.approx(timedelta(days=1), abs=timedelta(seconds=30))
    del handle["file_uri"], handle["expires_at"]
    assert handle == {
        "export_id": "export-1",
        "kind": "recordings",
        "state": "COMPLETED",
        "window_start": "2026-11-01T00:00:00+00:00",
        "window_end": "2026-11-02T00:00:00+00:00",
        "size": 7,
        "etag": '"e"',
        "records": 3,
        "submitted_at": "2026-11-02T00:00:00+00:00",
    }


def test_a_window_that_is_given_wins() -> None:
    handle = GenesysCloudHook().make_handle(
        status(window_start=END, window_end=END),
        window_start=START.astimezone(timezone(timedelta(hours=1))),
        window_end=END,
    )
    assert (handle["window_start"], handle["window_end"]) == ("2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00")


def test_a_handle_of_an_export_without_a_file() -> None:
    handle = GenesysCloudHook().make_handle(status(state=ExportState.RUNNING))
    assert (handle["state"], handle["file_uri"], handle["expires_at"], handle["size"]) == ("RUNNING", None, None, None)


def test_a_url_that_does_not_say_when_it_dies_lives_as_long_as_genesys_says() -> None:
    handle = GenesysCloudHook().make_handle(status(file_uri="https://127.0.0.1/a?sig=abcdef", expires_at=END))
    assert handle["expires_at"] == "2026-11-02T00:00:00+00:00"


# File URIs.


def test_a_fresh_handle_is_opened_without_asking_genesys(server: ScriptedServer, masked: list[str]) -> None:
    hook = GenesysCloudHook()
    url = presigned(3600)
    opened = hook.open_file_uri(hook.make_handle(status(file_uri=url)))
    assert opened.url == url
    assert opened.expires_at - datetime.now(timezone.utc) == pytest.approx(timedelta(hours=1), abs=timedelta(minutes=1))
    assert not server.requests
    assert "abcdef0123456789" in masked


@pytest.mark.parametrize(
    "why",
    [
        *["fresh", "about to die", "dead", "secret rotated", "not sealed", "no file yet", "nothing but an id"],
        *["of another export", "of another connection", "sealed by an earlier release", "no text"],
    ],
)
def test_any_other_handle_is_refreshed(connect: Connect, server: ScriptedServer, why: str) -> None:
    new = presigned(signature="9" * 16)
    server.on(ONE, completed(new))
    seconds = {"about to die": 290, "dead": -60}.get(why, 3600)
    handle = GenesysCloudHook().make_handle(status(file_uri=presigned(seconds)))
    if why == "secret rotated":
        connect(password="another")  # noqa: S106 -- of no client
    if why == "not sealed":
        handle["file_uri"] = presigned(3600)
    if why == "of another connection":
        connect(login="another")
    if why == "of another export":
        handle["file_uri"] = GenesysCloudHook().make_handle(status(export_id="export-2", file_uri=presigned()))[
            "file_uri"
        ]
    if why == "sealed by an earlier release":
        earlier = GenesysCloudHook().cipher("file_uri").encrypt(presigned().encode()).decode()
        handle["file_uri"] = f"https://127.0.0.1:9/archive.ndjson?sealed={earlier}"
    if why == "no text":
        handle["file_uri"] = ["https://127.0.0.1:9/archive.ndjson"]
    if why == "no file yet":
        handle["file_uri"] = None
    if why == "nothing but an id":
        handle = {"export_id": "export-1", "kind": "recordings"}
    assert GenesysCloudHook().open_file_uri(handle, fresh=why == "fresh").url == new
    assert len([one for one in server.requests if one.method == "GET"]) == 1


def a_letter(hook: GenesysCloudHook, raw: bytes, offset: int) -> dict[str, Any]:
    raw_bytes = RawBytes("encrypt", hook.encrypt_dead_letter)
    rows = DeadLetterRows(make_load(), raw_bytes).rows(
        [DeadLetter(offset, raw, "contract", "wrong-type", "")], "2026-11-22T10:00:00Z", None
    )
    return rows[0]


@pytest.mark.parametrize("other", [{"source_offset": 8}, {"shard": 1}, {"load_id": "other"}, {"export_id": "other"}])
def test_the_bytes_of_a_letter_open_in_no_other(connect: Connect, other: dict[str, Any]) -> None:
    connect()
    letter = a_letter(GenesysCloudHook(), b"x", 7)
    assert GenesysCloudHook().open_dead_letter(letter) == b"x"
    with pytest.raises(DeadLetterError, match="its bytes are those of another letter"):
        GenesysCloudHook().open_dead_letter({**letter, **other})


def test_a_letter_of_before_they_were_bound_opens(connect: Connect) -> None:
    connect()
    hook = GenesysCloudHook()
    token = hook.cipher("dead letters").encrypt(b"x").decode()
    assert hook.open_dead_letter({"raw": token, "raw_form": "encrypted"}) == b"x"
    for broken in (token[:-4], "no token", "", "AgAA"):
        with pytest.raises(DeadLetterError):
            hook.open_dead_letter({"raw": broken, "raw_form": "encrypted"})


@pytest.mark.parametrize("former", ["", "the former one"])
def test_after_a_rotation_what_was_encrypted_before_still_opens(
    connect: Connect, server: ScriptedServer, former: str
) -> None:
    connect(password="the former one")  # noqa: S106 -- of no client
    url, hook = presigned(3600), GenesysCloudHook()
    handle, letter = (
        hook.make_handle(status(file_uri=url)),
        a_letter(hook, b"x", 7),
    )
    connect(password="the new one", former_client_secret=former)  # noqa: S106 -- of no client
    hook, new = GenesysCloudHook(), presigned(3600, signature="9" * 16)
    server.on(ONE, completed(new))
    assert hook.open_file_uri(handle).url == (url if former else new)
    if former:
        assert hook.open_dead_letter(letter) == b"x"
        return
    with pytest.raises(DeadLetterError, match="'former_client_secret'"):
        hook.open_dead_letter(letter)


HANDLE = {"export_id": "export-1", "kind": "recordings"}


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (Reply(404), ExportGoneError, "Export export-1 is gone. Clear the task that creates the export"),
        (Reply(410), ExportGoneError, "is gone"),
        (Reply(200, {"status": "EXPIRED"}), ExportGoneError, "is EXPIRED. Clear"),
        (Reply(200, {"status": "Failed", "errorMessage": "disk full"}), ExportFailedError, "is Failed: disk full"),
        (Reply(200, {"status": "CANCELLED"}), ExportFailedError, "is CANCELLED. It has no file. Clear"),
        (Reply(200, {"status": "COMPLETED"}), ExportFailedError, "is COMPLETED. It has no file. .*uri_field.*Clear"),
        (Reply(200, {"status": None}), ConfigurationError, "no text in the member 'status', but null.*state_field"),
        (Reply(200, {"status": ["DONE"]}), ConfigurationError, r"no text in the member 'status', but \[\"DONE\"\]"),
        (Reply(200, {"status": "RUNNING"}), ConfigurationError, "is RUNNING. Wait for it, with a GenesysExportSensor"),
        (Reply(200, {"status": "ODD"}), ConfigurationError, "is ODD. Wait for it"),
        (completed(presigned(-60)), UrlExpiredError, "gives a URL for export export-1 that expired at .*clock"),
        (completed("https://evil.example/a?sig=abcdef"), UntrustedHostError, "leads to evil.example"),
    ],
)
def test_no_file_is_told_plainly(server: ScriptedServer, reply: Reply, error: type[Exception], message: str) -> None:
    server.on(ONE, reply)
    with pytest.raises(error, match=message) as caught:
        GenesysCloudHook().open_file_uri(HANDLE)
    assert "abcdef" not in str(caught.value)


@pytest.mark.parametrize("handle", [{}, {"export_id": "export-1"}, "export-1", None])
def test_what_is_no_handle_is_named(handle: Any) -> None:
    with pytest.raises(ConfigurationError, match="A handle is what GenesysExportSensor returns"):
        GenesysCloudHook().open_file_uri(handle)


def test_a_handles_own_url_is_held_to_the_hosts_of_today(connect: Connect) -> None:
    handle = GenesysCloudHook().make_handle(status(file_uri=presigned()))
    connect(allowed_download_hosts="store.example.com")
    with pytest.raises(UntrustedHostError, match=r"leads to 127\.0\.0\.1"):
        GenesysCloudHook().open_file_uri(handle)


def test_the_cipher_opens_with_the_same_connection_and_purpose_only(connect: Connect) -> None:
    from cryptography.fernet import InvalidToken

    token = GenesysCloudHook().cipher("dead letters").encrypt(b"raw")
    assert GenesysCloudHook().cipher("dead letters").decrypt(token) == b"raw"
    with pytest.raises(InvalidToken):
        GenesysCloudHook().cipher("file_uri").decrypt(token)
    connect(password="another")  # noqa: S106 -- of no client
    with pytest.raises(InvalidToken):
        GenesysCloudHook().cipher("dead letters").decrypt(token)


def test_nothing_secret_is_logged(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    server.on(ONE, completed())
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="httpx"):
        hook = GenesysCloudHook()
        hook.open_file_uri(hook.make_handle(hook.get_export("export-1", "recordings")), fresh=True)
    for secret in ("token-1", "abcdef0123456789", hook.config.client_secret):
        assert secret not in caplog.text
    assert hook.config.client_secret not in repr(vars(hook))


# The Test button.

INSECURE = (
    "allow_insecure is set: http:// is accepted, which sends secrets and data in the clear. "
    "Set it for test servers only."
)


def test_a_good_connection_is_greeted(server: ScriptedServer) -> None:
    server.on("GET /api/v2/organizations/me", Reply(200, {"id": "x", "name": "Example Ltd"}))
    assert GenesysCloudHook().test_connection() == (
        True,
        f"Genesys Cloud at {server.url} accepts the OAuth client of organisation Example Ltd. {INSECURE}",
    )


@pytest.mark.parametrize("reply", [Reply(403), Reply(404), Reply(200, [])])
def test_a_client_that_may_only_export_is_good_too(server: ScriptedServer, reply: Reply) -> None:
    server.on("GET /api/v2/organizations/me", reply)
    assert GenesysCloudHook().test_connection() == (
        True,
        f"Genesys Cloud at {server.url} accepts the OAuth client. {INSECURE}",
    )


def test_port_0_makes_the_button_of_airflow_3_3_work_and_changes_nothing_else(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, server: ScriptedServer
) -> None:
    server.on("GET /api/v2/organizations/me", Reply(403))
    stored = Connection(conn_id="stored", **{**json.loads(os.environ["AIRFLOW_CONN_GENESYS_DEFAULT"]), "port": 0})
    without = GenesysCloudHook().config
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", stored.get_uri())  # as the API server does
    assert GenesysCloudHook().config == without
    assert GenesysCloudHook().test_connection()[0]
    connections = pytest.importorskip("airflow.api_fastapi.core_api.routes.public.connections")
    if hasattr(connections, "_same_endpoint"):
        assert connections._same_endpoint(0, stored.port), "the button sends 0 for a stored connection"


def test_a_bad_connection_says_why(server: ScriptedServer, connect: Connect) -> None:
    server.on(f"POST {TOKEN_PATH}", Reply(401, {"error": "invalid_client"}))
    good, message = GenesysCloudHook().test_connection()
    assert not good
    assert "client id (login), client secret (password) AND region" in message
    connect(timeout="soon")
    assert GenesysCloudHook().test_connection()[0] is False


def test_a_login_host_that_is_down_is_told_soon_and_as_it_is(server: ScriptedServer) -> None:
    server.on(f"POST {TOKEN_PATH}", Reply(503))
    begun = time.monotonic()
    good, message = GenesysCloudHook().test_connection()
    assert time.monotonic() - begun < 30
    assert not good
    assert f"POST {server.url}{TOKEN_PATH} was answered 503" in message


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")  # said of Airflow's own call
def test_the_button_in_the_airflow_ui_reaches_it(server: ScriptedServer) -> None:
    from airflow.models.connection import Connection

    connection = Connection(
        conn_id="genesys_default",
        conn_type="genesys_cloud",
        login="client",
        password="secret",  # noqa: S106 -- of no client
        host=server.url,
        extra=json.dumps({"login_url": server.url, "allow_insecure": True}),
    )
    assert connection.test_connection() == (True, f"Genesys Cloud at {server.url} accepts the OAuth client. {INSECURE}")


# The form of Airflow 3.1, which asks the class instead of reading the metadata.


@pytest.fixture
def wtforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins with the signatures that Airflow 3.1 itself puts in the place of wtforms."""

    class Field(SimpleNamespace):
        def __init__(
            self, label: str | None = None, validators: Any = None, description: str = "", default: Any = None
        ) -> None:
            super().__init__(label=label, validators=validators, description=description, default=default)

    forms, validators = ModuleType("wtforms"), ModuleType("wtforms.validators")
    for name in ("StringField", "IntegerField", "BooleanField", "PasswordField"):
        setattr(forms, name, type(name, (Field,), {}))
    validators.Optional = lambda: "optional"  # type: ignore[attr-defined]
    validators.any_of = lambda values: values  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wtforms", forms)
    monkeypatch.setitem(sys.modules, "wtforms.validators", validators)


@pytest.mark.usefixtures("wtforms")
def test_both_forms_have_the_same_fields() -> None:
    (metadata,) = get_provider_info()["connection-types"]
    widgets = GenesysCloudHook.get_connection_form_widgets()
    assert list(widgets) == list(metadata["conn-fields"])
    for name, field in metadata["conn-fields"].items():
        widget, schema = widgets[name], field["schema"]
        assert (widget.label, widget.description, widget.default) == (
            field["label"],
            field["description"],
            schema["default"],
        )
        assert type(widget).__name__.removesuffix("Field").lower() == schema.get("format", schema["type"][0])
        assert widget.validators == ["optional", *([schema["enum"]] if "enum" in schema else [])]


def test_both_forms_treat_the_standard_fields_alike() -> None:
    (metadata,) = get_provider_info()["connection-types"]
    behaviour = GenesysCloudHook.get_ui_field_behaviour()
    assert behaviour == {name.replace("-", "_"): value for name, value in metadata["ui-field-behaviour"].items()}
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
