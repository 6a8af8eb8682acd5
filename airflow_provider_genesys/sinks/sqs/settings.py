"""The settings of the SQS sink."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRaw
from airflow_provider_genesys.sinks.sqs.messages import LARGEST_BATCH

SMALLEST_LIMIT = 1024
MOST_IN_FLIGHT = 64
_GROUP = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True)
class SqsSettings:
    """The settings that a user gives.

    :param queue_url: URL of the queue for the records.
    :param dead_letter_queue_url: URL of the queue for dead letters.
    :param message_group_id: message group in a FIFO queue; None for one group per load.
    :param max_message_bytes: a larger message is rejected; None for each queue's own limit.
    :param max_in_flight: requests at the same time. A FIFO queue gets one at a time, to keep the order.
    :param retries: retries of each request after throttling, 500, 503, a timeout or a lost connection.
    :param dead_letter_raw: ``encrypt``, ``keep`` or ``drop`` the bytes of rejected records.
    :param encrypt: encrypts the bytes of a record; needed for ``encrypt``.
    :raises ConfigurationError: a setting is out of range.
    """

    queue_url: str
    dead_letter_queue_url: str
    message_group_id: str | None = None
    max_message_bytes: int | None = None
    max_in_flight: int = 8
    retries: int = 3
    dead_letter_raw: DeadLetterRaw = "encrypt"
    encrypt: Callable[[bytes, bytes], bytes] | None = None

    def __post_init__(self) -> None:
        for name in ("queue_url", "dead_letter_queue_url"):
            if not re.match(r"https?://[^/]+/.", getattr(self, name)):
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}; it has to be the URL of a queue.")
        if self.queue_url == self.dead_letter_queue_url:
            raise ConfigurationError("dead_letter_queue_url is queue_url; dead letters need a separate queue.")
        if self.message_group_id is not None and not _GROUP.fullmatch(self.message_group_id):
            raise ConfigurationError("message_group_id has to be 1 to 128 printable ASCII characters without blanks.")
        _check_range("max_message_bytes", self.max_message_bytes or LARGEST_BATCH, SMALLEST_LIMIT, LARGEST_BATCH)
        _check_range("max_in_flight", self.max_in_flight, 1, MOST_IN_FLIGHT)
        if self.retries < 0:
            raise ConfigurationError(f"retries is {self.retries}; it has to be 0 or more.")
        if self.dead_letter_raw == "encrypt" and self.encrypt is None:
            raise ConfigurationError(
                "dead_letter_raw='encrypt' needs the function that encrypts. Give it as encrypt, or choose 'keep' "
                "(records are sent in clear) or 'drop' (they are not sent)."
            )


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigurationError(f"{name} is {value}; it has to be {least} to {most}.")
