"""Archives of very many small members are read in a time that grows with their size, and with no more memory."""

from __future__ import annotations

import gzip
import io
import random
import sys
import time
import zipfile
from collections.abc import Callable, Iterator

import pytest
from backports import zstd

from airflow_provider_genesys.source.unpack.unpacked import Unpacked

LINE = b'{"recordingId": "r"}\n'
CHUNK = 1024 * 1024


def zipped(count: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.ndjson", LINE)
    return file.getvalue()


PACKED: dict[str, Callable[[int], bytes]] = {
    "gzip": lambda count: gzip.compress(LINE) * count,
    "padded gzip": lambda count: (gzip.compress(LINE) + bytes(100)) * count,
    "zstd": lambda count: zstd.compress(LINE) * count,
    "zip": zipped,
}


def chunks(packed: bytes, size: int = CHUNK) -> Iterator[bytes]:
    return (packed[at : at + size] for at in range(0, len(packed), size))


def seconds(packed: bytes, count: int) -> float:
    """The least of three readings: the machine has other things to do."""
    times = []
    for _ in range(3):
        began = time.process_time()
        assert sum(map(len, Unpacked(chunks(packed), where="It"))) == count * len(LINE)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize("packing", PACKED)
def test_the_time_grows_with_the_members(packing: str) -> None:
    count = 2000  # of which eight times as many are in one chunk
    once, more = (seconds(PACKED[packing](times * count), times * count) for times in (1, 8))
    assert more <= 20 * once  # where each were compared with all, it would be 64
    assert more < 2.5


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("size", [1, 7, 1000, 1024, 1025, 4096, CHUNK])
def test_however_it_is_cut_it_is_the_same(packing: str, size: int) -> None:
    packed = PACKED[packing](300)
    assert b"".join(Unpacked(chunks(packed, size), where="It")) == LINE * 300


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_small_and_large_members_alternate(pack: Callable[[bytes], bytes]) -> None:
    noise = random.Random(5).randbytes(3_000_000)  # noqa: S311 - of a test
    members = [LINE, noise, b"", LINE * 100_000, LINE, noise[:1024], LINE]
    packed = b"".join(map(pack, members))
    for size in (1024, 65_536, CHUNK, len(packed)):
        assert b"".join(Unpacked(chunks(packed, size), where="It")) == b"".join(members)


def test_threads_take_turns_more_often_while_members_are_unpacked() -> None:
    usual = sys.getswitchinterval()
    for packed, shorter in ((PACKED["gzip"](2), True), (2 * LINE, False)):
        unpacked = iter(Unpacked(chunks(packed), where="It"))
        next(unpacked)
        assert (sys.getswitchinterval() < usual) is shorter
        unpacked.close()
        assert sys.getswitchinterval() == usual


def test_a_slice_gets_the_places_up_to_its_end_and_not_all_that_were_read_ahead() -> None:
    unpacked = Unpacked(iter([zipped(1000)]), where="It")
    assert len(b"".join(unpacked)) == 1000 * len(LINE)
    for end in (0, 1, len(LINE) - 1):
        assert len(unpacked.entries(0, end) or ()) == 1
    assert [offset for _, offset in unpacked.entries(0, 3 * len(LINE)) or ()] == [0, 21, 42, 63]
    assert [offset for _, offset in unpacked.entries(45, 45) or ()] == [42]
    assert len(unpacked.entries(45, 10**6) or ()) == 999  # the directory is one, too
