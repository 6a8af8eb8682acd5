"""Real servers on free loopback ports, for tests and for the demo: databases, object stores and Redis.

Each is a context manager and leaves nothing behind, even when this process is killed: see :mod:`..process`.
"""

from airflow_provider_genesys.testing.process import free_port
from airflow_provider_genesys.testing.services.azure import AzuriteServer
from airflow_provider_genesys.testing.services.gcs import GCSServer
from airflow_provider_genesys.testing.services.postgres import PostgresServer
from airflow_provider_genesys.testing.services.redis import RedisServer
from airflow_provider_genesys.testing.services.s3 import S3Server

__all__ = ["AzuriteServer", "GCSServer", "PostgresServer", "RedisServer", "S3Server", "free_port"]
