"""Archives landed as they are: the same bytes, resumed where they broke off, and loaded from there again."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import (
    FencedError,
    NotAnArchiveError,
    SourceChangedError,
    SourceRefusedError,
    SourceUnavailableError,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.raw_landing import RawLanding
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.source.landed import LandedArchive, LandedObject, find_landed
from airflow_provider_genesys.source.position import PROVEN, Identity
from airflow_provider_genesys.stores import piece_writer
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.times import now
from tests.sinks.batches import make_load
from tests.sinks.gcs import CIPHER
from tests.sinks.lake import MEBIBYTE
from tests.unit.pipeline.sources import InMemory

LOAD = make_load()
HANDLE = {"export_id": LOAD.export_id, "kind": "recordings", "window_start": "2026-11-01T00:00:00+00:00"}
STORES = ("local", "s3", "azure", "gcs")


@dataclass
class Shore:
    """One store, and how archives are landed there."""

    store: ObjectStore
    landing: Callable[..., RawLanding]
    piece: int
    forget: Callable[[], None] | None = None
    """Lets the store forget unfinished uploads, where it knows no such request."""

    def archive(self, pieces: float = 3.5) -> bytes:
        """Return an archive that is sent in so many pieces."""
        lines, size = [], int(pieces * self.piece)
        for number in range(40):
            filler = random.Random(number).randbytes(size // 80).hex()  # noqa: S311 - the same each time
            record = {"recordingId": f"r{number}", "timestamp": "2026-11-01T00:00:00Z", "durationMs": 1, "x": filler}
            lines.append(json.dumps(record).encode())
        return b"\n".join(lines)

    def land(self, data: Any, *, load: Any = LOAD, **options: Any) -> Certificate:
        archive = data if callable(data) else InMemory(data)
        return land(load, HANDLE, archive, self.landing(), Options(**options))

    def listed(self) -> list[str]:
        return [stored.key for stored in self.store.list_objects("")]

    def landed(self) -> LandedObject:
        return find_landed(self.store, self.folder)

    @property
    def folder(self) -> str:
        [manifest] = [key for key in self.listed() if key.endswith("_manifest.json")]
        return manifest.removesuffix("_manifest.json")

    def read(self) -> bytes:
        """Read what the manifest lists."""
        landed = self.landed()
        return b"".join(LandedArchive(self.store, landed, identity=Identity()).read(0))


def landing_of(sink: Callable[..., ObjectSink], *place: Any, **settings: Any) -> Callable[..., RawLanding]:
    return lambda **more: sink(*place, dead_letter_raw="drop", **{**settings, **more}).landing()


@pytest.fixture(params=STORES)
def shore(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shore:
    piece = 5 * MEBIBYTE if request.param == "s3" else 256 * 1024  # S3 takes no smaller ones
    monkeypatch.setattr(piece_writer, "PIECE", piece)
    if request.param == "local":
        return Shore(FolderStore(tmp_path), landing_of(LocalSink, tmp_path, part_size=piece), piece)
    if request.param == "s3":
        client, bucket = request.getfixturevalue("client"), request.getfixturevalue("bucket")
        made = landing_of(S3Sink, lambda: client, bucket, "", part_size=piece)
        return Shore(S3Store(client, bucket), made, piece)
    if request.param == "gcs":
        gcs_bucket = request.getfixturevalue("gcs_bucket")
        made = landing_of(GCSSink, lambda: gcs_bucket, "", cipher=lambda: CIPHER, part_size=piece)
        forget = request.getfixturevalue("gcs").forget_uploads
        return Shore(GCSStore(gcs_bucket, cipher=CIPHER), made, piece, forget)
    azurite, container = request.getfixturevalue("azurite"), request.getfixturevalue("container")
    blobs = azurite.client().get_container_client(container)
    return Shore(AzureStore(blobs), landing_of(AzureBlobSink, lambda: blobs, "", part_size=piece), piece)


@pytest.fixture
def folder(tmp_path: Path) -> Shore:
    """A folder alone, for what does not depend on the store."""
    return Shore(FolderStore(tmp_path), landing_of(LocalSink, tmp_path, part_size=100), 100)


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_writer, "PIECE", 100)


class Breaking(InMemory):
    """Breaks after so many bytes of the archive."""

    def __init__(self, data: bytes, after: int) -> None:
        super().__init__(data, chunk=min(64 * 1024, after // 5))
        self.after = after

    def read(self, start: int) -> Iterator[bytes]:
        offset = start
        for chunk in super().read(start):
            offset += len(chunk)
            if offset > self.after:
                raise SourceUnavailableError("the network is gone")
            yield chunk


def broken(shore: Shore, data: bytes, after: int) -> None:
    with pytest.raises(SourceUnavailableError):
        shore.land(Breaking(data, after))
    assert not [key for key in shore.listed() if "archive" in key or key.endswith("_manifest.json")]


def test_the_bytes_are_the_archives_own_and_the_certificate_says_so(shore: Shore) -> None:
    data = shore.archive()
    certificate = shore.land(data)
    assert shore.read() == data
    [part] = certificate.parts
    assert (part["bytes"], part["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (certificate.contract, certificate.bytes_read, certificate.attempts) == ("raw", len(data), 1)
    assert certificate.location == f"{shore.store.url}/{shore.folder}"
    assert shore.landed().handle == HANDLE
    assert shore.landed().source == Identity(len(data), '"etag"')


def test_a_landing_goes_on_behind_the_last_checkpoint(shore: Shore) -> None:
    data = shore.archive()
    broken(shore, data, after=int(2.5 * shore.piece))
    again, told = InMemory(data), list[Checkpoint]()
    certificate = land(LOAD, HANDLE, again, shore.landing(), Options(), told.append)
    assert again.read_from == 2 * shore.piece - PROVEN
    assert told[0].position.source_offset == 2 * shore.piece
    assert shore.read() == data
    assert (certificate.attempts, certificate.parts[0]["sha256"]) == (2, hashlib.sha256(data).hexdigest())


@pytest.mark.outcome("object stores", "the archive is another one when its landing goes on", "SourceChangedError")
def test_an_archive_that_is_another_one_now_is_not_joined(shore: Shore) -> None:
    data = shore.archive()
    broken(shore, data, after=int(2.5 * shore.piece))
    other = data[: 2 * shore.piece - 10] + b"0123456789" + data[2 * shore.piece :]
    with pytest.raises(SourceChangedError, match=f"export-1.*before byte {2 * shore.piece} have changed"):
        shore.land(other)
    assert not [key for key in shore.listed() if key.endswith("_manifest.json")]
    assert shore.land(other, restart=True).attempts == 1
    assert shore.read() == other


def test_an_upload_that_is_gone_is_begun_anew(shore: Shore) -> None:
    data = shore.archive()
    broken(shore, data, after=int(2.5 * shore.piece))
    shore.store.abort_uploads("")
    if shore.forget:
        shore.forget()
    again = InMemory(data)
    shore.land(again)
    assert again.read_from == 0
    assert shore.read() == data


def test_what_was_landed_stays_readable_until_it_is_landed_anew(shore: Shore) -> None:
    first, second = shore.archive(2.5), shore.archive(3.5)
    shore.land(first)
    newer = make_load("export-2", submitted_at=now())
    with pytest.raises(SourceUnavailableError):
        shore.land(Breaking(second, 2 * shore.piece), load=newer)
    assert shore.read() == first
    shore.land(second, load=newer)
    assert shore.read() == second
    assert len([key for key in shore.listed() if "archive" in key]) == 1


def test_an_older_attempt_is_fenced_and_takes_nothing_from_the_newer(shore: Shore) -> None:
    data, newer = shore.archive(), list[Certificate]()

    class Overtaken(InMemory):
        def read(self, start: int) -> Iterator[bytes]:
            yield from super().read(start)
            newer.append(shore.land(data))

    with pytest.raises(FencedError, match="Another attempt"):
        shore.land(Overtaken(data))
    assert shore.read() == data
    assert newer[0].parts[0]["key"] == shore.landed().key


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (b'{"recordingId": "a"}\n', "ndjson"),
        (b'[{"recordingId": "a"}]', "json"),
        (gzip.compress(b'{"recordingId": "a"}\n', mtime=0), "gz"),
        (b"\x28\xb5\x2f\xfd and so on", "zst"),
        (b"PK\x03\x04 and so on", "zip"),
    ],
    ids=["ndjson", "json", "gz", "zst", "zip"],
)
def test_the_objects_name_ends_as_its_first_bytes_say(folder: Shore, data: bytes, ending: str) -> None:
    [part] = folder.land(data).parts
    assert part["key"].endswith(f".{ending}")
    assert folder.read() == data


@pytest.mark.parametrize("page", [b"<html>no archive</html>", b"BZh91AY", b"<?xml version='1.0'?><Error/>"])
def test_what_is_no_archive_is_not_landed(folder: Shore, page: bytes) -> None:
    with pytest.raises(NotAnArchiveError, match="export-1"):
        folder.land(page)
    assert [key for key in folder.listed() if not key.startswith("_ledger")] == []


def test_an_empty_archive_is_landed_only_where_that_is_said(folder: Shore) -> None:
    with pytest.raises(NotAnArchiveError, match="allow_empty"):
        folder.land(b"")
    assert folder.land(b"", allow_empty=True).bytes_read == 0
    assert folder.read() == b""


@pytest.mark.usefixtures("_small")
def test_a_landing_whose_object_is_not_what_was_sent_is_not_complete(folder: Shore, tmp_path: Path) -> None:
    data = folder.archive(50)
    broken(folder, data, after=len(data) - 1)
    [unfinished] = tmp_path.rglob(".unfinished-*")
    unfinished.write_bytes(b"#" * unfinished.stat().st_size)
    with pytest.raises(Exception, match=r"export-1.*not what was sent"):
        folder.land(data)
    assert not [key for key in folder.listed() if key.endswith("_manifest.json")]


def loaded(shore: Shore, archive: Any, target: Path) -> Certificate:
    target.mkdir(exist_ok=True)
    sink = LocalSink(target, part_size=1000, dead_letter_raw="keep")
    return run(LOAD, archive, sink, Options(batch_size=5))


def test_rows_loaded_from_where_it_was_landed_are_those_loaded_at_once(shore: Shore, tmp_path: Path) -> None:
    data = shore.archive()
    shore.land(data)
    landed = shore.landed()

    def again(start: Checkpoint) -> LandedArchive:
        return LandedArchive(shore.store, landed, identity=start.source)

    at_once, later = (
        loaded(shore, archive, tmp_path / name) for archive, name in ((InMemory(data), "a"), (again, "b"))
    )
    assert (later.counts, later.digest, later.source) == (at_once.counts, at_once.digest, at_once.source)


@pytest.mark.usefixtures("_small")
def test_a_load_that_broke_off_at_genesys_goes_on_from_where_it_was_landed(folder: Shore, tmp_path: Path) -> None:
    data, target = folder.archive(100), tmp_path / "rows"
    folder.land(data)
    with pytest.raises(SourceUnavailableError):
        loaded(folder, Breaking(data, 5_000), target)
    landed = folder.landed()
    certificate = loaded(folder, lambda start: LandedArchive(folder.store, landed, identity=start.source), target)
    assert (certificate.attempts, certificate.counts.read) == (2, 40)
    with pytest.raises(SourceChangedError, match="export-1"):
        [*LandedArchive(folder.store, landed, identity=Identity(7, '"other"')).read(0)]


@pytest.mark.outcome("object stores", "an archive that was landed has been replaced", "SourceChangedError")
def test_an_object_that_was_replaced_is_not_read(shore: Shore) -> None:
    shore.land(shore.archive())
    landed = shore.landed()
    shore.store.put(landed.key, b"#" * landed.bytes)
    with pytest.raises(SourceChangedError, match=r"export-1.*another ETag"):
        [*LandedArchive(shore.store, landed, identity=Identity()).read(0)]


def test_only_what_has_a_manifest_of_an_archive_can_be_loaded(folder: Shore, tmp_path: Path) -> None:
    with pytest.raises(SourceRefusedError, match=r"There is no .*_manifest.json.*has succeeded"):
        find_landed(folder.store, "nowhere/")
    location = loaded(folder, InMemory(folder.archive(50)), tmp_path / "rows").location
    rows = FolderStore(tmp_path / "rows")
    with pytest.raises(SourceRefusedError, match=r"read with contract recordings@.*output_format='raw'"):
        find_landed(rows, location.removeprefix(f"{rows.url}/"))
    folder.store.put("odd/_manifest.json", b'{"contract": "raw"}')
    with pytest.raises(SourceRefusedError, match="is not the manifest of a landed archive"):
        find_landed(folder.store, "odd/")


@pytest.mark.parametrize(
    "key", ["other/secret", "odd/../other/secret", "odd//secret", "/odd/secret", "oddly/secret", 7]
)
def test_a_manifest_leads_nowhere_but_into_its_folder(folder: Shore, key: Any) -> None:
    manifest = {
        "contract": "raw",
        "parts": [{"key": key, "bytes": 6, "etag": "e"}],
        "source": {"length": 6, "etag": "e"},
        "handle": {"export_id": "export-1"},
    }
    folder.store.put("other/secret", b"secret")
    folder.store.put("odd/_manifest.json", json.dumps(manifest).encode())
    with pytest.raises(SourceRefusedError, match=r"odd/_manifest.json (lists|is not the manifest)"):
        find_landed(folder.store, "odd/")
