"""Checkpoints in Amazon DynamoDB: one item for each load. ``docs/checkpoints.md`` has the table and the rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from airflow_provider_genesys.aws_errors import code_of, describe, is_transient
from airflow_provider_genesys.checkpoints.base import Key
from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
from airflow_provider_genesys.checkpoints.entry import NUMBERS
from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError

HASH_KEY = "id"
_TRANSIENT_CODES = {
    "LimitExceededException",  # too many tables are being created
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
}
_CREDENTIALS = "Correct the credentials of the AWS connection."
_ADVICE = {
    "AccessDeniedException": "Give the role the rights on the table that docs/checkpoints.md lists.",
    "ExpiredTokenException": "Renew the session token of the AWS connection, or let it assume a role, which renews "
    "itself; then clear the task with on_clear='resume'.",
    "InvalidSignatureException": _CREDENTIALS,
    "NoCredentialsError": _CREDENTIALS,
    "ResourceNotFoundException": "Create the table as docs/checkpoints.md shows, set create_table=True, or correct its "
    "name and the connection's region_name.",
    "UnrecognizedClientException": _CREDENTIALS,
}


class DynamoDBCheckpointStore(ConditionalStore):
    """Implements :class:`.base.CheckpointStore`.

    :param client: makes a boto3 DynamoDB client; called once, when the store is first used.
    :param table: its partition key is the string ``id``; it has no sort key.
    :param create_table: create the table, with on-demand capacity, if it does not exist.
    :param retries: how often a request is sent again after throttling, 500, 503 and connection loss.
    :param retry_wait: seconds before the first retry; doubles for each further one, with jitter.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        *,
        table: str = "genesys_checkpoints",
        create_table: bool = False,
        retries: int = 3,
        retry_wait: float = 0.5,
    ) -> None:
        super().__init__(client, retries=retries, retry_wait=retry_wait)
        self._table = table
        self._create_table = create_table

    def where(self, name: Key | str) -> str:
        """Return table and item in words."""
        return f"DynamoDB table {self._table}, {HASH_KEY} {name}"

    def prepare(self) -> None:
        """Create the table if asked to. If another task creates it at the same moment, that is no error."""
        if not self._create_table:
            return
        with _explained():
            if self._described() is None:
                self._create()
            self._client.get_waiter("table_exists").wait(
                TableName=self._table, WaiterConfig={"Delay": 2, "MaxAttempts": 30}
            )

    def get(self, name: Key | str) -> dict[str, str] | None:
        """Read the item, with all writes before (a consistent read)."""
        with _explained():
            answer = self._client.get_item(TableName=self._table, Key=_key(name), ConsistentRead=True)
        # Every attribute is {type: value}.
        attributes = answer.get("Item", {}).items()
        return {name: str(*value.values()) for name, value in attributes if name != HASH_KEY} or None

    def put(self, name: Key | str, fields: dict[str, str], *, replacing: int) -> bool:
        """Replace the item."""
        item = {name: {"N" if name in NUMBERS else "S": value} for name, value in fields.items()}
        condition: dict[str, Any] = {"ConditionExpression": f"attribute_not_exists({HASH_KEY})"}
        if replacing:
            condition = {
                "ConditionExpression": "revision = :read",
                "ExpressionAttributeValues": {":read": {"N": str(replacing)}},
            }
        try:
            with _explained():
                self._client.put_item(TableName=self._table, Item={**item, **_key(name)}, **condition)
        except _Changed:
            return False
        return True

    def _described(self) -> Any:
        with suppress(self._client.exceptions.ResourceNotFoundException):
            return self._client.describe_table(TableName=self._table)
        return None

    def _create(self) -> None:
        with suppress(self._client.exceptions.ResourceInUseException):
            self._client.create_table(
                TableName=self._table,
                AttributeDefinitions=[{"AttributeName": HASH_KEY, "AttributeType": "S"}],
                KeySchema=[{"AttributeName": HASH_KEY, "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )


class _Changed(Exception):  # noqa: N818 - an answer rather than an error
    """Another attempt has changed the item since it was read."""


def _key(name: Key | str) -> dict[str, dict[str, str]]:
    return {HASH_KEY: {"S": str(name)}}


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of botocore into those of this package."""
    try:
        yield
    except WaiterError as error:
        raise SinkUnavailableError("the table is still being created") from error
    except (ClientError, BotoCoreError) as error:
        code = code_of(error)
        if code == "ConditionalCheckFailedException":
            raise _Changed from error
        if code in _TRANSIENT_CODES or is_transient(error):
            raise SinkUnavailableError(describe(error)) from error
        advice = _ADVICE.get(code, "A retry would fail in the same way: correct the settings or the table.")
        raise SinkRefusedError(f"{describe(error)}. {advice}") from error
