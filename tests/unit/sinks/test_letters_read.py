"""Dead letters of an object are read a few at a time, and no more of them is held than that."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.sinks.objects import dead_letters
from airflow_provider_genesys.sinks.objects.dead_letters import is_open, letters_in
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.folder import FolderStore
from tests.sinks.replaying import LETTER

LINE = json.dumps(LETTER).encode() + b"\n"


def stored(folder: Path, body: bytes) -> tuple[FolderStore, Part]:
    store = FolderStore(folder)
    store.put("letters", body)
    return store, Part("letters", 0, 1, 1, len(body), hashlib.sha256(body).hexdigest(), "")


@pytest.mark.parametrize(
    ("most", "bytes_", "expected"),
    [(500, 10**6, [6]), (4, 10**6, [4, 2]), (500, 2 * len(LINE), [3, 3]), (500, 0, [1] * 6)],
)
def test_a_few_are_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, bytes_: int, expected: list[int]
) -> None:
    monkeypatch.setattr(dead_letters, "BATCH", most)
    monkeypatch.setattr(dead_letters, "BATCH_BYTES", bytes_)
    assert [len(some) for some in letters_in(*stored(tmp_path, LINE * 6))] == expected


def test_a_line_without_an_end_is_not_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PIECE", 1000)
    monkeypatch.setattr(dead_letters, "LONGEST_LETTER", 3000)
    store, part = stored(tmp_path, b"x" * 100_000)
    read, reads = store.read, list[int]()

    def counted(key: str, start: int, length: int) -> Any:
        reads.append(start)
        return read(key, start, length)

    monkeypatch.setattr(store, "read", counted)
    with pytest.raises(AccountError, match="does not hold the dead letters"):
        list(letters_in(store, part))
    assert reads == [0, 1000, 2000, 3000]


def test_what_a_replay_could_not_read_is_not_open() -> None:
    assert is_open(LETTER)
    assert not is_open({**LETTER, "state": "replayed"})
    assert not is_open({name: value for name, value in LETTER.items() if name != "rule"})
