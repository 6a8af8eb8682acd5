"""A server in a separate process, which leaves nothing behind.

A watchdog (a small shell that reads from a pipe which this process holds) ends the server and removes its folder as
soon as this process is gone, even by SIGKILL. A process that was forked from this one, without exec, holds the same
pipe: the server then lives until that one has ended, too.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from airflow_provider_genesys.exceptions import MissingExtraError

if TYPE_CHECKING:
    from typing_extensions import Self

HOST = "127.0.0.1"
START_TIMEOUT = 60.0
"""Seconds that a server may take to start or to stop."""

C_LOCALE = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

# $1 is the folder; each line read names the process group to end, an empty one that there is none.
_WATCHDOG = """
trap '' INT HUP TERM
while read -r group; do last=$group; done
if [ -n "$last" ]; then kill -s QUIT -- "-$last"; sleep 0.3; kill -s KILL -- "-$last"; fi 2>/dev/null
rm -rf -- "$1"
"""


def free_port() -> int:
    """Return a TCP port on which nothing listens at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port


def require(module: str, package: str) -> Path:
    """Return the folder of an installed module, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"The embedded server needs the package {module!r}, which is not installed. Run: pip install '{package}'"
        )
    return Path(spec.origin).parent


class ServerProcess(ABC):
    """A server process with a separate folder and a watchdog over both."""

    name: str

    def __init__(self) -> None:
        self.host = HOST
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._place: Path | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> None:
        """Serve; return when connections are taken."""

    @abstractmethod
    def stop(self) -> None:
        """End the server and remove its folder."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _claim_folder(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"genesys-{self.name}-", dir=self._place))
        self._watchdog = subprocess.Popen(  # noqa: S603 - a constant script
            ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(self._folder)], stdin=subprocess.PIPE, start_new_session=True
        )

    def _watch(self, group: int | None) -> None:
        if self._watchdog and self._watchdog.stdin:
            self._watchdog.stdin.write(f"{group or ''}\n".encode())
            self._watchdog.stdin.flush()

    def _launch(self, command: Sequence[str], ready: Callable[[], bool], environment: dict[str, str]) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                command, stdout=log, stderr=log, start_new_session=True, cwd=self._folder, env=environment
            )
        self._watch(self._process.pid)
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start on {self.host}:{self.port}; its log:\n{self.log()}")
            time.sleep(0.02)

    def _end(self, signum: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signum)
        try:
            self._process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._watch(None)

    def log(self) -> str:
        """Return what the server has written so far to its output."""
        return (self._folder / "log").read_text(errors="replace")

    def _accepts(self) -> bool:
        """Return whether somebody listens at the port."""
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _leave(self, signum: signal.Signals) -> None:
        self._end(signum)
        if self._watchdog:
            self._watchdog.communicate()
            self._watchdog = None
