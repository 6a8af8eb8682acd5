"""Requests of one queue, retried and explained."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_genesys.sinks.retries import retried
from airflow_provider_genesys.sinks.sqs_errors import (
    OF_THE_MESSAGE,
    TOO_LONG,
    code_of,
    explained,
    is_transient,
    told,
)
from airflow_provider_genesys.sinks.sqs_messages import LARGEST_BATCH, Message

log = logging.getLogger(__name__)


class Queue:
    """A standard or a FIFO queue; safe to use from several threads, as its client is.

    :param client: a boto3 SQS client.
    :param url: of the queue; that of a FIFO queue ends with ``.fifo``.
    :param group: message group of what is sent to a FIFO queue.
    :param retries: of each request.
    """

    def __init__(self, client: Any, url: str, *, group: str, retries: int) -> None:
        self.url = url
        self.fifo = url.endswith(".fifo")
        self._client = client
        self._group = group
        self._retries = retries

    def largest_message(self) -> int:
        """Ask the queue how many bytes it takes in one message.

        :raises SinkRefusedError: there is no such queue, or the role may not ask.
        """
        answer = self._call("get_queue_attributes", AttributeNames=["MaximumMessageSize"])
        return min(int(answer["Attributes"]["MaximumMessageSize"]), LARGEST_BATCH)

    def send(self, messages: Sequence[Message]) -> list[Message]:
        """Send up to ten messages; return those that SQS refuses for what they are.

        What the queue does not take of a batch is sent again, message by message.
        """
        entries = [{"Id": str(place), **self._described(message)} for place, message in enumerate(messages)]
        answer = self._call("send_message_batch", tolerate=TOO_LONG, Entries=entries)
        if answer is None:
            return self._send_alone(messages)
        failed = sorted(answer.get("Failed", []), key=lambda one: int(one["Id"]))
        if failed:
            log.warning("%s did not take %d of %d messages: %s", self.url, len(failed), len(messages), _codes(failed))
        return self._send_alone([messages[int(one["Id"])] for one in failed])

    def _send_alone(self, messages: Sequence[Message]) -> list[Message]:
        return [message for message in messages if not self._took(message)]

    def _took(self, message: Message) -> bool:
        return self._call("send_message", tolerate=OF_THE_MESSAGE, **self._described(message)) is not None

    def _described(self, message: Message) -> dict[str, Any]:
        described = {"MessageBody": message.body, "MessageAttributes": message.attributes}
        if not self.fifo:
            return described
        return {**described, "MessageGroupId": self._group, "MessageDeduplicationId": message.id}

    def _call(self, operation: str, *, tolerate: Collection[str] = (), **arguments: Any) -> Any:
        request = f"{operation} {self.url}"
        action = getattr(self._client, operation)
        try:
            return retried(
                lambda: action(QueueUrl=self.url, **arguments), request, self._retries, passes=is_transient, told=told
            )
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in tolerate:
                return None
            raise explained(error, request) from error


def _codes(failed: Sequence[dict[str, Any]]) -> str:
    return ", ".join(sorted({str(one.get("Code")) for one in failed}))
