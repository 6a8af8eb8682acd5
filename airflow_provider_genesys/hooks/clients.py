"""Clients of AWS, Azure Blob and PostgreSQL by a connection of Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_genesys.exceptions import ConfigurationError, MissingExtraError, SinkUnavailableError
from airflow_provider_genesys.hooks.connections import read_connection, readable
from airflow_provider_genesys.outside import shown

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10

ANSWER_SECONDS = 10

AWS_DEFAULT = "aws_default"
_AWS_ADVICE = {
    "NoCredentialsError": "It has none (login and password, role_arn or profile_name), and the machine that runs the "
    "task has none either. Give it some.",
    "NoRegionError": "Set its extra region_name, or AWS_DEFAULT_REGION on the machine that runs the task.",
    "ProfileNotFound": "Correct its extra profile_name, or write the profile on the machine that runs the task.",
}


def client(kind: Literal["s3", "sqs", "dynamodb"], conn_id: str | None, config: dict[str, Any] | None = None) -> Any:
    """Return a client as Airflow's own hook makes it. The client does not retry; the caller does.

    :param config: further arguments of botocore's ``Config``. Settings of the connection win over them.
    :param conn_id: the connection; None, or an ``aws_default`` that does not exist, for the machine's own credentials.
    :raises ConfigurationError: another connection does not exist; there are no credentials or no region; or a setting
        cannot be used.
    :raises SinkUnavailableError: what gives the credentials does not answer.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import NoCredentialsError

    check_aws(conn_id)
    ours = Config(**_settings(kind), **(config or {}))
    with _of_aws(conn_id):
        chosen = AwsBaseHook(conn_id, client_type=kind).conn_config.botocore_config
        made = AwsBaseHook(conn_id, client_type=kind, config=ours.merge(chosen) if chosen else ours).get_conn()
        if made.meta.config.signature_version is not UNSIGNED:
            # Asked for here, since the errors of a later request could not name the connection.
            credentials = made._request_signer._credentials  # noqa: SLF001 - there is nothing public
            if credentials is None:
                raise NoCredentialsError
            credentials.get_frozen_credentials()
    return made


@contextmanager
def _of_aws(conn_id: str | None) -> Iterator[None]:
    """Turn what is raised where a client of AWS is made into errors of ours, which name the connection."""
    from botocore.exceptions import BotoCoreError, ClientError

    from airflow_provider_genesys.aws_errors import code_of, describe, is_transient

    try:
        with readable(conn_id, FileNotFoundError, NotImplementedError, PermissionError):
            yield
    except (BotoCoreError, ClientError) as error:
        named = f"the connection {shown(conn_id, 80)!r}"
        if is_transient(error):
            raise SinkUnavailableError(f"No client can be made of {named}: {describe(error)}.") from error
        advice = _AWS_ADVICE.get(code_of(error), "Correct the connection.")
        raise ConfigurationError(f"No client can be made of {named}: {describe(error)}. {advice}") from error


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

    :raises ConfigurationError: there is no such connection, or it leads to no login: see the extra ``iam``.
    :raises SinkUnavailableError: what gives the login does not answer.
    """
    try:
        import psycopg
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        from airflow_provider_genesys.sinks.postgres.session import in_known_form
    except ImportError as error:
        raise MissingExtraError(
            f"{error}. Loading into PostgreSQL needs: pip install 'airflow-provider-genesys[postgres]'"
        ) from error
    extra = read_connection(postgres_conn_id, "postgres").extra_dejson
    with readable(postgres_conn_id, psycopg.ProgrammingError), _login(extra):
        connection: Any = PostgresHook(postgres_conn_id=postgres_conn_id).get_conn()
    if isinstance(connection, psycopg.Connection):
        return in_known_form(connection)
    parameters, password = connection.info.dsn_parameters, connection.info.password
    connection.close()
    return in_known_form(psycopg.connect(**parameters, password=password))


def _login(extra: dict[str, Any]) -> AbstractContextManager[None]:
    """Return what explains the errors of the service that gives a connection to PostgreSQL its password."""
    if not extra.get("iam"):
        return nullcontext()
    if azure := extra.get("azure_conn_id"):
        read_connection(azure, "azure")
        return _of_azure(azure)
    aws = extra.get("aws_conn_id", AWS_DEFAULT)
    check_aws(aws)
    return _of_aws(aws)


@contextmanager
def _of_azure(conn_id: str) -> Iterator[None]:
    from airflow_provider_genesys.stores.azure_errors import AzureError, explained

    try:
        yield
    except AzureError as error:
        raise explained(error, f"a token by the connection {shown(conn_id, 80)!r}") from error
