"""boto3 clients by a connection of Airflow."""

from __future__ import annotations

from typing import Any

CONNECT_SECONDS = 10

ANSWER_SECONDS = 10


def dynamodb_client(conn_id: str) -> Any:
    """Return a client whose requests end soon and are not retried: the store retries."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    once = Config(retries={"total_max_attempts": 1}, connect_timeout=CONNECT_SECONDS, read_timeout=ANSWER_SECONDS)
    chosen = AwsBaseHook(conn_id, client_type="dynamodb").conn_config.botocore_config
    config = once.merge(chosen) if chosen else once
    return AwsBaseHook(conn_id, client_type="dynamodb", config=config).get_conn()


def s3_client(conn_id: str | None) -> Any:
    """Return a client as S3Hook makes it, with the sink's settings where the connection has none."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from botocore.config import Config

    from airflow_provider_genesys.sinks.s3 import CLIENT_CONFIG

    config = Config(**CLIENT_CONFIG)
    chosen = S3Hook(aws_conn_id=conn_id).conn_config.botocore_config
    return S3Hook(aws_conn_id=conn_id, config=config.merge(chosen) if chosen else config).get_conn()


def sqs_client(aws_conn_id: str | None, connections: int) -> Any:
    """Return a client as SqsHook makes it, with the sink's settings where the connection has none."""
    from airflow.providers.amazon.aws.hooks.sqs import SqsHook
    from botocore.config import Config

    from airflow_provider_genesys.sinks.sqs.sink import CLIENT_CONFIG

    config = Config(**CLIENT_CONFIG, max_pool_connections=connections)
    chosen = SqsHook(aws_conn_id=aws_conn_id).conn_config.botocore_config
    return SqsHook(aws_conn_id=aws_conn_id, config=config.merge(chosen) if chosen else config).get_conn()
