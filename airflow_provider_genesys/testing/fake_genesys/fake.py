"""The fake itself: a Genesys Cloud that listens on a local port, and the controls for tests."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import msgspec

from airflow_provider_genesys.testing.fake_genesys.analytics import AnalyticsApi
from airflow_provider_genesys.testing.fake_genesys.analytics_job import AnalyticsJob
from airflow_provider_genesys.testing.fake_genesys.api import PlatformApi
from airflow_provider_genesys.testing.fake_genesys.archive import Archive, FileFormat, Tally
from airflow_provider_genesys.testing.fake_genesys.download import ObjectStore
from airflow_provider_genesys.testing.fake_genesys.exports import Export
from airflow_provider_genesys.testing.fake_genesys.history import History
from airflow_provider_genesys.testing.fake_genesys.listings import Listings
from airflow_provider_genesys.testing.fake_genesys.media import MEDIA_PREFIX, MediaApi, MediaState
from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response
from airflow_provider_genesys.testing.fake_genesys.oauth import CLIENT_ID, CLIENT_SECRET, TokenEndpoint
from airflow_provider_genesys.testing.fake_genesys.orders import ExportOrder
from airflow_provider_genesys.testing.fake_genesys.organisation import Organisation
from airflow_provider_genesys.testing.fake_genesys.presign import Signer
from airflow_provider_genesys.testing.fake_genesys.recording_job import RecordingJob
from airflow_provider_genesys.testing.fake_genesys.recording_jobs import RecordingJobsApi
from airflow_provider_genesys.testing.fake_genesys.scripting import STORE_PREFIX, TOKEN_PATH, Fault, Script
from airflow_provider_genesys.testing.fake_genesys.server import Server
from airflow_provider_genesys.testing.fake_genesys.settings import Settings
from airflow_provider_genesys.testing.fake_genesys.stored import Compression, GivenArchive, StoredArchive
from airflow_provider_genesys.testing.fake_genesys.template import BLOCK_RECORDS
from airflow_provider_genesys.times import now

logger = logging.getLogger(__name__)

_EVERYWHERE = {"", "0.0.0.0"}  # noqa: S104 - compared with, not listened on
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Seen:
    """A request that was answered. ``path`` has no query: that is where signatures are."""

    method: str
    path: str
    range: str | None
    status: int


@dataclass(kw_only=True, eq=False, repr=False)
class FakeGenesys(Settings):
    """A Genesys Cloud for tests: ``with FakeGenesys(records=50_000, seed=7) as genesys: ...``.

    Its parameters are those of :class:`~.settings.Settings`. Token endpoint, API and object store share one port and
    answer from threads of their own.
    """

    client_id = CLIENT_ID
    client_secret = CLIENT_SECRET

    def __post_init__(self) -> None:
        self.exports: dict[str, Export] = {}
        """Every export by id. ``exports[id].outcome`` may be set at any time."""
        self.jobs: dict[str, AnalyticsJob] = {}
        """Every analytics job by id. ``jobs[id].outcome`` may be set at any time."""
        self.recording_jobs: dict[str, RecordingJob] = {}
        """Every recording job by id. ``recording_jobs[id].outcome`` may be set at any time."""
        self.media = MediaState()
        """Batch requests and media, and what is wrong with them."""
        self.listings = Listings(Organisation(self.users, self.seed))
        """Users, queues and all other listings; a test may change them while they are read."""
        self.requests: deque[Seen] = deque(maxlen=10_000)
        """The requests, oldest first."""
        self._files: dict[tuple[Archive, Compression | None], StoredArchive] = {}
        self._lock = threading.Lock()
        self._script = Script()
        self._tokens = TokenEndpoint(self)
        self._signer = Signer()
        self._store = ObjectStore(self.exports, self._signer)
        self.history = History()
        """Changes of single conversations; see :class:`~.history.History`."""
        analytics = AnalyticsApi(self, self.jobs, self.history)
        find = analytics.conversation_ids
        self._media = MediaApi(self, self.media, self._signer, find)
        self._api = PlatformApi(
            self,
            self._tokens,
            self._signer,
            self.exports,
            self._make,
            [analytics, RecordingJobsApi(self, self.recording_jobs, find), self._media, self.listings],
        )
        self._server: Server | None = None

    def start(self) -> FakeGenesys:
        """Listen; ``port`` is the real one from then on.

        :raises ValueError: ``broken`` or ``duplicates`` are more than there are records.
        """
        self.archive(_EPOCH, _EPOCH + timedelta(days=1))
        self._server = Server((self.host, self.port), self._answer)
        self.port = self._server.server_address[1]
        self._server.start()
        return self

    def close(self) -> None:
        """Stop listening, break off running requests, delete files."""
        if self._server:
            self._server.close()
            self._server = None
        for file in self._files.values():
            file.close()
        self._files.clear()

    def __enter__(self) -> FakeGenesys:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Base URL of API, token endpoint and object store."""
        return f"http://{self._reachable_host}:{self.port}"

    def connection(self) -> dict[str, Any]:
        """Return the fields of the Airflow connection that leads here, ``extra`` as a dict.

        Where more requests a minute are taken than Genesys takes, it lets the client make them.
        """
        extra: dict[str, Any] = {
            "login_url": self.url,
            "allow_insecure": True,
            "allowed_download_hosts": [self._reachable_host],
            # A client with more rights is shown them; one with fewer has to find out, as with Genesys.
            "requests_per_minute": max(self.requests_per_minute, 300),
        }
        if self.requests_per_minute > Settings.requests_per_minute:
            extra["requests_per_minute"] = self.requests_per_minute
        return {
            "conn_type": "genesys_cloud",
            "login": self.client_id,
            "password": self.client_secret,
            "host": self.url,
            "extra": extra,
        }

    def connection_json(self) -> str:
        """Return the connection as Airflow reads it from ``AIRFLOW_CONN_GENESYS_DEFAULT``."""
        return msgspec.json.encode(self.connection()).decode()

    def archive(self, window_start: datetime, window_end: datetime, file_format: FileFormat = "ndjson") -> Archive:
        """Return the archive that an export of this window delivers, uncompressed: its bytes, records and tally."""
        file_format = self.file_format or file_format
        start, end = (moment.astimezone(timezone.utc) for moment in (window_start, window_end))
        records = self.records
        if self.size is not None:
            records = round(self.size / Archive(start, end, BLOCK_RECORDS, seed=self.seed).size * BLOCK_RECORDS)
        return Archive(
            start,
            end,
            records,
            seed=self.seed,
            file_format=file_format,
            broken=_count(self.broken, records),
            duplicates=_count(self.duplicates, records),
            balanced=self.balanced,
        )

    def expected(self) -> Tally:
        """Return what every export holds, whatever its window: records, broken ones by rule, distinct ids."""
        return self.archive(_EPOCH, _EPOCH + timedelta(days=1)).tally

    def fail_next(
        self,
        path_prefix: str,
        *,
        status: int = 503,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> None:
        """Answer the next ``times`` requests under ``path_prefix`` with an error instead.

        :param headers: further headers, such as ``Retry-After``.
        :param body: bytes as they are, anything else as JSON; None takes what Genesys, its token endpoint or the
            object store say for this status.
        """
        self._script.add(Fault(path_prefix, status, times, dict(headers or {}), body))

    def expire_urls(self) -> None:
        """Let every presigned URL so far be expired."""
        self._signer.expire_all()

    def expire_cursors(self) -> None:
        """Let every cursor of a details job so far be expired."""
        for job in self.jobs.values():
            job.cursors += 1

    def revoke_tokens(self) -> None:
        """Let every token so far be refused."""
        self._tokens.revoke_all()

    def replace_archive(self, export_id: str) -> None:
        """Put other bytes under another ETag in place of an export's file; plain files keep their length."""
        export = self.exports[export_id]
        archive = replace(export.archive, revision=export.archive.revision + 1)
        stored = self._store_file(archive)
        if stored:
            stored.wait()
        export.archive, export.stored = archive, stored

    @property
    def _reachable_host(self) -> str:
        return "127.0.0.1" if self.host in _EVERYWHERE else self.host

    def _make(self, order: ExportOrder) -> Export:
        archive = self.archive(order.window_start, order.window_end, order.file_format)
        stored = self._store_file(archive) if self.content is None else GivenArchive(self.content)
        return Export(archive, self, self.outcome, now(), stored)

    def _store_file(self, archive: Archive) -> StoredArchive | None:
        """Return the file of ``archive``, which equal exports share, or None where it is written on the fly."""
        if self.compression is None and not self.on_disk:
            return None
        key = (archive, self.compression)
        with self._lock:
            if key not in self._files:
                self._files[key] = StoredArchive(*key)
            return self._files[key]

    def _answer(self, request: Request) -> Response:
        response = self._script.next(request.path) or self._route(request)
        if not request.path.startswith(STORE_PREFIX):
            response.headers.setdefault("ININ-Correlation-Id", str(uuid4()))
        self.requests.append(Seen(request.method, request.path, request.headers.get("Range"), response.status))
        logger.info("%s %s %s %s", request.method, request.path, response.status, request.headers.get("Range", ""))
        return response

    def _route(self, request: Request) -> Response:
        if request.path == TOKEN_PATH:
            return self._tokens.answer(request)
        if request.path.startswith(MEDIA_PREFIX):
            return self._media.file(request)
        if request.path.startswith(STORE_PREFIX):
            return self._store.answer(request)
        return self._api.answer(request)


def _count(number_or_share: float, records: int) -> int:
    return round(number_or_share * records) if isinstance(number_or_share, float) else number_or_share
