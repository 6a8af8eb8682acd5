"""Of an answer that is no archive, only the beginning is read."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from airflow_provider_genesys.exceptions import SourceChangedError
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.download_client import DownloadSettings
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.response import ByteSpan, begin_of


def test_only_the_beginning_of_an_answer_is_read() -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(4096)

    assert len(begin_of(SimpleNamespace(iter_raw=endless), 5.0)) == 8192  # type: ignore[arg-type]  # of it this is read
    assert len(taken) == 2


def test_an_answer_that_breaks_is_read_as_far_as_it_came() -> None:
    def broken() -> Iterator[bytes]:
        yield b"Access"
        raise httpx.ReadError("broke")

    assert begin_of(SimpleNamespace(iter_raw=broken), 5.0) == b"Access"  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(("stop", "length"), [(10, None), (None, 10), (10, 20), (20, 10)])
def test_more_than_was_said_is_another_archive(stop: int | None, length: int | None) -> None:
    download = Download(lambda _: pytest.fail("nothing is asked"), "export-1", Identity(length), DownloadSettings())
    download._check_length(10, ByteSpan(0, stop, None))
    with pytest.raises(SourceChangedError, match="more than the 10 bytes"):
        download._check_length(11, ByteSpan(0, stop, None))
