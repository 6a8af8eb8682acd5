"""Requests to one queue, with retries and explained errors."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_genesys.retries import retried
from airflow_provider_genesys.sinks.sqs.errors import (
    OF_THE_MESSAGE,
    TOO_LONG,
    code_of,
    describe,
    explained,
    is_transient,
)
from airflow_provider_genesys.sinks.sqs.messages import LARGEST_BATCH, MOST_MESSAGES, Message

log = logging.getLogger(__name__)


class Queue:
    """A standard or a FIFO queue; safe to use from several threads, as its client is.

    :param client: a boto3 SQS client.
    :param url: URL of the queue; that of a FIFO queue ends with ``.fifo``.
    :param group: message group of messages to a FIFO queue.
    :param retries: retries of each request.
    """

    def __init__(self, client: Any, url: str, *, group: str, retries: int) -> None:
        self.url = url
        self.fifo = url.endswith(".fifo")
        self._client = client
        self._group = group
        self._retries = retries

    def largest_message(self) -> int:
        """Ask the queue how many bytes it takes in one message.

        :raises SinkRefusedError: there is no such queue, or the role lacks the right to ask.
        """
        answer = self._call("get_queue_attributes", AttributeNames=["MaximumMessageSize"])
        return min(int(answer["Attributes"]["MaximumMessageSize"]), LARGEST_BATCH)

    def send(self, messages: Sequence[Message]) -> list[Message]:
        """Send up to ten messages. Return those whose content SQS refuses.

        Messages of a batch that SQS does not confirm are sent again, one by one.
        """
        entries = [{"Id": str(place), **self._described(message)} for place, message in enumerate(messages)]
        answer = self._call("send_message_batch", tolerate=TOO_LONG, Entries=entries)
        if answer is None:
            return self._send_alone(messages)
        failed = answer.get("Failed", [])
        taken = {one["Id"] for one in answer.get("Successful", [])} - {one["Id"] for one in failed}
        left = [message for place, message in enumerate(messages) if str(place) not in taken]
        if left:
            log.warning("%s did not take %d of %d messages: %s", self.url, len(left), len(messages), _codes(failed))
        return self._send_alone(left)

    def length(self) -> int:
        """Return the approximate number of messages that can be received."""
        answer = self._call("get_queue_attributes", AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def receive(self, hidden: int) -> list[dict[str, Any]]:
        """Return up to ten messages, and hide them from others for ``hidden`` seconds."""
        answer = self._call(
            "receive_message",
            MaxNumberOfMessages=MOST_MESSAGES,
            VisibilityTimeout=hidden,
            WaitTimeSeconds=1,
        )
        return list(answer.get("Messages", []))

    def delete(self, receipts: Sequence[str]) -> None:
        """Remove messages that were received; a receipt that is stale removes nothing."""
        for entries in _entries(receipts):
            self._call("delete_message_batch", Entries=entries)

    def show(self, receipts: Sequence[str]) -> None:
        """Make received messages visible again at once."""
        for entries in _entries(receipts):
            shown = [{**entry, "VisibilityTimeout": 0} for entry in entries]
            self._call("change_message_visibility_batch", Entries=shown)

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
                lambda: action(QueueUrl=self.url, **arguments),
                request,
                self._retries,
                is_transient=is_transient,
                describe=describe,
            )
        except (ClientError, BotoCoreError) as error:
            if code_of(error) in tolerate:
                return None
            raise explained(error, request) from error


def _entries(receipts: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    for first in range(0, len(receipts), MOST_MESSAGES):
        some = receipts[first : first + MOST_MESSAGES]
        yield [{"Id": str(place), "ReceiptHandle": receipt} for place, receipt in enumerate(some)]


def _codes(failed: Sequence[dict[str, Any]]) -> str:
    return ", ".join(sorted({str(one.get("Code")) for one in failed})) or "no reason was given"
