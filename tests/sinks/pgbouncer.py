"""pgbouncer in transaction mode in front of a PostgreSQL server, from Debian's package."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

from airflow_provider_genesys.testing.process import C_LOCALE, ServerProcess, free_port
from airflow_provider_genesys.testing.services import PostgresServer
from airflow_provider_genesys.testing.services.postgres import NOBODY, _unprivileged

_SETTINGS = """
[databases]
* = host={upstream} port={upstream_port}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {pool_size}
"""


class PgBouncer(ServerProcess):
    """Clients share ``pool_size`` connections to the server, from one transaction to the next."""

    name = "pgbouncer"

    def __init__(self, server: PostgresServer, *, pool_size: int) -> None:
        super().__init__()
        self._server, self._pool_size = server, pool_size

    def start(self) -> None:
        self._claim_folder()
        self.port = free_port()
        settings = _SETTINGS.format(
            upstream=self._server.host,
            upstream_port=self._server.port,
            host=self.host,
            port=self.port,
            folder=self._folder,
            pool_size=self._pool_size,
        )
        (self._folder / "settings.ini").write_text(settings)
        (self._folder / "users").write_text(f'"{self._server.user}" "{self._server.password}"\n')
        for path in (self._folder, *self._folder.iterdir()):
            given_away(path)
        self._serve()

    def stop(self) -> None:
        self._leave(signal.SIGTERM)

    def restart(self) -> None:
        """Cut all connections, and serve again on the same port."""
        self._end(signal.SIGTERM)
        self._serve()

    def dsn(self, database: str) -> str:
        """Return the DSN of a database, through it."""
        return f"postgresql://{self._server.user}:{self._server.password}@{self.host}:{self.port}/{Path(database).name}"

    def _serve(self) -> None:
        command = [*_unprivileged(), _binary(), str(self._folder / "settings.ini")]
        self._launch(command, self._is_ready, C_LOCALE)

    def _is_ready(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True


def given_away(path: Path) -> None:
    """Let servers that do not run as root read and write ``path``."""
    if _unprivileged()[:1] == ["setpriv"]:
        os.chown(path, NOBODY, NOBODY)


def _binary() -> str:
    found = shutil.which(
        "pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )
    if found is None:
        raise RuntimeError(
            "pgbouncer is not installed, so nothing shows that loads work behind it: apt-get install pgbouncer"
        )
    return found
