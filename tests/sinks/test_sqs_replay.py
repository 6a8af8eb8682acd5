"""Dead letters of a queue that are read again, through another contract, into the queue that their load filled."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.pipeline.replay import Replayed, Span
from airflow_provider_genesys.sinks.dead_letters import opened
from airflow_provider_genesys.sinks.sqs.messages import message_id
from airflow_provider_genesys.sinks.sqs.replay import SqsReplay
from airflow_provider_genesys.testing.services import S3Server
from tests.sinks.batches import DAY, LENGTH, make_load
from tests.sinks.lake import run
from tests.sinks.queues import Queues, dynamodb_store
from tests.sinks.replaying import HASHING, KEY, LENIENT, LETTER, STRAYS, as_it_is, contract_of, letters_of, record

LOAD = make_load()
LETTERS = {number: record(number) for number in range(20, 32)} | {32: b'{"durationMs": 1}'}


@pytest.fixture(params=[False, True], ids=["standard", "fifo"])
def queues(request: pytest.FixtureRequest, s3: S3Server) -> Queues:
    """A queue of records, standard or FIFO, and a standard one of letters."""
    made = Queues(s3.endpoint_url, fifo=request.param)
    made.letters = Queues(s3.endpoint_url).letters
    return made


@pytest.fixture
def load(queues: Queues, s3: S3Server, bucket: str) -> Callable[..., None]:
    """Load a batch whose letters lack a duration, and one of them an id."""

    def loaded(letters: dict[int, bytes] = LETTERS, **settings: Any) -> None:
        batches: list[Batch] = [letters_of(LOAD, letters, numbers=range(40))]
        run(queues.sink(lambda: dynamodb_store(s3, bucket), **settings), LOAD, batches)  # type: ignore[arg-type]

    return loaded


def replayed(queues: Queues, contract: Contract = LENIENT, **window: Any) -> Replayed:
    replay = SqsReplay(
        queues.client,
        queues.records.url,
        queues.letters.url,
        opened=lambda letter: opened(letter, as_it_is),
        pii_key=lambda _: KEY,
        message_group_id="one",
        retries=0,
    )
    return replay.run(lambda _: contract, "dag/replay/task", Span(**window))


def test_a_mended_contract_turns_dead_letters_into_messages(queues: Queues, load: Callable[..., None]) -> None:
    load()
    before = set(queues.records.drain().bodies)

    account = replayed(queues, HASHING)

    assert account.summary() == {
        "letters": 13,
        "replayed": 12,
        "written": 12,
        "duplicates": 0,
        "still_open": 1,
        "unreadable": 0,
        "loads": 1,
        "loads_skipped": 0,
        "strays": 0,
        "gone": 0,
        "mended": {"missing-required": 12},
        "broken": {"missing-required": 1},
    }
    assert hidden_in(queues) == 0, "what was replayed is removed, and not only out of sight for a while"
    sent = queues.records.drain().bodies.keys() - before
    assert queues.records.groups == ({"load-1", "one"} if queues.records.url.endswith(".fifo") else set())
    assert sent == {message_id(LOAD, number * LENGTH) for number in range(20, 32)}
    body = queues.records.bodies[message_id(LOAD, 20 * LENGTH)]
    assert (body["recordingId"], body["processedAt"]) == ("recording-0000020", "2026-11-02T03:00:00Z")
    left = queues.letters.drain().bodies
    assert [letter["source_offset"] for letter in left.values()] == [32 * LENGTH]


def test_a_second_replay_finds_what_is_still_open_alone(queues: Queues, load: Callable[..., None]) -> None:
    load()
    replayed(queues)

    again = replayed(queues)

    assert (again.letters, again.replayed, again.still_open) == (1, 0, 1)


def test_letters_without_bytes_and_what_is_no_letter_stay(queues: Queues, load: Callable[..., None]) -> None:
    load({3: record(3)}, dead_letter_raw="drop")
    queues.client.send_message(QueueUrl=queues.letters.url, MessageBody="not ours")

    account = replayed(queues)

    assert (account.letters, account.unreadable, account.strays) == (1, 1, 1)
    assert left_in(queues) == 2


def hidden_in(queues: Queues) -> int:
    answer = queues.client.get_queue_attributes(QueueUrl=queues.letters.url, AttributeNames=["All"])
    return int(answer["Attributes"]["ApproximateNumberOfMessagesNotVisible"])


def left_in(queues: Queues) -> int:
    answer = queues.client.get_queue_attributes(QueueUrl=queues.letters.url, AttributeNames=["All"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


@pytest.mark.outcome("processes", "a replay meets what is no dead letter", "recovers, leaving it as it is")
def test_what_is_no_letter_does_not_stop_the_others(queues: Queues, load: Callable[..., None]) -> None:
    load()
    for body in filter(None, STRAYS):  # SQS takes no empty message
        queues.client.send_message(QueueUrl=queues.letters.url, MessageBody=body)
    replay = SqsReplay(
        queues.client, queues.records.url, queues.letters.url, opened=lambda letter: opened(letter, as_it_is), retries=0
    )

    account = replay.run(contract_of, "dag/replay/task")

    assert (account.replayed, account.strays) == (12, len(STRAYS) - 1)
    assert left_in(queues) == len(STRAYS)  # and the letter that is still open


def test_a_letter_that_cannot_be_read_keeps_no_other_of_its_record_back(
    queues: Queues, load: Callable[..., None]
) -> None:
    load({3: record(3), 4: record(4)})
    genuine = queues.letters.drain().bodies.values()
    for letter in genuine:
        for other in ({}, {"raw": "no base64", "raw_form": "base64"}, {"raw": None, "raw_form": "dropped"}):
            body = json.dumps({**letter, **other})
            queues.client.send_message(QueueUrl=queues.letters.url, MessageBody=body)

    account = replayed(queues)

    assert (account.replayed, account.unreadable) == (2, 4)
    assert left_in(queues) == 4


def test_a_letter_says_nothing_of_others(queues: Queues, load: Callable[..., None]) -> None:
    load({3: record(3), 4: record(4)})
    [letter, _] = queues.letters.drain().bodies.values()
    for changes in ({"processed_at": "2100-01-01T00:00:00Z", "source_offset": 1, "raw": record(5).decode()}, {}):
        queues.client.send_message(QueueUrl=queues.letters.url, MessageBody=json.dumps({**letter, **changes}))

    assert replayed(queues).replayed == 2

    sent = {body["recordingId"]: body["processedAt"] for body in queues.records.drain().bodies.values()}
    assert sent[json.loads(letter["raw"])["recordingId"]] == "2026-11-02T03:00:00Z"


def test_of_two_letters_of_a_record_with_different_bytes_none_is_removed_unread(
    queues: Queues, load: Callable[..., None]
) -> None:
    load({3: record(3)})
    [letter] = queues.letters.drain().bodies.values()
    for raw in (letter["raw"], letter["raw"], record(5).decode()):
        queues.client.send_message(QueueUrl=queues.letters.url, MessageBody=json.dumps({**letter, "raw": raw}))

    account = replayed(queues)

    assert (account.replayed, account.strays, left_in(queues)) == (1, 1, 1)


def test_a_row_that_the_queue_does_not_take_stays_open(queues: Queues, load: Callable[..., None]) -> None:
    load({3: record(3, metadata="x" * 3000), 4: record(4)})
    queues.client.set_queue_attributes(QueueUrl=queues.records.url, Attributes={"MaximumMessageSize": "2048"})

    account = replayed(queues)

    assert (account.replayed, account.broken) == (1, {"message-refused": 1})


def test_only_the_loads_of_the_window_are_replayed(queues: Queues, load: Callable[..., None]) -> None:
    load()
    before = replayed(queues, since=DAY - timedelta(days=2), until=DAY)
    within = replayed(queues, since=DAY, until=DAY + timedelta(days=1))
    assert (before.letters, within.letters) == (0, 13)


@pytest.mark.outcome(
    "processes", "a replay of a queue's dead letters is killed", "recovers, sending records again with the same ids"
)
def test_a_replay_that_is_killed_sends_some_again_with_the_same_id(
    queues: Queues, load: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_genesys.sinks.sqs.replay.HIDDEN", 0)
    load()
    queues.records.drain()
    child = os.fork()
    if not child:
        try:
            failpoints.hook = lambda _: os.kill(os.getpid(), signal.SIGKILL)
            replayed(queues)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    monkeypatch.setattr("airflow_provider_genesys.sinks.sqs.replay.HIDDEN", 900)

    replayed(queues)

    received = queues.records.drain().received
    assert {message_id(LOAD, number * LENGTH) for number in range(20, 32)} <= received.keys()
    assert max(received.values()) == (1 if queues.records.url.endswith(".fifo") else 2)  # FIFO knows the id
    assert len(queues.letters.drain().bodies) == 1


def test_letters_in_a_fifo_queue_are_refused(s3: S3Server) -> None:
    queues = Queues(s3.endpoint_url, fifo=True)
    with pytest.raises(ConfigurationError, match="is a FIFO queue, which cannot be replayed"):
        replayed(queues)


def test_a_replay_ends_though_new_letters_come_all_the_time(s3: S3Server) -> None:
    queues, read = Queues(s3.endpoint_url), list[Any]()

    def send() -> None:
        letter = {**LETTER, "source_offset": len(read)}
        queues.client.send_message(QueueUrl=queues.letters.url, MessageBody=json.dumps(letter))

    def opening(letter: Any) -> bytes:
        read.append(letter)
        assert len(read) < 10, "it would never end"
        send()
        return b"{}"

    send()
    replay = SqsReplay(queues.client, queues.records.url, queues.letters.url, opened=opening)
    assert replay.run(contract_of, "dag/replay/task").letters == 1
