"""Clients of AWS, Azure Blob and PostgreSQL by a connection of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.hooks.connections import read_connection, readable

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10

ANSWER_SECONDS = 10

AWS_DEFAULT = "aws_default"


def client(kind: Literal["s3", "sqs", "dynamodb"], conn_id: str | None, config: dict[str, Any] | None = None) -> Any:
    """Return a client as Airflow's own hook makes it. The client does not retry; the caller does.

    :param config: further arguments of botocore's ``Config``. Settings of the connection win over them.
    :param conn_id: the connection; None, or an ``aws_default`` that does not exist, for the machine's own credentials.
    :raises ConfigurationError: another connection does not exist, has no region, or a setting that cannot be used.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    check_aws(conn_id)
    ours = Config(**_settings(kind), **(config or {}))
    with readable(conn_id, BotoCoreError):
        chosen = AwsBaseHook(conn_id, client_type=kind).conn_config.botocore_config
        return AwsBaseHook(conn_id, client_type=kind, config=ours.merge(chosen) if chosen else ours).get_conn()


def check_aws(conn_id: str | None) -> None:
    """Check that a connection to AWS can be used, unless it means the machine's own credentials.

    Airflow's hook would only warn of one that does not exist, and use those as well.

    :raises ConfigurationError: it does not exist, is of another type, or its extra cannot be read.
    """
    if conn_id:
        read_connection(conn_id, "aws", optional=conn_id == AWS_DEFAULT)


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


def azure_container(conn_id: str, name: str) -> Any:
    """Return a ``ContainerClient`` of the account that WasbHook connects to.

    :raises ConfigurationError: there is no such connection, or its account cannot be read.
    :raises MissingExtraError: Airflow's Azure provider is not installed.
    """
    try:
        from airflow.providers.microsoft.azure.hooks.wasb import WasbHook
    except ImportError as error:
        raise MissingExtraError(
            "Azure Blob needs Airflow's Azure provider. Run: pip install 'airflow-provider-genesys[azure]'"
        ) from error
    read_connection(conn_id, "wasb")
    with readable(conn_id):
        return WasbHook(wasb_conn_id=conn_id).get_conn().get_container_client(name)


def connect(postgres_conn_id: str) -> psycopg.Connection:
    """Open a connection as PostgresHook does, but with psycopg 3, even if the hook still uses psycopg2.

    :raises ConfigurationError: there is no such connection.
    """
    try:
        import psycopg
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        from airflow_provider_genesys.sinks.postgres.session import in_known_form
    except ImportError as error:
        raise MissingExtraError(
            f"{error}. Loading into PostgreSQL needs: pip install 'airflow-provider-genesys[postgres]'"
        ) from error
    read_connection(postgres_conn_id, "postgres")
    with readable(postgres_conn_id, psycopg.ProgrammingError):
        connection: Any = PostgresHook(postgres_conn_id=postgres_conn_id).get_conn()
    if isinstance(connection, psycopg.Connection):
        return in_known_form(connection)
    parameters, password = connection.info.dsn_parameters, connection.info.password
    connection.close()
    return in_known_form(psycopg.connect(**parameters, password=password))
