"""Clients of the stores and queues that are measured on; a place is ENDPOINT/NAME."""

from __future__ import annotations

import time
from typing import Any

KEYS = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench", "region_name": "us-east-1"}


def s3_client(place: str) -> tuple[Any, str]:
    """Return a client as the sink wants it, and the bucket's name."""
    from airflow_provider_genesys.sinks.s3 import CLIENT_CONFIG

    endpoint, _, bucket = place.rpartition("/")
    return aws_client("s3", endpoint, CLIENT_CONFIG), bucket


def aws_client(service: str, endpoint: str, config: dict[str, Any]) -> Any:
    """Return a boto3 client."""
    import boto3
    from botocore.config import Config

    return boto3.client(service, endpoint_url=endpoint, config=Config(**config), **KEYS)


def azure_container(place: str) -> Any:
    """Return a client of a container of Azurite."""
    from azure.storage.blob import BlobServiceClient

    from airflow_provider_genesys.testing.services.azure import connection_string

    account, _, container = place.rpartition("/")
    return BlobServiceClient.from_connection_string(connection_string(account)).get_container_client(container)


def new_queue(client: Any) -> str:
    """Create a queue and return its URL; one of its own to each run, since moto is the slower the fuller one is."""
    return str(client.create_queue(QueueName=f"bench-{time.time_ns()}")["QueueUrl"])
