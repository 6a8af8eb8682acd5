"""The settings of the fake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from airflow_provider_genesys.testing.fake_genesys.archive import FileFormat
from airflow_provider_genesys.testing.fake_genesys.stored import Compression


@dataclass(kw_only=True)
class Settings:
    """What the fake holds and how it behaves. All but ``host`` and ``port`` may be changed while it runs.

    :param records: records in every export, whatever its window.
    :param size: bytes of an uncompressed NDJSON archive, about; takes the place of ``records``.
    :param seed: the same seed and window give the same bytes, on every machine.
    :param file_format: the format of every export; None delivers the requested one.
    :param content: bytes that every export delivers from now on, in place of a made-up archive; for an export whose
        records a test decides.
    :param compression: None, ``gzip`` or ``gzip-members``. An export stays RUNNING until its file is written.
    :param on_disk: True writes an uncompressed archive to a temporary file first, to serve it with ``sendfile``: for
        benchmarks, where making it up on the way would cost a core.
    :param broken: how many records are broken: a number, or a share as a float between 0 and 1.
    :param duplicates: how many records repeat the id before them: a number, or a share; at most half.
    :param balanced: False cuts truncated records of a JSON array short as in NDJSON, brackets open.
    :param tells_submission: False leaves out when an export was requested, as an archive API may.
    :param job_seconds: how long an export is QUEUED and RUNNING; 0 ends it at the first look.
    :param job_polls: instead of a time: how many looks at an export find it unfinished.
    :param outcome: the state that exports end in: COMPLETED, FAILED, CANCELLED, EXPIRED, or any other word.
    :param conversations: how many conversations begin on each day, for details jobs.
    :param users: how many users there are, for details jobs.
    :param revision: what Genesys makes of its conversations when it looks again: from 1 on, one in ten has fewer
        segments and another metric.
    :param longest_interval: a details job may not ask for more; None for any.
    :param pagination_cap: results of a details job behind this many are refused; None for none.
    :param bucket_cap: an aggregates query may not have more buckets; None for any.
    :param available_until: time up to which analytics has all data; None means five minutes ago.
    :param page_fault: where the third page of results leads: ``same cursor``, ``cursor loop`` or ``page repeated``.
    :param recordings_each: how many recordings a conversation has; None for none, one or two, as its id says.
    :param media_bytes: the smallest and the largest media of a recording, in bytes.
    :param sensitive: share of the recordings that hold sensitive data.
    :param view_sensitive_data: whether the client may see those; otherwise they are left out, silently.
    :param failed_recordings: number of recordings that a recording job cannot export.
    :param batch_url_minutes: how long the URLs of media live, 2 to 60.
    :param token_seconds: lifetime of a token.
    :param url_seconds: lifetime of a presigned URL.
    :param requests_per_minute: what one token may spend in a minute before it gets 429; above Genesys' 300 the
        connection says so.
    :param host: address to listen on.
    :param port: 0 takes a free one.
    """

    records: int = 1_000
    size: int | None = None
    seed: int = 1
    file_format: FileFormat | None = None
    content: bytes | None = None
    compression: Compression | None = None
    on_disk: bool = False
    broken: float = 0
    duplicates: float = 0
    balanced: bool = True
    tells_submission: bool = True
    job_seconds: float = 0
    job_polls: int | None = None
    outcome: str = "COMPLETED"
    conversations: int = 1_000
    users: int = 50
    revision: int = 0
    longest_interval: timedelta | None = None
    pagination_cap: int | None = None
    bucket_cap: int | None = None
    available_until: datetime | None = None
    page_fault: Literal["same cursor", "cursor loop", "page repeated"] | None = None
    recordings_each: int | None = None
    media_bytes: tuple[int, int] = (20_000, 60_000)
    sensitive: float = 0.0
    view_sensitive_data: bool = False
    failed_recordings: int = 0
    batch_url_minutes: int = 60
    token_seconds: float = 86_400
    url_seconds: int = 86_400
    requests_per_minute: int = 300
    host: str = "127.0.0.1"
    port: int = 0
