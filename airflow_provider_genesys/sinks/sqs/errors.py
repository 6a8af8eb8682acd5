"""What an error of Amazon SQS means: try again, or stop and say what to do."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_genesys import aws_errors
from airflow_provider_genesys.aws_errors import describe
from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError

__all__ = ["OF_THE_MESSAGE", "TOO_LONG", "code_of", "describe", "explained", "is_transient"]

TOO_LONG = {"BatchRequestTooLong"}
"""A batch whose messages would be accepted one by one."""
OF_THE_MESSAGE = {"InvalidMessageContents", "InvalidParameterValue"}
"""SQS refuses this message; no retry helps."""

_TRANSIENT_CODES = {
    "KMS.ThrottlingException",
    "KmsThrottled",
    "OverLimit",
    "RequestThrottled",
    "ThrottlingException",
}
_CREDENTIALS = "Correct the credentials of the AWS connection."
_KEY = "Let the role use the queue's KMS key (kms:GenerateDataKey and kms:Decrypt), and see that the key is enabled."
_QUEUE = "Create the queue, or correct its URL and the connection's region_name."
_RENEW = (
    "Renew the session token of the AWS connection, or let it assume a role, which renews itself; then clear the task "
    "with on_clear='resume'."
)
_RIGHTS = "Give the role the rights on the queue that docs/sqs.md lists."
_ADVICE = {
    "AccessDenied": _RIGHTS,
    "AccessDeniedException": _RIGHTS,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "InvalidAddress": _QUEUE,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidSecurity": "The queue takes https only: correct the endpoint of the AWS connection.",
    "NoCredentialsError": _CREDENTIALS,
    "NoRegionError": "Set region_name of the AWS connection to the queue's region.",
    "NonExistentQueue": _QUEUE,
    "QueueDoesNotExist": _QUEUE,
    "RequestExpired": "The worker's clock is wrong: set it, e.g. with NTP.",
    "SignatureDoesNotMatch": _CREDENTIALS + " Where they are right, the worker's clock is wrong.",
    "UnrecognizedClientException": _CREDENTIALS,
    "UnsupportedOperation": "Message groups and deduplication ids are for FIFO queues, whose names end with '.fifo'.",
}


def code_of(error: Exception) -> str:
    """Return SQS's code for an error in its short form, e.g. ``NonExistentQueue``."""
    return aws_errors.code_of(error).removeprefix("AWS.SimpleQueueService.")


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed a moment later."""
    throttled = isinstance(error, ClientError) and code_of(error) in _TRANSIENT_CODES
    return throttled or aws_errors.is_transient(error)


def explained(error: ClientError | BotoCoreError, request: str) -> SinkError:
    """Return the error that is raised instead of ``error``.

    :param request: the request, e.g. ``send_message_batch https://sqs…/queue``.
    """
    if is_transient(error):
        return SinkUnavailableError(
            f"{request} failed after all retries: {describe(error)}. The next try goes on from the last checkpoint and "
            "sends again what came after it.",
            code=code_of(error),
        )
    return SinkRefusedError(f"{request} was refused: {describe(error)}. {_advice(code_of(error))}", code=code_of(error))


def _advice(code: str) -> str:
    if code.lower().startswith("kms"):
        return _KEY
    return _ADVICE.get(code, "A retry would fail as well: correct the settings or the queue.")
