"""An S3 endpoint."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from airflow_provider_genesys.testing.process import ServerProcess, free_port, require


class S3Server(ServerProcess):
    """An S3 endpoint: ``moto_server`` in a separate process, so that what it stores is not our memory.

    It accepts any credentials. It is a mock: moto's documentation says what it does not check.

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
        require("moto", "moto[s3,server]")
        self._claim_folder()
        self.port = free_port()
        command = [sys.executable, "-m", f"{__package__}.moto", "--host", self.host, "--port", str(self.port)]
        try:
            self._launch(command, self._accepts, dict(os.environ))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; what it stored is gone."""
        self._leave(signal.SIGTERM)

    def client(self, service: str = "s3") -> Any:
        """Return a boto3 client for it; SQS and DynamoDB are served, too."""
        import boto3

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
