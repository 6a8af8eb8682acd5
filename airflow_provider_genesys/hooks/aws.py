"""boto3 clients by a connection of Airflow."""

from __future__ import annotations

from typing import Any, Literal

CONNECT_SECONDS = 10

ANSWER_SECONDS = 10


def client(kind: Literal["s3", "sqs", "dynamodb"], conn_id: str | None, config: dict[str, Any] | None = None) -> Any:
    """Return a client as Airflow's own hook makes it. The client does not retry; the caller does.

    :param config: further arguments of botocore's ``Config``. Settings of the connection win over them.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    ours = Config(**_settings(kind), **(config or {}))
    chosen = AwsBaseHook(conn_id, client_type=kind).conn_config.botocore_config
    return AwsBaseHook(conn_id, client_type=kind, config=ours.merge(chosen) if chosen else ours).get_conn()


def _settings(kind: str) -> dict[str, Any]:
    if kind == "s3":
        from airflow_provider_genesys.sinks.s3 import CLIENT_CONFIG
    elif kind == "sqs":
        from airflow_provider_genesys.sinks.sqs.sink import CLIENT_CONFIG
    else:
        return {
            "retries": {"total_max_attempts": 1},
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": ANSWER_SECONDS,
        }
    return CLIENT_CONFIG
