"""The fake as users run it: a process of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fake_client import Client

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.fake_genesys.__main__ import main
from airflow_provider_genesys.testing.fake_genesys.fixtures import fake_genesys  # noqa: F401 - a fixture

WINDOW = datetime(2026, 11, 22, tzinfo=timezone.utc), datetime(2026, 11, 23, tzinfo=timezone.utc)


@contextmanager
def process(*options: str) -> Iterator[SimpleNamespace]:
    """Run the fake; yield the process and the connection that it printed, as ``url``, ``client_id`` and so on."""
    command = [sys.executable, "-m", "airflow_provider_genesys.testing.fake_genesys", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            first, second = running.stdout.readline(), running.stdout.readline()
            name, _, text = shlex.split(second)[1].partition("=")
            assert (shlex.split(second)[0], name) == ("export", "AIRFLOW_CONN_GENESYS_DEFAULT")
            connection = json.loads(text)
            assert first == f"Fake Genesys Cloud at {connection['host']}\n"
            yield SimpleNamespace(
                process=running,
                url=connection["host"],
                client_id=connection["login"],
                client_secret=connection["password"],
            )
        finally:
            running.kill()


def peak_memory(pid: int) -> int:
    """Return the most that a process ever held in memory, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def test_it_serves_300_mb_in_flat_memory() -> None:
    with (
        process("--size", "300MB", "--job-seconds", "0", "--broken", "0.001") as running,
        closing(Client(running)) as client,
    ):
        status = client.completed()
        small = client.download(status["fileUri"], Range="bytes=0-4000000")
        before, received = peak_memory(running.process.pid), 0
        with httpx.stream("GET", status["fileUri"]) as answer:
            for chunk in answer.iter_raw():
                received += len(chunk)
        assert small.status_code == 206
        assert received == status["fileSize"]
        assert received == pytest.approx(300_000_000, rel=0.01)
        assert peak_memory(running.process.pid) - before < 16


def test_its_bytes_are_those_of_the_fake_in_this_process() -> None:
    with (
        process("--records", "900", "--seed", "7", "--job-seconds", "0") as running,
        closing(Client(running)) as client,
    ):
        received = client.download(client.completed()["fileUri"]).content
    assert received == FakeGenesys(records=900, seed=7).archive(*WINDOW).read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_in_the_middle_of_a_download(number: signal.Signals) -> None:
    with process("--records", "900000", "--job-seconds", "0") as running, closing(Client(running)) as client:
        with httpx.stream("GET", client.completed()["fileUri"]) as answer:
            next(answer.iter_raw())
            running.process.send_signal(number)
            assert running.process.wait(5) == 0
        log = running.process.stderr.read()
    assert "GET /archive/" in log
    assert "Traceback" not in log
    assert "Signature" not in log


def test_options_reach_the_fake() -> None:
    options = ("--gzip", "--format", "json", "--outcome", "FAILED", "--job-seconds", "0", "--token-seconds", "77")
    with process(*options, "--requests-per-minute", "5", "--quiet") as running, closing(Client(running)) as client:
        assert client.login().json()["expires_in"] == 77
        answer = client.get("/api/v2/organizations/me")
        assert answer.headers["inin-ratelimit-allowed"] == "5"
        assert client.status(client.create())["status"] in {"RUNNING", "FAILED"}


@pytest.mark.parametrize(
    "options",
    [["--broken", "5000"], ["--size", "much"], ["--records", "1", "--size", "1MB"], ["--gzip", "--multi-member"]],
)
def test_options_that_make_no_sense_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--port", "0", *options])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_tells_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    text = capsys.readouterr().out
    assert stopped.value.code == 0
    for option in (
        "--host",
        "--port",
        "--records",
        "--size",
        "--seed",
        "--format",
        "--gzip",
        "--multi-member",
        "--broken",
        "--job-seconds",
        "--token-seconds",
        "--url-seconds",
        "--requests-per-minute",
        "--outcome",
    ):
        assert option in text


def test_the_fixture_sets_the_connection(fake_genesys: FakeGenesys) -> None:  # noqa: F811
    connection: dict[str, Any] = json.loads(os.environ["AIRFLOW_CONN_GENESYS_DEFAULT"])
    assert connection == fake_genesys.connection()
    assert connection["extra"]["allowed_download_hosts"] == ["127.0.0.1"]
    with closing(Client(fake_genesys)) as client:
        assert client.status(client.create())["recordCount"] == fake_genesys.records
