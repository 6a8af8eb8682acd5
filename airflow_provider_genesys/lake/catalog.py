"""The catalog that holds the tables, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_genesys import aws_errors
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    MissingExtraError,
    SinkRefusedError,
    SinkUnavailableError,
)
from airflow_provider_genesys.outside import shown

try:
    from pyiceberg import exceptions as iceberg
    from pyiceberg.catalog import Catalog, load_catalog
    from pyiceberg.table import CommitTableResponse, Table
    from pyiceberg.table.update import AddSnapshotUpdate, TableRequirement, TableUpdate
    from sqlalchemy.exc import ArgumentError, OperationalError
except ImportError as missing:
    raise MissingExtraError(
        "publish_to_iceberg needs PyIceberg. Run: pip install 'airflow-provider-genesys[iceberg]'"
    ) from missing

PASSING: tuple[type[Exception], ...] = (
    iceberg.CommitFailedException,
    iceberg.CommitStateUnknownException,
    iceberg.WaitingForLockException,
    iceberg.ServerError,
    iceberg.ServiceUnavailableError,
    iceberg.TooManyRequestsError,
    iceberg.TableAlreadyExistsError,
    OperationalError,
    OSError,  # of the network: the errors of requests are among them
)
"""Errors after which the same commit may succeed a moment later, or may have succeeded already."""

_CREDENTIALS = (
    "Set client.access-key-id and client.secret-access-key in the extra of the Iceberg connection, or give the machine "
    "that runs the task a role."
)
_REGION = "Set client.region in the extra of the Iceberg connection, or AWS_DEFAULT_REGION where the task runs."
_REFUSED: tuple[type[Exception], ...] = (
    iceberg.RESTError,
    iceberg.NoSuchNamespaceError,
    iceberg.NoSuchTableError,
    iceberg.ValidationException,
    iceberg.ValidationError,
    ValueError,
)


def open_catalog(name: str, properties: dict[str, str]) -> Catalog:
    """Return the catalog that PyIceberg's ``properties`` lead to.

    :raises ConfigurationError: they lead to none.
    """
    try:
        return load_catalog(name, **properties)
    except (BotoCoreError, ClientError) as error:
        raise _of_aws(error, f"The Iceberg catalog {name!r} cannot be opened") from error
    except (ValueError, iceberg.NotInstalledError, ArgumentError) as error:
        raise ConfigurationError(
            f"The Iceberg catalog {name!r} cannot be opened: {shown(error).rstrip('.')}. Check type and uri of its "
            "connection."
        ) from error
    except AttributeError as error:
        if error.name != "get_frozen_credentials":
            raise
        raise ConfigurationError(
            f"The Iceberg catalog {name!r} cannot be opened: there are no AWS credentials to sign with. {_CREDENTIALS}"
        ) from error


class Confirming:
    """A catalog that checks whether a commit that it reports as failed was made all the same.

    That happens if the answer is lost and the client sends the commit again: the second commit finds that the first has
    changed the table. PyIceberg would then remove the commit's files, and nobody could read the table any more.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """Commit, as :meth:`pyiceberg.catalog.Catalog.commit_table`."""
        try:
            return self._catalog.commit_table(table, requirements, updates)
        except iceberg.CommitFailedException:
            there = self._catalog.load_table(table.name())
            own = {update.snapshot.snapshot_id for update in updates if isinstance(update, AddSnapshotUpdate)}
            if own.isdisjoint(snapshot.snapshot_id for snapshot in there.metadata.snapshots):
                raise
            found = {"metadata": there.metadata, "metadata-location": there.metadata_location}
            return CommitTableResponse.model_validate(found)


@contextmanager
def explained(table: str) -> Iterator[None]:
    """Turn the error of a catalog that refuses into :class:`SinkRefusedError`."""
    try:
        yield
    except PASSING:
        raise
    except (BotoCoreError, ClientError) as error:
        raise _of_aws(error, f"The Iceberg table {table}") from None
    except _REFUSED as error:
        raise SinkRefusedError(
            f"The catalog refuses the Iceberg table {table}: {described(error)}. Grant the right or change what it "
            "names, then clear the task."
        ) from None  # what the catalog answered may repeat what it was sent


def _of_aws(error: BotoCoreError | ClientError, what: str) -> SinkUnavailableError | ConfigurationError:
    """Return the error of this package for one that a catalog in AWS (``glue``, ``dynamodb``) raised."""
    said = aws_errors.describe(error)
    if aws_errors.is_transient(error):
        return SinkUnavailableError(f"{what}: {said}. The next try of the task goes on.")
    advice = {"NoRegionError": _REGION, "NoCredentialsError": _CREDENTIALS}.get(
        aws_errors.code_of(error), "Correct the Iceberg connection, or the rights of its credentials."
    )
    return ConfigurationError(f"{what}: {said}. {advice}")


def described(error: Exception) -> str:
    """Return an error of a catalog in one line."""
    return f"{type(error).__name__}: {shown(error)}"
