from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.dead_letters import DeadLetterEncoder
from airflow_provider_genesys.sinks.sqs.messages import LARGEST_BATCH, Message, MessageEncoder, packed
from airflow_provider_genesys.sinks.sqs.settings import SqsSettings
from tests.sinks.batches import make_batch, make_load, recording_row

QUEUES = ("https://sqs.example.com/1/records", "https://sqs.example.com/1/letters")


def encoder(export_id: str = "export-1") -> MessageEncoder:
    load = make_load(export_id)
    return MessageEncoder(load, DeadLetterEncoder(load, "keep", None), DeadLetterEncoder(load, "drop", None))


def rows(encoder: MessageEncoder, numbers: range, **columns: Any) -> list[Message]:
    load = make_load()
    return encoder.rows(make_batch(load, numbers, row=lambda number: recording_row(number, **columns)))


def sized(size: int) -> Message:
    return Message("id", 0, "", {}, size)


def test_a_record_has_the_same_id_whenever_it_is_sent_and_another_in_another_export() -> None:
    first, again = rows(encoder(), range(3)), rows(encoder(), range(2, 3))
    assert len({message.id for message in first}) == 3
    assert first[2] == again[0]
    assert rows(encoder("export-2"), range(3))[2].id != first[2].id


def test_the_size_is_what_sqs_counts() -> None:
    [message] = rows(encoder(), range(1), queueName="Größe")
    attributes = sum(len(f"{name}String{value['StringValue']}".encode()) for name, value in message.attributes.items())
    assert message.size == len(message.body.encode()) + attributes


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "\x01", "\u2028", "𝄞"])
def test_characters_that_sqs_refuses_are_escaped_and_read_back(character: str) -> None:
    [message] = rows(encoder(), range(1), queueName=f"a{character}b")
    assert not {"\ufffe", "\uffff", "\x01"} & set(message.body)
    assert json.loads(message.body)["queueName"] == f"a{character}b"


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([], []),
        ([1] * 25, [10, 10, 5]),
        ([LARGEST_BATCH, 1], [1, 1]),
        ([LARGEST_BATCH - 1, 1, 1], [2, 1]),
        ([LARGEST_BATCH // 2] * 5, [2, 2, 1]),
    ],
)
def test_a_batch_has_at_most_ten_messages_and_a_mebibyte(sizes: list[int], batches: list[int]) -> None:
    assert [len(group) for group in packed(map(sized, sizes))] == batches


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"queue_url": "records"}, "queue_url is 'records'"),
        ({"dead_letter_queue_url": QUEUES[0]}, "a separate queue"),
        ({"message_group_id": "a b"}, "message_group_id"),
        ({"message_group_id": "x" * 129}, "message_group_id"),
        ({"max_message_bytes": 100}, "max_message_bytes is 100; it has to be 1024 to 1048576"),
        ({"max_message_bytes": LARGEST_BATCH + 1}, "max_message_bytes"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"retries": -1}, "retries"),
        ({"dead_letter_raw": "encrypt"}, "needs the function that encrypts"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_at_once(settings: dict[str, Any], error: str) -> None:
    chosen = {"queue_url": QUEUES[0], "dead_letter_queue_url": QUEUES[1], "dead_letter_raw": "drop", **settings}
    with pytest.raises(ConfigurationError, match=error):
        SqsSettings(**chosen)
