from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.testing import process, services
from airflow_provider_genesys.testing.services import PostgresServer, RedisServer, S3Server


def wait_until_gone(folders: list[Path], pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(folder.exists() for folder in folders) or any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "the watchdog left something behind"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_postgres_takes_who_has_the_password_and_nobody_else(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.dsn) as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == (
            "warehouse_owner",
            "warehouse",
        )
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.dsn, password="wrong")  # noqa: S106 - it is not one


@pytest.mark.parametrize("make", [PostgresServer, RedisServer])
def test_each_server_has_a_password_of_no_other_and_a_folder_for_its_owner(
    make: type[PostgresServer | RedisServer],
) -> None:
    seen = set()
    for _ in range(2):
        with make() as server:
            seen.add(server.password)
            folder = server._folder
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert not [path for path in folder.rglob("*") if path.is_socket()]
            assert len(server.password) >= 32
            commands = Path("/proc").glob("[0-9]*/cmdline")
            assert not any(server.password.encode() in _read(one) for one in commands), "everybody may read these"
            server.restart()
            assert server.password in seen
    assert len(seen) == 2


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_postgres_describes_itself_as_an_airflow_connection(postgres: PostgresServer) -> None:
    fields = postgres.connection()
    assert fields.pop("conn_type") == "postgres"
    names = {"host": "host", "port": "port", "login": "user", "password": "password", "schema": "dbname"}
    with psycopg.connect(**{names[field]: value for field, value in fields.items()}) as connection:
        assert connection.info.port == postgres.port


def test_postgres_keeps_what_was_committed_over_a_restart_and_a_crash() -> None:
    with PostgresServer(settings={"wal_writer_delay": "10s"}) as server:
        folder = server._folder
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (1)")
        server.restart()
        with psycopg.connect(server.dsn) as connection:
            connection.execute("INSERT INTO kept VALUES (2)")
        hanging = psycopg.connect(server.dsn)
        hanging.execute("INSERT INTO kept VALUES (3)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            hanging.execute("SELECT 1")
        server.restart()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT n FROM kept ORDER BY n").fetchall() == [(1,), (2,)]
    wait_until_gone([folder], [])


def test_postgres_is_durable_only_where_asked(postgres: PostgresServer) -> None:
    with PostgresServer(durable=True) as durable:
        for server, fsync in ((durable, "on"), (postgres, "off")):
            with psycopg.connect(server.dsn) as connection:
                assert connection.execute("SHOW fsync").fetchone() == (fsync,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change its user")
def test_postgres_starts_as_nobody_where_namespaces_are_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = str(services.postgres.NOBODY)
    prefix = ["setpriv", f"--reuid={ids}", f"--regid={ids}", "--clear-groups"]
    binary = services.postgres._postgres_binaries() / "postgres"
    if subprocess.call([*prefix, "test", "-x", binary]):
        pytest.skip("the environment is in a folder that the user nobody may not read")
    monkeypatch.setattr(services.postgres, "_unprivileged", lambda: prefix)
    with PostgresServer() as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_does_not_start_says_why_and_leaves_nothing() -> None:
    server = PostgresServer(settings={"shared_buffers": "much"})
    with pytest.raises(RuntimeError, match="invalid value for parameter"):
        server.start()
    wait_until_gone([server._folder], [])


def test_s3_stores_and_describes_itself_as_an_airflow_connection(s3: S3Server, bucket: str) -> None:
    s3.client().put_object(Bucket=bucket, Key="key", Body=b"body")
    assert s3.client().get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
    fields = s3.connection()
    assert fields["conn_type"] == "aws"
    assert fields["extra"] == {"endpoint_url": s3.endpoint_url, "region_name": "us-east-1"}


def test_nothing_is_left_when_the_parent_is_killed() -> None:
    program = (
        "import time\n"
        "from airflow_provider_genesys.testing.services import PostgresServer, RedisServer, S3Server\n"
        "with PostgresServer() as one, S3Server() as two:\n"
        "    print(one._folder, two._folder, one._process.pid, two._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        words = parent.stdout.readline().split()
        folders, pids = [Path(word) for word in words[:2]], [int(word) for word in words[2:]]
        assert all(folder.exists() for folder in folders)
        assert all(is_alive(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(folders, pids)


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'some-package\[server\]'"):
        process.require("no_such_module_at_all", "some-package[server]")
