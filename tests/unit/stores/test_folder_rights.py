"""Who may read what a folder store writes."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.stores.folder import FolderStore
from tests.sinks.batches import make_load
from tests.sinks.lake import batches_of, run


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def rights(folder: Path) -> tuple[set[int], set[int]]:
    """Return those of the files and those of the folders below."""
    below = list(folder.rglob("*"))
    files, folders = (
        {path.stat().st_mode & 0o7777 for path in below if path.is_dir() is kind} for kind in (False, True)
    )
    return files, folders


@pytest.mark.usefixtures("_umask")
def test_only_the_owner_reads_a_load_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    for folder in (own, shared):
        folder.mkdir()
        folder.chmod(0o755)
    load = make_load()
    run(LocalSink(own, dead_letter_raw="drop"), load, batches_of(load, 60))
    run(LocalSink(shared, dead_letter_raw="drop", file_mode=0o640), load, batches_of(load, 60))
    assert rights(own) == ({0o600}, {0o700})
    assert rights(shared) == ({0o640}, {0o750})


def test_a_large_file_is_never_readable_by_others(tmp_path: Path) -> None:
    upload = FolderStore(tmp_path).upload("a/b")
    upload.send(b"x")
    assert rights(tmp_path) == ({0o600}, {0o700})
    upload.complete(b"y", "")
    assert rights(tmp_path) == ({0o600}, {0o700})


def test_a_folder_hands_its_group_down(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    FolderStore(tmp_path, mode=0o640).put("a/b", b"")
    assert rights(tmp_path) == ({0o640}, {0o2750})


@contextmanager
def no_larger_than(size: int) -> Iterator[None]:
    """Let this process write no file beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_file_system_refuses_says_what_to_do(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with pytest.raises(SinkRefusedError, match="Shorten the path"):
        store.put("a" * 300, b"x")
    with no_larger_than(1000), pytest.raises(SinkRefusedError, match=r"writing raw/a: .*smaller part_size"):
        store.put("raw/a", b"x" * 2000)
    assert list(store.list_objects("")) == []
