"""Commands whose service is not there: who waits for whom is said, and the wait ends while somebody still looks."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from airflow_provider_genesys import retries
from airflow_provider_genesys.cloud.http import transport
from airflow_provider_genesys.commands import doctor, patience, plan
from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.sinks import s3
from airflow_provider_genesys.stores import azure_blob, gcs

INSECURE = {"allow_insecure": True}
COMMANDS = {
    "plan": (["plan", "2026-11-01", "2026-11-02"], "http://127.0.0.1"),
    "doctor": (["doctor"], "Genesys Cloud, connection genesys_default"),
    "postgres": (["loads", "public.t"], "PostgreSQL, connection postgres_default"),
    "s3": (["verify", "s3://lake/p"], "s3://lake"),
    "azure": (["dead-letters", "list", "az://lake/p"], "az://lake"),
    "gcs": (["loads", "gs://lake/p"], "gs://lake"),
}
"""Arguments, and for whom the command waits."""


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    """A port at which nobody answers: its queue of connections is full, so that each further one waits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


def connections(port: int, login: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    blobs = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;BlobEndpoint={url}/a;"
    found = {
        "GENESYS": {"conn_type": "genesys_cloud", "host": url, "extra": {"login_url": url, **INSECURE}},
        "POSTGRES": {"conn_type": "postgres", "host": "127.0.0.1", "port": port},
        "AWS": {"conn_type": "aws", "extra": {"endpoint_url": url, "region_name": "eu-west-1"}},
        "WASB": {"conn_type": "wasb", "extra": {"connection_string": blobs}},
        "GOOGLE_CLOUD": {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "endpoint_url": url}},
    }
    return {
        f"AIRFLOW_CONN_{name}_DEFAULT": json.dumps({"login": login, "password": "secret", **fields})
        for name, fields in found.items()
    }


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every try to connect end after a fraction of a second."""
    monkeypatch.setattr(patience, "QUIET", 0.05)
    monkeypatch.setattr(transport, "CONNECT", 0.3)
    monkeypatch.setattr(doctor, "PATIENCE", 2.0)
    monkeypatch.setattr(plan, "PATIENCE", 2.0)
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    monkeypatch.setitem(s3.CLIENT_CONFIG, "connect_timeout", 0.3)
    monkeypatch.setitem(azure_blob._ONE_TRY, "connection_timeout", 0.3)
    monkeypatch.setitem(gcs._ONE_TRY, "timeout", (0.3, 60))
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")  # the shortest that its client knows


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("soon")
def test_it_is_said_for_whom_a_command_waits(
    name: str, silent: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, connection in connections(silent, login=name).items():
        monkeypatch.setenv(variable, connection)
    arguments, whom = COMMANDS[name]
    assert main(arguments) == 1
    said = "".join(capsys.readouterr())
    assert f"Waiting for {whom}" in said
    assert f"If it cannot be reached, the command ends within {patience.LONGEST} s." in said
    assert "Traceback" not in said
    if name in {"plan", "s3", "azure", "gcs"}:
        assert "ttempt 2" in said


def test_a_command_that_is_answered_at_once_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with patience.waiting_for("nobody"):
        pass
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_the_wait_is_as_long_as_is_said() -> None:
    """Genesys is asked until its patience ends, and then once more; a store twice, with a pause."""
    store = (patience.RETRIES + 1) * s3.CLIENT_CONFIG["connect_timeout"] + 2 * retries.FIRST_WAIT
    assert max(patience.PATIENCE + transport.CONNECT, store) <= patience.LONGEST
    assert (
        azure_blob._ONE_TRY["connection_timeout"] == gcs._ONE_TRY["timeout"][0] == s3.CLIENT_CONFIG["connect_timeout"]
    )
