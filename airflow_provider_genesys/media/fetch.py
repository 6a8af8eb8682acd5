"""The media of recordings: turns a page of conversations into a page of recordings whose files are in the store.

A record holds Genesys' metadata of a recording and the files that were stored for it. It is made after its files are
stored, so a checkpoint after the record proves that they are there. A load that is killed continues at the page it was
reading. Files of that page that were stored already are found and not fetched again. A recording without media is
rejected, with the reason.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Any

import msgspec

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.cloud.http.errors import is_of_one
from airflow_provider_genesys.cloud.http.one_of_many import asked_for_one
from airflow_provider_genesys.cloud.presigned import PresignedUrl
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    NotAnArchiveError,
    NotTheFileError,
    PermissionDeniedError,
    RecordError,
    RequestRefusedError,
    SourceChangedError,
    SourceError,
    SourceRefusedError,
    SourceUnavailableError,
)
from airflow_provider_genesys.failpoints import failpoint
from airflow_provider_genesys.media.batches import NOBODY, MediaBatches, MediaResult, Recording
from airflow_provider_genesys.media.expected import expected_media, unpacked_media
from airflow_provider_genesys.media.index import BrokenMetadata, Index
from airflow_provider_genesys.media.store import KeptRecording, MediaFile, MediaStore, Metadata, id_of
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.download_client import DownloadSettings, open_client

MEDIA_STORED = "media stored"
"""A file is in the store; its recording's metadata is not."""
MEDIA_DESCRIBED = "media described"
"""All files of a recording and its metadata are in the store; no checkpoint covers them yet."""
_API_THREADS = 4
UNAVAILABLE = "media-unavailable"
"""The rule of a recording whose requests all fail with an error for it alone."""
DENIED = "permission-denied"
"""The rule of a conversation whose recordings the OAuth client may not see, while it may see others."""
_OTHERS = 3
_BESIDE = _KEPT = 2
"""How many files of a page's begin, of its end, and of those that were stored before, show that the store is there."""
_OUTAGE = 10
"""If none of this many recordings of a page is available, the fault is not in single recordings."""

ReadMetadata = Callable[[str], list[Metadata] | None]
"""Returns the metadata of a conversation's recordings; None if the conversation is gone."""


@dataclass(frozen=True)
class _Wanted:
    """A recording, what the store already has of it, and what Genesys returns for it."""

    recording: Recording
    metadata: Metadata
    kept: KeptRecording | None
    results: list[MediaResult] = field(default_factory=list)
    beside: Sequence[MediaResult] = ()
    """Files of other recordings; the store gives them, unless it fails for all."""
    refused: RecordError | None = None
    """Why its media is not asked for."""


_Outcome = tuple[memoryview, RecordError | None, int]
"""The record of a recording, the error if it is rejected, and how many bytes were fetched for it."""


@dataclass(frozen=True)
class _Ready:
    """A page whose media are being fetched."""

    ids: list[str]
    outcomes: list[Future[_Outcome]]
    cursor: str | None


class Media:
    """Reads pages of recordings for :class:`~.pages.Pages`, which calls :meth:`read`. The caller closes it.

    While the files of one page are fetched, the next page is already asked for. Its files follow at once, without
    waiting for the last file of the page before.

    :param index: names the conversations.
    :param batches: gives URLs.
    :param at_once: number of files that are fetched at the same time. Each holds one piece in memory.
    """

    def __init__(
        self,
        index: Index,
        metadata: ReadMetadata,
        batches: MediaBatches,
        store: MediaStore,
        config: CloudConfig,
        *,
        stopped: threading.Event,
        at_once: int = 8,
    ) -> None:
        self._index = index
        self._metadata = metadata
        self._batches = batches
        self._store = store
        settings = DownloadSettings.of(config)
        self._client = open_client(settings, keep=at_once)  # a handshake for each small file takes long
        self._settings = replace(settings, client=self._client)
        self._stopped = stopped
        self._fetching = ThreadPoolExecutor(at_once, "genesys-media")
        self._asking = ThreadPoolExecutor(_API_THREADS, "genesys-metadata")
        self._preparing = ThreadPoolExecutor(1, "genesys-next-page")
        self._permitted = False
        self._newest: MediaResult | None = None  # of the newest file that was stored
        self._kept: deque[MediaResult] = deque(maxlen=_KEPT)  # of the newest files that an earlier try stored
        self._answered = ""  # the newest conversation whose metadata came
        self._ahead: dict[tuple[int, str | None], Future[_Ready]] = {}

    def read(self, job: int, cursor: str | None) -> Page:
        """Return the page of recordings that belongs to a page of conversations, once their files are there."""
        ahead = self._ahead.pop((job, cursor), None)
        ready = ahead.result() if ahead else self._prepare(job, cursor)
        if ready.cursor is not None:
            following = (job, ready.cursor)
            self._ahead = {following: self._preparing.submit(self._prepare, *following)}
        outcomes = [outcome.result() for outcome in ready.outcomes]
        refused = {place: error for place, (_, error, _) in enumerate(outcomes) if error}
        _check_outage(list(refused.values()), len(outcomes))
        records, fetched = [record for record, _, _ in outcomes], sum(size for _, _, size in outcomes)
        return Page(ready.ids, records, ready.cursor, refused=refused, media_bytes=fetched)

    def close(self) -> None:
        """Stop all downloads."""
        self._stopped.set()
        for pool in (self._fetching, self._preparing, self._asking):
            pool.shutdown(cancel_futures=True)
        self._client.close()

    def _prepare(self, job: int, cursor: str | None) -> _Ready:
        conversations = self._index(job, cursor)
        meant = (conversations.recordings.get(one) for one in conversations.ids)
        ids = conversations.ids
        by_conversation = list(self._asking.map(self._of_conversation, ids, meant, repeat(ids)))
        self._check_permission(by_conversation)
        found = [one for many in by_conversation for one in many]
        found += [_wanted(Recording("", str(one.get("id") or "")), one, None) for one in conversations.broken]
        missing = [one.recording for one in found if not one.kept and not one.refused]
        results: dict[Recording, list[MediaResult]] = defaultdict(list)
        for result in self._batches.results(missing):
            results[result.recording].append(result)
        beside = self._files_beside(found, [many[0] for many in results.values() if many])
        wanted = [replace(one, results=results[one.recording], beside=beside) for one in found]
        names = [f"{one.recording.conversation_id}/{one.recording.recording_id}" for one in wanted]
        return _Ready(names, [self._fetching.submit(self._outcome, one) for one in wanted], conversations.cursor)

    def _files_beside(self, found: list[_Wanted], asked: list[MediaResult]) -> list[MediaResult]:
        """Return some files that are stored, and some that are asked for."""
        kept = [MediaResult(one.recording, one.kept.files[0].content_type, None, None) for one in found if one.kept]
        self._kept.extend(kept)
        there = [one for one in asked if one.url]
        return [*self._kept, *there[:_BESIDE], *there[_BESIDE:][-_BESIDE:]]

    def _check_permission(self, by_conversation: list[list[_Wanted]]) -> None:
        """Reject no conversation if the OAuth client may see the recordings of none."""
        denials = [many[0].refused for many in by_conversation if many and _is_denied(many[0])]
        self._permitted = self._permitted or len(denials) < len(by_conversation)
        if denials and not self._permitted:
            raise PermissionDeniedError(str(denials[0]), status=403)

    def _of_conversation(self, conversation_id: str, meant: list[str] | None, page: list[str]) -> list[_Wanted]:
        refused = RecordError("conversation-gone", "Genesys does not know the conversation any more.")
        try:
            others = {*page[: _OTHERS + 1], *filter(None, [self._answered])} - {conversation_id}
            asked = (partial(self._metadata, other) for other in others or [NOBODY])
            found = asked_for_one(partial(self._metadata, conversation_id), asked)
            self._answered = conversation_id
        except (PermissionDeniedError, RequestRefusedError, CloudUnavailableError) as error:
            if not is_of_one(error):
                raise
            denied = isinstance(error, PermissionDeniedError)
            found, refused = None, RecordError(DENIED if denied else UNAVAILABLE, str(error))
        if found is None:
            metadata: Metadata = {"conversationId": conversation_id}
            return [_Wanted(Recording(conversation_id, one), metadata, None, refused=refused) for one in meant or [""]]
        if meant is not None:  # a recording that is not listed may still have media
            listed = {id_of(one): one for one in found}
            found = [listed.get(one, {"id": one}) for one in meant]
        kept: Mapping[str, KeptRecording] = self._store.kept(conversation_id) if found else {}
        ids = [id_of(one) for one in found]
        return [
            _wanted(Recording(conversation_id, one), metadata, kept.get(one))
            for one, metadata in zip(ids, found, strict=True)
        ]

    def _outcome(self, wanted: _Wanted) -> _Outcome:
        if isinstance(wanted.metadata, BrokenMetadata):
            return memoryview(wanted.metadata.raw), wanted.refused, 0
        try:
            record, error = {**wanted.metadata, **_described(self._files(wanted))}, None
        except RecordError as refusal:
            said = next((result.error for result in wanted.results if result.error), None)
            record, error = {**wanted.metadata, **({"errorMsg": said} if said else {})}, refusal
        fetched = 0 if error or wanted.kept else record["mediaBytes"]
        return memoryview(msgspec.json.encode(record)), error, fetched

    def _files(self, wanted: _Wanted) -> list[MediaFile]:
        if wanted.refused:
            raise wanted.refused
        files = wanted.kept.files if wanted.kept else self._fetch(wanted)
        if not wanted.kept or not wanted.kept.is_of(wanted.metadata):
            self._store.describe(wanted.recording.conversation_id, KeptRecording(wanted.metadata, files))
            failpoint(MEDIA_DESCRIBED)
        return files

    def _fetch(self, wanted: _Wanted) -> list[MediaFile]:
        if not wanted.results:
            raise RecordError("left-out", _LEFT_OUT)
        if any(result.unavailable for result in wanted.results):
            raise RecordError(UNAVAILABLE, "The request for this recording alone failed; the error is in the record.")
        if any(result.error for result in wanted.results):
            raise RecordError("not-delivered", "Genesys gives no media for it; its words are in the record.")
        return [self._stored(result, number, wanted.beside) for number, result in enumerate(wanted.results, 1)]

    def _stored(self, result: MediaResult, number: int, beside: Sequence[MediaResult]) -> MediaFile:
        of = result.recording
        key = self._store.key(of.conversation_id, of.recording_id, result.content_type, number)
        try:
            others = [one for one in (self._newest, *beside) if one and one.recording != of]
            write = partial(self._write, key, result, number)
            file = self._until_alone(write, others)
        except NotTheFileError as error:
            raise RecordError(UNAVAILABLE, str(error)) from error
        except (SourceRefusedError, SourceChangedError, NotAnArchiveError) as error:
            raise RecordError("media-refused", str(error)) from error
        if number == 1:
            self._newest = result
        failpoint(MEDIA_STORED)
        return file

    def _write(self, key: str, result: MediaResult, number: int) -> MediaFile:
        return self._store.write(key, result.content_type, self._chunks(result, number))

    def _until_alone(self, write: Callable[[], MediaFile], others: Sequence[MediaResult]) -> MediaFile:
        """Return what ``write`` returns. If the store fails twice for this file, and gives another, reject it."""
        for left in (1, 0):
            try:
                return write()
            except SourceUnavailableError as error:
                if not error.answered and not any(map(self._is_given, others)):
                    raise
                if error.answered or not left:
                    raise RecordError(UNAVAILABLE, str(error)) from error
        raise AssertionError

    def _is_given(self, other: MediaResult) -> bool:
        """Whether the store gives this file."""
        if self._stopped.is_set():
            return False
        try:
            return any(self._download(other, 1, retries=1).read(0))
        except (SourceError, RecordError):
            return False

    def _download(self, result: MediaResult, number: int, *, retries: int | None = None) -> Download:
        of = result.recording
        return Download(
            lambda fresh: self._url(result, number, fresh=fresh),
            f"recording {shown(of.recording_id, 80)} of conversation {shown(of.conversation_id, 80)}",
            settings=self._settings if retries is None else replace(self._settings, retries=retries),
            sleep=self._stopped.wait,
            expected=expected_media(result.content_type),
        )

    def _chunks(self, result: MediaResult, number: int) -> Iterator[bytes]:
        """Yield the bytes of the file, without their Content-Encoding."""
        empty, download = True, self._download(result, number)
        for chunk in unpacked_media(self._until_stopped(download), download, result.content_type):
            empty = False
            yield chunk
        if empty:
            raise RecordError("media-refused", f"The file of {download.export_id} has no byte.")

    def _until_stopped(self, download: Download) -> Iterator[bytes]:
        for chunk in download.read(0):
            if self._stopped.is_set():
                raise SourceUnavailableError("The task is being stopped; the next try continues.")
            yield chunk

    def _url(self, result: MediaResult, number: int, *, fresh: bool) -> PresignedUrl:
        """Return the URL of a recording's file. If ``fresh``, ask for a new one with another batch."""
        if result.url and not fresh:
            return result.url
        again: Sequence[MediaResult] = self._batches.results([result.recording])
        url = again[number - 1].url if len(again) >= number else None
        if url is None:
            raise RecordError("not-delivered", "Genesys gave a URL for it; after that had expired, it gave none.")
        return url


def _wanted(recording: Recording, metadata: Metadata, kept: KeptRecording | None) -> _Wanted:
    if isinstance(metadata, BrokenMetadata):
        return _Wanted(recording, metadata, None, refused=metadata.error)
    if not recording.recording_id:
        return _Wanted(
            recording, metadata, None, refused=RecordError("no-id", "The metadata has no id of a recording.")
        )
    return _Wanted(recording, {**metadata, "conversationId": recording.conversation_id}, kept)


def _is_denied(wanted: _Wanted) -> bool:
    return wanted.refused is not None and wanted.refused.rule == DENIED


def _check_outage(refused: Sequence[RecordError], recordings: int) -> None:
    """Reject no recording of a page if the store or Genesys fails for all of them."""
    unavailable = [error for error in refused if error.rule == UNAVAILABLE]
    if len(unavailable) == recordings >= _OUTAGE:
        raise SourceUnavailableError(f"None of {recordings} recordings can be had. The first error: {unavailable[0]}")


_LEFT_OUT = (
    "Genesys lists the recording, but left it out of the batch without a reason. It does so with sensitive data if the "
    "OAuth client lacks recording:recording:viewSensitiveData."
)


def _described(files: list[MediaFile]) -> dict[str, Any]:
    first = files[0]
    return {
        "mediaKey": first.key,
        "mediaBytes": sum(file.bytes for file in files),
        "mediaSha256": first.sha256,
        "contentType": first.content_type,
        "files": files,
    }
