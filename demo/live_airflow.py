"""A whole Airflow in processes of its own, started and stopped, with a client of its REST API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import psutil

from airflow_provider_genesys.testing.services import free_port
from demo.embedded import Embedded

if TYPE_CHECKING:
    from typing_extensions import Self

HEALTHY = ("metadatabase", "scheduler", "triggerer", "dag_processor")
STOP = {signal.SIGTERM: 20.0, signal.SIGKILL: 5.0}
"""How a part is made to end: signals, and the seconds that each is given."""


class LiveAirflow(ABC):
    """The parts of an Airflow; which ones, and how they are run, says a subclass.

    Each part has a session of its own and its own log.

    :param environment: settings beside those of the services.
    """

    program: ClassVar[tuple[str, ...]] = ("-m", "airflow")
    """What Python runs for the command ``airflow``."""

    def __init__(self, services: Embedded, environment: dict[str, str] | None = None) -> None:
        port = str(free_port())
        self.url = f"http://127.0.0.1:{port}"
        self.home = services.home
        self.environment = {
            **services.environment(),
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            **(environment or {}),
        }
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._client = httpx.Client(base_url=self.url, timeout=120)

    def __enter__(self) -> Self:
        """Start the parts; see :meth:`wait`."""
        try:
            self.start_parts()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the parts and everything that they started: the children do not end with their parent."""
        self._client.close()
        self._end(*self._parts, how=STOP)

    @abstractmethod
    def start_parts(self) -> None:
        """Start what there is to start."""

    def start(self, part: str, *command: str, **environment: str) -> None:
        """Run ``airflow <command>`` under the name ``part``."""
        with (self.home / f"{part}.log").open("ab") as log:
            self._parts[part] = subprocess.Popen(
                [sys.executable, *self.program, *command],
                env={**self.environment, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, part: str) -> None:
        """End a part and everything that it started, at once, as when its machine is gone."""
        self._end(part, how={signal.SIGKILL: 5})

    def wait(self, seconds: float = 180) -> None:
        """Wait until every part is healthy.

        :raises RuntimeError: a part ended; the message has its last words.
        :raises TimeoutError: that took longer than ``seconds``; the message has the last words of all.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._require_parts()
            with suppress(httpx.TransportError):
                if self.is_healthy():
                    return
            time.sleep(0.5)
        raise TimeoutError(f"Airflow did not come up within {seconds:.0f} s:\n{self.log()}")

    def is_healthy(self) -> bool:
        """Tell whether all parts have reported that they run."""
        health = self._client.get("/api/v2/monitor/health").json()
        return all((health.get(part) or {}).get("status") == "healthy" for part in HEALTHY)

    def processes(self, command: str) -> list[int]:
        """Return the ids of the processes that run ``airflow <command>``."""
        found = []
        for process in self._sessions(*self._parts):
            with suppress(psutil.Error):  # it has ended meanwhile
                if command in " ".join(process.cmdline()).split():
                    found.append(process.pid)
        return found

    def log(self) -> str:
        """Return the last of what each part printed."""
        logs = {part: (self.home / f"{part}.log").read_text(errors="replace") for part in self._parts}
        return "\n".join(f"== {part}\n{text[-4000:]}" for part, text in logs.items())

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Call the REST API, e.g. ``call("GET", "/dags")``, and return the answer.

        :raises httpx.HTTPStatusError: it is an error.
        """
        if "Authorization" not in self._client.headers:
            token = self._client.get("/auth/token").json()["access_token"]
            self._client.headers["Authorization"] = f"Bearer {token}"
        answer = self._client.request(method, f"/api/v2{path}", **arguments)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _require_parts(self) -> None:
        for part, process in self._parts.items():
            if process.poll() is not None:
                last_words = (self.home / f"{part}.log").read_text(errors="replace")[-4000:]
                raise RuntimeError(f"Airflow's {part} ended with code {process.returncode}:\n{last_words}")

    def _end(self, *parts: str, how: dict[signal.Signals, float]) -> None:
        for signum, patience in how.items():
            for process in self._sessions(*parts):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signum)
            end = time.monotonic() + patience
            while time.monotonic() < end and self._sessions(*parts):
                time.sleep(0.2)
        for part in parts:
            self._parts.pop(part).wait(5)

    def _sessions(self, *parts: str) -> list[psutil.Process]:
        """Return what runs of the parts. Not their process groups: tasks have groups of their own."""
        leaders = {self._parts[part].pid for part in parts}
        found = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):  # it has ended meanwhile
                if os.getsid(process.pid) in leaders and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found
