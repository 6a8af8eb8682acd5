"""Every error that the package raises, and what happens after it.

::

    GenesysError
    ├── ConfigurationError        fails the task     a connection, argument or contract has to be changed
    │   ├── WindowError           fails the task     no usable window: missing, reversed, or without length
    │   ├── ContractError         fails the task     the contract is not valid
    │   └── MissingExtraError     fails the task     an optional package is not installed
    ├── CloudError                                   the Genesys Cloud API
    │   ├── AuthenticationError   fails the task     client id, secret or region are wrong
    │   ├── PermissionDeniedError fails the task     the OAuth client's role lacks a permission
    │   ├── NotFoundError         fails the task     no such export, for this client
    │   ├── RequestRefusedError   fails the task     any other 4xx
    │   ├── AnswerTooLargeError   fails the task     more bytes than an answer may have
    │   └── CloudUnavailableError retried            429, 5xx, no connection, when the client's own retries are spent
    │       ├── ForeignAnswerError retried           a proxy's page, a redirect, or an error with status 200
    │       ├── CircuitOpenError  retried            the token endpoint failed several times in a row; paused
    │       └── JobLimitError     retried            the organisation's limit of running recording jobs is reached
    ├── ExportError                                  the job at Genesys
    │   ├── ExportFailedError     fails the task     FAILED or CANCELLED: the create step has to be cleared
    │   ├── ExportGoneError       fails the task     EXPIRED or deleted: the create step has to be cleared
    │   ├── WindowTooLargeError   fails the task     the window has more data than Genesys gives out
    │   └── ExportTimeoutError    fails the task     it did not end within the time allowed
    ├── SourceError                                  the archive's download
    │   ├── SourceUnavailableError retried           network, 5xx, truncation, when in-process retries are spent
    │   ├── UrlExpiredError       retried            the URL expired and Genesys gave no new one
    │   ├── SourceRefusedError    fails the task     the store answers with a status that no retry heals
    │   ├── SourceChangedError    fails the task     the bytes belong to another archive
    │   │   └── ListingMovedError fails the task     a listing changed each time that it was read
    │   ├── CursorLostError       fails the task     the cursor of a page is not valid, but the job exists
    │   ├── IncompleteError       fails the task     the export holds fewer records or bytes than Genesys reports
    │   ├── NotAnArchiveError     fails the task     HTML, XML, an unknown format, or no bytes at all
    │   │   └── NotTheFileError   retried            a page or an error with status 200, in several responses in a row
    │   └── UntrustedHostError    fails the task     the URL leads to a host that the connection does not allow
    ├── RecordError               dead letter        one record cannot be read or breaks the contract
    ├── ContractFrozenError       fails the task     a record differs from its contract, and the mode for that is freeze
    ├── DeadLetterBudgetError     fails the task     more records were dead-lettered than allowed
    ├── DeadLetterError           fails the task     the bytes of a dead letter were not kept, or cannot be decrypted
    ├── SinkError
    │   ├── SinkUnavailableError  retried            the batch was retried and is still not in; nothing of it is visible
    │   ├── SinkRefusedError      fails the task     no such table or bucket, no permission
    │   │   ├── SnapshotShrunkError fails the task   a snapshot lacks more keys than max_deleted_ratio allows
    │   │   └── UnrankedExportError fails the task   another export is there; it is not known which is newer
    │   ├── FencedError           fails the task     a newer attempt of the same load has taken over
    │   └── CheckpointError       fails the task     the checkpoint cannot be read, or belongs to something else
    ├── MemoryLimitError          fails the task     the process holds more than max_memory_mb
    └── AccountError              fails the task     read is not written + dead letters + duplicates

"Retried" means by Airflow, as the task's ``retries`` say. What fails the task at once carries ``retryable = False``,
and the operators turn it into ``AirflowFailException``: another try would meet the same error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_genesys import outside


class GenesysError(Exception):
    """Base of every error of this package. Its message never holds control characters."""

    retryable: bool = False
    """Whether a retry of the task can succeed without any change."""

    def __init__(self, message: str = "") -> None:
        super().__init__(outside.message(message))


class ConfigurationError(GenesysError):
    """A connection, an argument or a file has to be changed before another try makes sense."""


class WindowError(ConfigurationError):
    """The window to export is missing, reversed, or has no length."""


class ContractError(ConfigurationError):
    """A contract is not valid; the message names the place.

    :param about: the wrong setting (``key``, ``columns.queueId``), so that the caller can add its line in the file.
    """

    def __init__(self, message: str, *, about: str | None = None) -> None:
        super().__init__(message)
        self.about = about


class MissingExtraError(ConfigurationError):
    """An optional package is not installed; the message holds the pip command."""


class CloudError(GenesysError):
    """The Genesys Cloud API answered with an error.

    :param message: what happened, where, and what to do.
    :param status: HTTP status; None if there was no response.
    :param code: Genesys' own error code (``ErrorBody.code``), if the response has one.
    :param correlation_id: value of the ``ININ-Correlation-Id`` header, which Genesys' support asks for.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, correlation_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.correlation_id = correlation_id
        self.of_one = False
        """Whether Genesys answered for other entities meanwhile."""
        self.foreign = False
        """Whether the response cannot be Genesys' own, so that the next one may be another."""


class AuthenticationError(CloudError):
    """The token endpoint refuses the client, or the API refuses a fresh token."""


class PermissionDeniedError(CloudError):
    """The OAuth client's role lacks a permission; the message names it where Genesys does."""


class NotFoundError(CloudError):
    """The resource does not exist for this OAuth client."""


class RequestRefusedError(CloudError):
    """The API refuses the request as it is (any 4xx without its own class)."""


class AnswerTooLargeError(CloudError):
    """A response of the API has more bytes than allowed, packed or unpacked."""


class CloudUnavailableError(CloudError):
    """The API did not answer, or answered 429 or 5xx, until the client's retries were spent."""

    retryable = True
    retry_after: float | None = None
    """Seconds that Genesys asks to wait before the next try; None where it does not say."""


class ForeignAnswerError(CloudUnavailableError):
    """Several answers in a row were none of Genesys': a proxy's page, a redirect, or an error with status 200.

    It uses up the task's ``retries``: unlike an outage, it is not waited for, since a person has to look.
    """


class CircuitOpenError(CloudUnavailableError):
    """The token endpoint failed several times in a row; no request is made until the pause is over."""


class JobLimitError(CloudUnavailableError):
    """The organisation's limit of running recording jobs is reached; the create operator waits for a slot."""


class ExportError(GenesysError):
    """The export job at Genesys ended without a result."""


class ExportFailedError(ExportError):
    """The export ended FAILED or CANCELLED."""


class ExportGoneError(ExportError):
    """The export, or its file, is no longer there."""


class WindowTooLargeError(ExportError):
    """Genesys refuses the window, or the rest of its results, because it has too much data."""


class ExportTimeoutError(ExportError):
    """The export did not end within the time allowed."""


class SourceError(GenesysError):
    """The archive cannot be read."""


class SourceUnavailableError(SourceError):
    """The download failed and in-process retries are spent; the next try resumes at the checkpoint.

    :param answered: whether the store did answer, with an error for this file each time.
    """

    retryable = True

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class UrlExpiredError(SourceError):
    """The presigned URL is no longer valid and no new one could be obtained."""

    retryable = True


class SourceRefusedError(SourceError):
    """The object store answers with a status that no retry heals."""


class SourceChangedError(SourceError):
    """Length, ETag or bytes contradict what the checkpoint knows of the archive."""


class ListingMovedError(SourceChangedError):
    """A listing changed while it was read, so that an entity may have been missed; it is read again."""


class CursorLostError(SourceError):
    """Genesys does not accept a cursor that it gave; the pages before it can be read again."""


class IncompleteError(SourceError):
    """The export holds less than Genesys reports, or another number of records where ``expect_records`` is ``fail``."""


class NotAnArchiveError(SourceError):
    """What the URL leads to is not an export archive."""


class NotTheFileError(NotAnArchiveError):
    """Several responses in a row had status 200 but were not the file: a proxy's page, or an error.

    It uses up the task's ``retries``: unlike an outage, it is not waited for, since a person has to look.
    """

    retryable = True


class UntrustedHostError(SourceError):
    """The URL leads to a host or scheme that the connection does not allow."""


class RecordError(GenesysError):
    """One record cannot be read or breaks the contract; it becomes a dead letter.

    :param rule: the short, stable name of the rule that was broken, e.g. ``not-json`` or ``missing-required``.
    :param message: what is wrong with this record, without its values.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


class ContractFrozenError(GenesysError):
    """A record differs from its contract, and the mode for that is ``freeze``; the message names field and position."""


class DeadLetterBudgetError(GenesysError):
    """More records were dead-lettered than ``max_dead_letters`` or ``max_dead_letter_ratio`` allow."""


class DeadLetterError(GenesysError):
    """The bytes of a dead letter were not kept, or cannot be decrypted."""


class SinkError(GenesysError):
    """The sink did not take a batch.

    :param message: what happened, where, and what to do.
    :param code: the sink's own name for it, e.g. an SQLSTATE; None where it has none.
    :param failed: the bytes ``(start, end)`` of the unpacked source that were given to the sink but not committed; None
        if there are none.
    """

    def __init__(self, message: str, *, code: str | None = None, failed: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.failed = failed


class SinkUnavailableError(SinkError):
    """The sink's retries are spent; what was committed stays, the next try resumes there."""

    retryable = True


class SinkRefusedError(SinkError):
    """The sink refuses: no such table or bucket, no permission, a setting that it does not know."""


class SnapshotShrunkError(SinkRefusedError):
    """A snapshot lacks more of the previous keys than ``max_deleted_ratio`` allows; it was not published."""


class UnrankedExportError(SinkRefusedError):
    """The sink has the record, or the window, of another export, and it is not known which was requested later."""


class FencedError(SinkError):
    """A newer attempt of the same load has taken over; this one must not write any more."""


class CheckpointError(SinkError):
    """The stored checkpoint cannot be read, is of an unknown version, or belongs to something else."""


class MemoryLimitError(GenesysError):
    """The process holds more memory than ``max_memory_mb`` allows."""


class AccountError(GenesysError):
    """The account of the load does not close."""


@contextmanager
def error_context(place: str) -> Iterator[None]:
    """Put ``place`` before the message of a sink's error."""
    try:
        yield
    except (SinkUnavailableError, SinkRefusedError) as error:
        raise type(error)(f"{place}: {error}", code=error.code) from error
