"""An S3 endpoint that checks what it is told: signatures and their time, checksums, conditions. OpenStack Swift's."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from airflow_provider_genesys.sinks.s3 import CLIENT_CONFIG
from airflow_provider_genesys.testing.process import ServerProcess, free_port, require

PROGRAM = Path(__file__).parent / "swift_cluster.py"
OWNER = ("test:owner", "owning")
STRANGER = ("test:stranger", "looking")


class SwiftServer(ServerProcess):
    """Swift in a process of its own."""

    name = "swift"

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        require("swift", "swift")
        self._claim_folder()
        self.port = free_port()
        command = [sys.executable, str(PROGRAM), str(self._folder), str(self.port)]
        try:
            self._launch(command, self._accepts, dict(os.environ))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._leave(signal.SIGKILL)  # nothing of it is to last

    def client(self, credentials: tuple[str, str] = OWNER, endpoint_url: str = "", **config: Any) -> Any:
        """Return a client as the operator makes it."""
        return boto3.client(
            "s3",
            endpoint_url=endpoint_url or self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=credentials[0],
            aws_secret_access_key=credentials[1],
            config=Config(**{**CLIENT_CONFIG, **config}),
        )
