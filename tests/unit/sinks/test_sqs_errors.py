from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.sinks.sqs.errors import explained, is_transient


def answer(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "told"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "SendMessageBatch")


@pytest.mark.parametrize(
    "error",
    [
        answer("RequestThrottled", 403),
        answer("ThrottlingException"),
        answer("KmsThrottled"),
        answer("KMS.ThrottlingException"),
        answer("OverLimit", 403),
        answer("InternalFailure", 500),
        answer("ServiceUnavailable", 503),
        boto.ReadTimeoutError(endpoint_url="http://x"),
        boto.EndpointConnectionError(endpoint_url="http://x"),
    ],
)
def test_what_passes_is_tried_again_and_then_unavailable(error: Any) -> None:
    assert is_transient(error)
    assert type(explained(error, "send_message_batch queue")) is SinkUnavailableError


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answer("AWS.SimpleQueueService.NonExistentQueue"), "Create the queue"),
        (answer("QueueDoesNotExist"), "Create the queue"),
        (answer("AccessDeniedException"), "docs/sqs.md"),
        (answer("KmsAccessDenied"), "kms:GenerateDataKey"),
        (answer("KMS.DisabledException"), "kms:GenerateDataKey"),
        (answer("ExpiredToken", 403), "Renew the session token"),
        (answer("InvalidClientTokenId", 403), "credentials"),
        (answer("SignatureDoesNotMatch", 403), "clock"),
        (answer("RequestExpired"), "clock"),
        (answer("AWS.SimpleQueueService.UnsupportedOperation"), ".fifo"),
        (boto.NoCredentialsError(), "credentials"),
        (answer("Unheard"), "correct the settings or the queue"),
    ],
)
def test_what_stays_is_refused_with_what_to_do(error: Any, advice: str) -> None:
    assert not is_transient(error)
    told = explained(error, "send_message_batch queue")
    assert type(told) is SinkRefusedError
    assert advice in str(told)
