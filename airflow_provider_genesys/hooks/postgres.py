"""A PostgreSQL connection of Airflow as a connection of psycopg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import MissingExtraError

if TYPE_CHECKING:
    import psycopg


def connect(postgres_conn_id: str) -> psycopg.Connection:
    """Open a connection as PostgresHook does, but with psycopg 3, even if the hook still uses psycopg2."""
    try:
        import psycopg
        from airflow.providers.postgres.hooks.postgres import PostgresHook
    except ImportError as error:
        raise MissingExtraError(
            f"{error}. Loading into PostgreSQL needs: pip install 'airflow-provider-genesys[postgres]'"
        ) from error
    connection: Any = PostgresHook(postgres_conn_id=postgres_conn_id).get_conn()
    if isinstance(connection, psycopg.Connection):
        return connection
    parameters, password = connection.info.dsn_parameters, connection.info.password
    connection.close()
    return psycopg.connect(**parameters, password=password)
