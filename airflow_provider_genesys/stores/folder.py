"""A local folder as an object store, for tests, demos and single machines."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.failpoints import COMPLETING, PIECE_SENT, PUTTING, failpoint
from airflow_provider_genesys.stores.base import Body, SentPieces, Stored

_UNFINISHED = ".unfinished-"
"""Beginning of the name of a file that is being written. No object's name begins with a dot.

If a process is killed, the next attempt removes the unfinished files of parts. An unfinished ledger entry or manifest
stays: it is small, and nothing reads it.
"""

OWNER_ONLY = 0o600
"""Only the owner may read and write a file, because it holds personal data."""

_READABLE = 0o444

_TRANSIENT = {
    errno.EAGAIN,
    errno.EDQUOT,
    errno.EINTR,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


_LINKS = "Choose a folder on a file system with hard links, by which two attempts are kept apart."

_ADVICE = {
    errno.EFBIG: "Choose a smaller part_size.",
    errno.EMLINK: _LINKS,
    errno.ENAMETOOLONG: "Shorten the path of the folder.",
    errno.ENOSYS: _LINKS,
    errno.EOPNOTSUPP: _LINKS,
    errno.EPERM: f"Let the worker's user write to the folder. If it may: {_LINKS}",
    errno.EROFS: "The file system is mounted for reading only: mount it for writing, too.",
}


_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""Errors of a path at which there is no file; a store knows no folders, only keys."""


class FolderStore:
    """Implements :class:`.stores.base.ObjectStore`. A key is a path below the folder.

    :param mode: rights of each file, regardless of the umask. New folders let in the users that may read the files.
    :raises SinkRefusedError: there is no such folder.
    """

    def __init__(self, folder: Path, *, mode: int = OWNER_ONLY) -> None:
        if not folder.is_dir():
            raise SinkRefusedError(f"There is no folder {folder}. Create it, or mount its file system.")
        self._folder = folder.resolve()
        self._mode = mode
        self.url = self._folder.as_uri()

    def put(self, key: str, body: Body) -> str:
        """Write a file, in place of an existing one."""
        failpoint(PUTTING)
        return self._written(key, body).appear()

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create a file as a whole. Return False if there is one already."""
        return self._written(key, body).appear_first()

    def get(self, key: str) -> bytes | None:
        """Return the content of a small file."""
        with _explained(f"reading {key}"), suppress(*_NO_FILE):
            return self._path(key).read_bytes()
        return None

    def read(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | None:
        """Return some bytes of a file."""
        with _explained(f"reading {key}"), suppress(*_NO_FILE), self._path(key).open("rb") as file:
            if etag in {None, _etag(os.fstat(file.fileno()))}:
                file.seek(start)
                return file.read(length)
        return None

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the files whose paths begin with ``prefix``."""
        for key, path in self._found(prefix):
            if not path.name.startswith(_UNFINISHED):
                with _explained(f"looking at {key}"), suppress(FileNotFoundError):
                    status = path.stat()
                    yield Stored(key, status.st_size, _etag(status))

    def delete(self, key: str) -> None:
        """Remove a file."""
        with _explained(f"removing {key}"):
            self._path(key).unlink(missing_ok=True)

    def upload(self, key: str) -> LocalUpload:
        """Begin a file that is written in pieces."""
        return LocalUpload(self._path(key), SentPieces(key, uuid.uuid4().hex), self._mode)

    def resume(self, sent: SentPieces) -> LocalUpload | None:
        """Continue a file; None unless it still has all that was written."""
        upload = LocalUpload(self._path(sent.key), sent, self._mode)
        return upload if upload.goes_on() else None

    def abort_uploads(self, prefix: str) -> None:
        """Remove unfinished files."""
        for key, path in self._found(prefix):
            if path.name.startswith(_UNFINISHED):
                with _explained(f"removing {key}"):
                    path.unlink(missing_ok=True)

    def _written(self, key: str, body: Body) -> LocalUpload:
        upload = self.upload(key)
        upload.write(body)
        return upload

    def _found(self, prefix: str) -> list[tuple[str, Path]]:
        with _explained(f"listing {prefix}"):
            paths = (path for path in self._path(prefix.rpartition("/")[0]).rglob("*") if path.is_file())
            found = sorted((path.relative_to(self._folder).as_posix(), path) for path in paths)
        return [(key, path) for key, path in found if key.startswith(prefix)]

    def _path(self, key: str) -> Path:
        return self._folder / key


class LocalUpload:
    """Implements :class:`.stores.base.ResumableUpload`: a file next to its place, renamed to it when complete."""

    def __init__(self, path: Path, sent: SentPieces, mode: int) -> None:
        self.sent = sent
        self._path = path
        self._unfinished = path.with_name(f"{_UNFINISHED}{sent.name}")
        self._doing = f"writing {sent.key}"
        if not sent.pieces:
            with _explained(self._doing):
                _make_folder(path.parent, mode | (mode & _READABLE) >> 2)
                self._unfinished.touch(OWNER_ONLY)
                self._unfinished.chmod(mode)

    def goes_on(self) -> bool:
        """Cut the file to the length that was sent. Return whether it is that long."""
        with _explained(self._doing), suppress(FileNotFoundError):
            if self._unfinished.stat().st_size >= self.sent.bytes:
                os.truncate(self._unfinished, self.sent.bytes)
                return True
        return False

    def write(self, piece: Body) -> None:
        """Append ``piece`` and flush it to the disk."""
        # Does not create the file: if a newer attempt has removed it, this one must notice.
        with _explained(self._doing), self._unfinished.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def send(self, piece: Body) -> None:
        """Append the next piece."""
        self.write(piece)
        self.sent = self.sent.and_pieces([len(piece)])
        failpoint(PIECE_SENT)

    def complete(self, last: Body, sha256: str) -> str:  # noqa: ARG002 - no response can be lost here
        """Append the last piece and move the file to its place."""
        if last:
            self.send(last)
        failpoint(COMPLETING)
        return self.appear()

    def appear(self) -> str:
        """Move the file to its place, over an existing one; return the ETag."""
        with _explained(self._doing):
            etag = _etag(self._unfinished.stat())
            self._unfinished.replace(self._path)
            _sync(self._path.parent)
        return etag

    def appear_first(self) -> bool:
        """Move the file to its place if that is free. A file created there would be visible before it is complete."""
        with _explained(self._doing):
            try:
                os.link(self._unfinished, self._path)
            except FileExistsError:
                return False
            finally:
                self._unfinished.unlink(missing_ok=True)
                _sync(self._path.parent)
        return True

    def abort(self) -> None:
        """Discard what was written."""
        with _explained(self._doing):
            self._unfinished.unlink(missing_ok=True)


def _make_folder(folder: Path, mode: int) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent, mode)
        with suppress(FileExistsError):  # another attempt was faster
            folder.mkdir(stat.S_IRWXU)
            folder.chmod(mode | folder.stat().st_mode & stat.S_ISGID)  # which the folder above may hand down
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turn errors of the file system into those of this package."""
    try:
        yield
    except FileNotFoundError as error:
        raise SinkUnavailableError(
            f"{doing}: {error.strerror}. A newer attempt, or a person, has removed it. The next try continues after "
            "the last committed part."
        ) from error
    except OSError as error:
        if error.errno in _TRANSIENT:
            raise SinkUnavailableError(
                f"{doing}: {error.strerror}. Check that the disk is mounted and has room. The next try continues after "
                "the last committed part."
            ) from error
        advice = _ADVICE.get(error.errno or 0, "Let the worker's user write to the folder.")
        raise SinkRefusedError(f"{doing}: {error.strerror}. {advice}") from error
