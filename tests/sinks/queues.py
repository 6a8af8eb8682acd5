"""Queues to send to, and a consumer that drops what it has seen before, as docs/sqs.md tells consumers to."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from airflow_provider_genesys.checkpoints.base import CheckpointStore, Key
from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
from airflow_provider_genesys.checkpoints.dynamodb import DynamoDBCheckpointStore
from airflow_provider_genesys.sinks.sqs.settings import SqsSettings
from airflow_provider_genesys.sinks.sqs.sink import CLIENT_CONFIG, SqsSink
from airflow_provider_genesys.testing.services import S3Server


def sqs_client(endpoint_url: str, service: str = "sqs", **config: Any) -> Any:
    """Return a client as the operator makes it; ``config`` replaces settings by name."""
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="testtest",  # noqa: S106 - the endpoint takes any
        config=Config(**{**CLIENT_CONFIG, **config}),
    )


@dataclass
class Consumer:
    """Receives everything that a queue holds."""

    client: Any
    url: str
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By message id, which never stands for two bodies."""
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    received: Counter[str] = field(default_factory=Counter)
    order: list[int] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)

    def drain(self) -> Consumer:
        while messages := self._receive():
            for message in messages:
                self._take(message)
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
            self.client.delete_message_batch(QueueUrl=self.url, Entries=entries)
        return self

    def _receive(self) -> list[dict[str, Any]]:
        answer = self.client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["MessageGroupId"],
            WaitTimeSeconds=0,
        )
        return list(answer.get("Messages", []))

    def _take(self, message: dict[str, Any]) -> None:
        attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
        identity, body = attributes["message_id"], json.loads(message["Body"])
        body.pop("created_at", None)  # when a dead letter was sent: another time each time
        assert self.bodies.setdefault(identity, body) == body, "one id stands for two bodies"
        self.attributes[identity] = attributes
        self.received[identity] += 1
        self.groups |= {group for group in message.get("Attributes", {}).values() if group}
        self.order.append(int(attributes["source_offset"]))

    def of(self, export_id: str) -> list[dict[str, Any]]:
        return [body for identity, body in self.bodies.items() if self.attributes[identity]["export_id"] == export_id]


class Queues:
    """A pair of queues of one test's own, on moto."""

    def __init__(self, endpoint_url: str, *, fifo: bool = False, **attributes: str) -> None:
        self.client = sqs_client(endpoint_url)
        chosen = {**attributes, **({"FifoQueue": "true"} if fifo else {})}
        self.records = self._make(f"records-{uuid.uuid4().hex}", chosen)
        self.letters = self._make(f"letters-{uuid.uuid4().hex}", chosen)

    def settings(self, **settings: Any) -> SqsSettings:
        chosen = {"dead_letter_raw": "keep", **settings}
        return SqsSettings(self.records.url, self.letters.url, **chosen)

    def sink(self, store: Callable[[], CheckpointStore], client: Any = None, **settings: Any) -> SqsSink:
        return SqsSink(lambda: client or self.client, store, self.settings(**settings))

    def _make(self, name: str, attributes: dict[str, str]) -> Consumer:
        name += ".fifo" if "FifoQueue" in attributes else ""
        return Consumer(self.client, self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def dynamodb_store(s3: S3Server, table: str) -> DynamoDBCheckpointStore:
    return DynamoDBCheckpointStore(
        lambda: sqs_client(s3.endpoint_url, "dynamodb"), table=table, create_table=True, retry_wait=0.01
    )


def state_of(store: ConditionalStore, load_id: str, queue_url: str) -> dict[str, str]:
    """Return what a checkpoint store holds of a load; nothing where it holds none."""
    store.prepare()
    held = store.get(Key(load_id, queue_url)) or {}
    store.close()
    return held
