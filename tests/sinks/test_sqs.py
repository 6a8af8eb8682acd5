"""Messages in a queue, and queues that do not take them: what moto does not answer, a hook of botocore does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.sinks.sqs.messages import message_id
from airflow_provider_genesys.testing.services import S3Server
from tests.sinks.batches import LENGTH, make_batches, make_certificate, make_checkpoint, make_load, recording_row
from tests.sinks.queues import Queues, dynamodb_store, sqs_client

PAGE = Path(__file__).parents[2] / "docs" / "sqs.md"
LOAD = make_load()


@pytest.fixture
def queues(s3: S3Server) -> Queues:
    return Queues(s3.endpoint_url)


@pytest.fixture
def store(s3: S3Server, bucket: str) -> Callable[[], Any]:
    return lambda: dynamodb_store(s3, bucket)


@pytest.fixture
def failing(s3: S3Server) -> Callable[..., Any]:
    """Makes a client whose next ``times`` requests of an operation are answered with an error."""

    def make(operation: str, code: str, status: int = 400, times: int = 1) -> Any:
        client, left = sqs_client(s3.endpoint_url), iter(range(times))

        def answer(**_: Any) -> Any:
            if next(left, None) is None:
                return None
            body = f'{{"__type": "com.amazonaws.sqs#{code}", "message": "told so"}}'.encode()
            answered = AWSResponse("http://sqs", status, {"x-amzn-query-error": f"{code};Sender"}, None)
            answered._content = body
            return answered

        client.meta.events.register(f"before-send.sqs.{operation}", answer)
        return client

    return make


def load_all(sink: Any, records: int, **batches: Any) -> Certificate:
    sink.open(LOAD, restart=False)
    for batch in make_batches(LOAD, records, size=50, **batches):
        sink.write(batch)
    return sink.finish(make_certificate(LOAD, make_checkpoint(LOAD, records)))


def test_each_record_is_a_message_with_its_place_and_a_lasting_id(queues: Queues, store: Any) -> None:
    certificate = load_all(queues.sink(store), 120, dead={7})

    records, letters = queues.records.drain(), queues.letters.drain()
    assert sorted(records.order) == [number * LENGTH for number in range(120) if number != 7]
    assert set(records.bodies) == {message_id(LOAD, offset) for offset in records.order}
    assert letters.order == [7 * LENGTH]
    attributes = records.attributes[message_id(LOAD, 0)]
    assert (attributes["export_id"], attributes["window_start"]) == ("export-1", "2026-11-01T00:00:00+00:00")
    assert attributes["contract"] == str(LOAD.contract)
    assert certificate.delivery == "at-least-once"
    assert certificate.location == queues.records.url


@pytest.mark.outcome("queues", "a message over the limit", "dead letter")
def test_a_record_that_no_message_can_hold_becomes_a_dead_letter_that_points_to_it(queues: Queues, store: Any) -> None:
    def row(number: int) -> tuple[Any, ...]:
        return recording_row(number, queueName="x" * (1024 * 1024 if number == 5 else 5))

    certificate = load_all(queues.sink(store), 100, row=row)

    [letter] = queues.letters.drain().bodies.values()
    assert (letter["rule"], letter["stage"], letter["source_offset"]) == ("message-too-large", "sink", 5 * LENGTH)
    assert letter["export_id"] == "export-1"
    assert certificate.rules == {"message-too-large": 1}
    assert (certificate.counts.written, certificate.counts.dead_letters) == (99, 1)
    assert len(queues.records.drain().bodies) == 99


def test_the_limit_is_that_of_the_queue(s3: S3Server, store: Any) -> None:
    def row(number: int) -> tuple[Any, ...]:
        return recording_row(number, queueName="x" * (3000 if number == 5 else 5))

    queues = Queues(s3.endpoint_url, MaximumMessageSize="3000")
    assert load_all(queues.sink(store), 10, row=row).rules == {"message-too-large": 1}
    assert len(queues.records.drain().bodies) == 9


def test_a_smaller_limit_may_be_set(queues: Queues, store: Any) -> None:
    def row(number: int) -> tuple[Any, ...]:
        return recording_row(number, queueName="x" * (3000 if number == 5 else 5))

    certificate = load_all(queues.sink(store, max_message_bytes=3000), 10, row=row)
    assert certificate.rules == {"message-too-large": 1}
    assert len(queues.records.drain().bodies) == 9


@pytest.mark.outcome("queues", "a batch is taken in part", "recovers")
@pytest.mark.parametrize("fifo", [False, True])
def test_what_is_not_taken_of_a_batch_is_sent_again_one_by_one(s3: S3Server, store: Any, *, fifo: bool) -> None:
    queues, client = Queues(s3.endpoint_url, fifo=fifo), sqs_client(s3.endpoint_url)
    alone: list[str] = []

    def drop_two(params: dict[str, Any], **_: Any) -> None:
        params["Entries"] = [entry for entry in params["Entries"] if entry["Id"] not in {"2", "5"}]

    def say_so(parsed: dict[str, Any], **_: Any) -> None:
        failed = [{"Id": one, "SenderFault": False, "Code": "InternalError"} for one in ("5", "2")]
        parsed["Failed"] = failed

    client.meta.events.register("provide-client-params.sqs.SendMessageBatch", drop_two)
    client.meta.events.register("after-call.sqs.SendMessageBatch", say_so)
    client.meta.events.register("before-call.sqs.SendMessage", lambda **_: alone.append("one"))

    load_all(queues.sink(store, client), 40)

    records = queues.records.drain()
    assert sorted(records.order) == [number * LENGTH for number in range(40)]
    assert len(alone) == 8
    assert set(records.received.values()) == {1}


@pytest.mark.outcome("queues", "a message that SQS refuses for what is in it", "dead letter")
def test_a_message_that_sqs_refuses_becomes_a_dead_letter(queues: Queues, store: Any, failing: Any) -> None:
    client = failing("SendMessage", "InvalidMessageContents", times=1)
    client.meta.events.register(
        "after-call.sqs.SendMessageBatch",
        lambda parsed, **_: parsed.update(Failed=[{"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents"}]),
    )
    certificate = load_all(queues.sink(store, client, max_in_flight=1), 5)
    assert certificate.rules == {"message-refused": 1}
    assert set(queues.letters.drain().order) == {0}


def refusing(s3: S3Server, url: str) -> Any:
    """Return a client whose requests to one queue are answered as those of messages that SQS does not take."""
    client = sqs_client(s3.endpoint_url)

    def answer(request: Any, **_: Any) -> Any:
        if json.loads(request.body)["QueueUrl"] != url:
            return None
        if "Entries" in json.loads(request.body):
            entries = json.loads(request.body)["Entries"]
            failed = [{"Id": one["Id"], "SenderFault": True, "Code": "InvalidMessageContents"} for one in entries]
            body, status, headers = {"Successful": [], "Failed": failed}, 200, {}
        else:
            body, status = {"__type": "com.amazonaws.sqs#InvalidMessageContents", "message": "told so"}, 400
            headers = {"x-amzn-query-error": "InvalidMessageContents;Sender"}
        answered = AWSResponse("http://sqs", status, headers, None)
        answered._content = json.dumps(body).encode()
        return answered

    for operation in ("SendMessageBatch", "SendMessage"):
        client.meta.events.register(f"before-send.sqs.{operation}", answer)
    return client


@pytest.mark.outcome("queues", "a dead letter that SQS refuses for what is in it", "SinkRefusedError")
@pytest.mark.parametrize("of_the_sink", [False, True], ids=["of the contract", "of the sink"])
def test_a_record_whose_dead_letter_is_refused_is_not_forgotten(
    queues: Queues, store: Any, s3: S3Server, *, of_the_sink: bool
) -> None:
    """Neither its account nor its checkpoint goes on without it; once the queue takes letters, it is there."""
    load: dict[str, Any] = {"dead": {7}}
    if of_the_sink:  # the record fits into no message
        load = {"row": lambda number: recording_row(number, metadata=b'"%s"' % (b"x" * (2000 if number == 7 else 1)))}
        queues.client.set_queue_attributes(QueueUrl=queues.records.url, Attributes={"MaximumMessageSize": "2048"})
    sink = queues.sink(store, refusing(s3, queues.letters.url))
    with pytest.raises(SinkRefusedError, match=r"export-1, bytes 0 to \d+: .*refuses the dead letter .* byte 8400"):
        load_all(sink, 20, **load)
    sink.abort()
    again = queues.sink(store)
    assert again.open(LOAD, restart=False) is None
    again.abort()

    certificate = load_all(queues.sink(store), 20, **load)

    assert (certificate.counts.written, certificate.counts.dead_letters) == (19, 1)
    assert [letter["source_offset"] for letter in queues.letters.drain().bodies.values()] == [7 * LENGTH]
    assert set(queues.records.drain().order) == {number * LENGTH for number in range(20)} - {7 * LENGTH}


def test_what_an_answer_does_not_name_is_sent_again(queues: Queues, store: Any, s3: S3Server) -> None:
    """Neither taken nor refused: a message counts only when the queue says that it has it."""
    client = sqs_client(s3.endpoint_url)
    client.meta.events.register("after-call.sqs.SendMessageBatch", lambda parsed, **_: parsed.pop("Successful"))

    def lose(params: dict[str, Any], **_: Any) -> None:
        params["Entries"] = params["Entries"][:1]

    client.meta.events.register("provide-client-params.sqs.SendMessageBatch", lose)
    load_all(queues.sink(store, client), 20)
    assert set(queues.records.drain().order) == {number * LENGTH for number in range(20)}


@pytest.mark.outcome("queues", "throttled", "recovers")
@pytest.mark.parametrize(
    ("code", "status"), [("RequestThrottled", 400), ("KmsThrottled", 400), ("ServiceUnavailable", 503)]
)
def test_throttling_is_waited_out(queues: Queues, store: Any, failing: Any, code: str, status: int) -> None:
    assert load_all(queues.sink(store, failing("SendMessageBatch", code, status, 2)), 20).counts.written == 20
    assert len(queues.records.drain().bodies) == 20


@pytest.mark.outcome("queues", "the queue stays away", "SinkUnavailableError")
def test_a_queue_that_stays_away_names_export_and_bytes_and_the_next_try_goes_on(
    queues: Queues, store: Any, failing: Any
) -> None:
    sink = queues.sink(store, failing("SendMessageBatch", "ServiceUnavailable", 503, 99), retries=1)
    sink.open(LOAD, restart=False)
    with pytest.raises(SinkUnavailableError, match=r"export-1, bytes 0 to \d+: send_message_batch .*Unavail"):
        sink.write(next(make_batches(LOAD, 20, size=20)))
    sink.abort()
    load_all(queues.sink(store), 20)
    assert len(queues.records.drain().bodies) == 20


@pytest.mark.outcome("queues", "a right is missing, or credentials have expired", "SinkRefusedError")
@pytest.mark.parametrize(
    ("code", "advice"),
    [("AccessDenied", "docs/sqs.md"), ("KmsAccessDenied", "kms:"), ("ExpiredToken", "Renew the session token")],
)
def test_what_no_retry_heals_is_refused_at_once(
    queues: Queues, store: Any, failing: Any, code: str, advice: str
) -> None:
    with pytest.raises(SinkRefusedError, match=f"export-1.*{code}.*{advice}"):
        load_all(queues.sink(store, failing("SendMessageBatch", code, 403)), 5)


@pytest.mark.outcome("queues", "no such queue", "SinkRefusedError")
def test_a_queue_that_is_not_there_is_refused_before_the_load_is_claimed(queues: Queues, store: Any) -> None:
    live = queues.sink(store)
    live.open(LOAD, restart=False)
    queues.client.delete_queue(QueueUrl=queues.letters.url)
    with pytest.raises(SinkRefusedError, match=r"export-1, opening the load.*Create the queue"):
        queues.sink(store).open(LOAD, restart=False)
    assert live.write(next(make_batches(LOAD, 5))) is not None
    live.abort()


def test_a_fifo_queue_has_the_order_of_the_archive(s3: S3Server, store: Any) -> None:
    queues = Queues(s3.endpoint_url, fifo=True)
    load_all(queues.sink(store, message_group_id="one"), 130)
    assert queues.records.drain().order == [number * LENGTH for number in range(130)]


def test_the_consumer_of_the_docs_handles_each_record_once(queues: Queues, store: Any) -> None:
    shown: dict[str, Any] = {}
    [consumer] = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "def " in code]
    exec(consumer, shown)  # noqa: S102 - our own page
    load_all(queues.sink(store), 30)
    load_all(queues.sink(store), 30)

    seen: set[str] = set()
    handled: list[dict[str, Any]] = []
    for _ in range(60 // 10 + 1):
        shown["consume"](queues.client, queues.records.url, seen, handled.append)

    assert sorted(row["recordingId"] for row in handled) == [f"recording-{number:07}" for number in range(30)]
