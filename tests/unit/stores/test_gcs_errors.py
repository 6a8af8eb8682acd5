"""What errors of Google Cloud Storage lead to; those that no emulator raises are made here as Google makes them."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from google.api_core import exceptions as google
from google.auth.exceptions import RefreshError, TransportError

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.stores.gcs_errors import code_of, describe, explained, is_transient

URL = "https://storage.googleapis.com/upload/storage/v1/b/lake/o?upload_id=secret"


def answer(status: int, reason: str = "", message: str = "Google says so.") -> Any:
    errors = [{"reason": reason, "domain": "global", "message": message}] if reason else []
    return google.from_http_status(status, f"PUT {URL}: {message}", errors=errors)


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
def test_a_rate_limit_is_no_lack_of_rights(reason: str) -> None:
    assert is_transient(answer(403, reason))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    assert is_transient(answer(status))
    assert isinstance(explained(answer(status), "upload gs://lake/a"), SinkUnavailableError)


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("cut off"), requests.ReadTimeout("late"), TransportError("no token server")]
)
def test_a_connection_that_breaks_is_tried_again(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answer(401, "authError"), "Correct the credentials"),
        (answer(403, "forbidden"), "docs/gcs.md"),
        (answer(403, "retentionPolicyNotMet"), "retention policy"),
        (answer(403, "quotaExceeded"), "A quota is used up"),
        (answer(403, "accountDisabled"), "billing"),
        (answer(403, "objectUnderActiveHold"), "release it"),
        (answer(404, "notFound"), "Create the bucket"),
        (answer(400, "invalid"), "Correct the bucket"),
        (RefreshError("invalid_grant: account not found"), "Correct the credentials"),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), "not trusted"),
    ],
)
def test_what_no_retry_helps_says_what_to_do(error: Exception, advice: str) -> None:
    assert not is_transient(error)
    said = explained(error, "upload gs://lake/a")
    assert isinstance(said, SinkRefusedError)
    assert advice in str(said)


def test_no_message_holds_the_address_of_an_upload() -> None:
    error = answer(503, "backendError")
    assert (code_of(error), describe(error)) == ("backendError", "503 backendError: Google says so.")
    assert "secret" not in str(explained(error, "upload gs://lake/a"))
    assert "secret" not in describe(requests.ConnectionError(f"no route to {URL}"))
