"""Commands with arguments and files that are none, and in an Airflow that does not start: a sentence each."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_genesys.commands.app import app, main
from airflow_provider_genesys.exceptions import GenesysError

BROKEN = {
    "packed-badly": b"\x1f\x8b" + b"x" * 50,
    "cut": gzip.compress(b'{"id": 1}\n' * 1_000)[:-20],
    "deep": b'{"a":' + b"[" * 100_000,
    "not-utf8": b'{"id": "\xff"}\n',
    "half": b'[{"id": "a"},',
    "number": b'{"id": ' + b"9" * 6_000 + b"}\n",
}


NO_PLACES = ("", " ", "ftp://x/y", "file:///tmp", "a.b\0", "public.")


@pytest.mark.parametrize("name", BROKEN)
def test_a_sample_that_cannot_be_read_is_said(name: str, tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    sample.write_bytes(BROKEN[name])
    with pytest.raises(GenesysError, match="sample cannot be read"):
        app(["contract", "infer", str(sample)])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["contract", "infer", "/"], 1, "Is a directory"),
        (["contract", "infer", "/no/such/file"], 1, "No such file"),
        (["contract", "infer", __file__, "--records", "-1"], 2, "greater than or equal to 1"),
        *(
            (["loads", place], 1, "names no place")
            for place in ("", " ", "ftp://x/y", "file:///tmp", "a.b\0", "public.")
        ),
        (["loads", "postgresql://h"], 1, "is no table"),
        (["loads", "postgresql://h:5432/d/public.t", "--conn-id", "typo"], 1, "no connection 'typo'"),
        (["doctor", "--conn-id", "typo", "--place", "x/y"], 1, "names no place"),
        (["verify", "public.t"], 1, "postgresql://host:port/database/schema.table"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    shown = capsys.readouterr()
    assert says in " ".join((shown.out + shown.err).split())


@pytest.mark.parametrize("broken", ["file", "database"])
def test_an_airflow_that_does_not_start_is_named(broken: str, tmp_path: Path) -> None:
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    if broken == "file":
        (tmp_path / "airflow.cfg").write_text("nonsense")
    else:
        environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = "no database"
    command = [sys.executable, "-m", "airflow_provider_genesys", "entities"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Airflow does not start" in done.stderr
    assert "airflow config list" in done.stderr
    assert "Traceback" not in done.stderr
