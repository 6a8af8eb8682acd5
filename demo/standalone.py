"""A whole Airflow (API server, scheduler, DAG processor, triggerer, LocalExecutor), started and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import httpx

from airflow_provider_genesys.testing.services import free_port
from demo.embedded import Embedded

HEALTHY = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class Standalone:
    """``airflow standalone`` on a free port, with a client of its REST API.

    :param environment: settings beside those of the services.
    """

    def __init__(self, services: Embedded, environment: dict[str, str] | None = None) -> None:
        port = str(free_port())
        self.url = f"http://127.0.0.1:{port}"
        self._log = services.home / "standalone.log"
        self._environment = {
            **services.environment(),
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(base_url=self.url, timeout=30)

    def __enter__(self) -> Standalone:  # noqa: PYI034 - Python 3.10 has no typing.Self
        """Start it; see :meth:`wait`."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and everything that it started: the children do not end with their parent."""
        self._client.close()
        if self._process is None:
            return
        for signum, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signum)
            if self._ended(patience):
                return

    def wait(self, seconds: float = 180) -> None:
        """Wait until every part is healthy.

        :raises TimeoutError: that took longer than ``seconds``, or it ended; the message has its last words.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process is not None and self._process.poll() is None:
            with suppress(httpx.TransportError):
                health = self._client.get("/api/v2/monitor/health").json()
                if all((health.get(part) or {}).get("status") == "healthy" for part in HEALTHY):
                    return
            time.sleep(1)
        raise TimeoutError("Airflow did not come up:\n" + self.log()[-4000:])

    def log(self) -> str:
        """Return what it printed so far."""
        return self._log.read_text(errors="replace")

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

    def _ended(self, seconds: float) -> bool:
        assert self._process is not None  # noqa: S101 - only called while it runs
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._process.poll()
            try:
                os.killpg(self._process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.2)
        return False
