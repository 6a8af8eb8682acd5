"""Which entries of a zip file are read, and what is said of those that cannot be."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.unpack import unpacked
from airflow_provider_genesys.source.unpack.unpacked import Unpacked


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def read(packed: bytes) -> bytes:
    return b"".join(Unpacked(iter([packed]), where="The archive"))


def test_entries_are_read_in_the_order_in_which_they_lie_in_the_file() -> None:
    assert read(zipped({"b.ndjson": b"1\n", "a/a.ndjson": b"2\n", "readme": b"3\n"})) == b"1\n2\n3\n"


def test_more_entries_than_16_bits_count_are_read() -> None:
    many, file = 65_536, zipped({"a.ndjson": b"1\n"}, zipfile.ZIP_STORED)
    at = file.index(b"PK\x01\x02")
    listed = many.to_bytes(8, "little")
    end64 = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12) + listed * 2 + bytes(16)
    end = b"PK\x05\x06" + bytes(4) + b"\xff" * 12 + bytes(2)
    directory = file[at:-22] * many + end64 + b"PK\x06\x07" + bytes(16) + end
    assert read(file[:at] * many + directory) == b"1\n" * many


class Pipe(io.RawIOBase):
    """Takes bytes and cannot go back, as a pipe."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += bytes(data)
        return len(data)


@pytest.mark.parametrize("pipe", [False, True])
def test_an_entry_with_sizes_of_64_bits_is_read_however_short_it_is(*, pipe: bool) -> None:
    file = Pipe() if pipe else io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.ndjson", "b.ndjson"):
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(b"{}\n")
    packed = file.taken if isinstance(file, Pipe) else file.getvalue()
    assert read(packed) == b"{}\n{}\n"
    with pytest.raises(NotAnArchiveError):
        read(packed[: packed.index(b"PK\x01\x02") - 4] + packed[packed.index(b"PK\x01\x02") :])


def test_folders_and_what_macos_adds_are_left_out() -> None:
    left_out = {"data/": b"", "__MACOSX/data/._a.ndjson": b"\0\5", "data/.DS_Store": b"\0", "data/._a.ndjson": b"\0"}
    assert read(zipped({**left_out, "data/a.ndjson": b"{}\n", "../../b.ndjson": b"[]"})) == b"{}\n[]"


def test_other_hidden_files_may_have_records() -> None:
    assert read(zipped({".ndjson": b"{}\n", ".part/a.ndjson": b"{}\n"})) == b"{}\n{}\n"


@pytest.mark.parametrize("name", ["data/", "data\\"])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_folder_with_data_is_refused(name: str, method: int) -> None:
    with pytest.raises(NotAnArchiveError, match=r"'data.*' is a folder by its name, but has data"):
        read(zipped({name: b"{}\n", "a.ndjson": b"{}\n"}, method))


def test_a_file_without_entries_is_an_empty_archive() -> None:
    assert read(zipped({})) == b""


@pytest.mark.parametrize(
    ("method", "says"), [(zipfile.ZIP_BZIP2, "is packed with bzip2"), (zipfile.ZIP_LZMA, "is packed with LZMA")]
)
def test_a_method_that_is_not_known_is_named(method: int, says: str) -> None:
    with pytest.raises(NotAnArchiveError, match=rf"its entry 'a.ndjson' {says} .*Pack it as zip"):
        read(zipped({"a.ndjson": b"{}"}, method))


def test_an_entry_whose_length_only_follows_needs_deflate() -> None:
    packed = bytearray(zipped({"a.ndjson": b"{}"}, zipfile.ZIP_STORED))
    packed[6] |= 8
    packed[14:26] = bytes(12)
    with pytest.raises(NotAnArchiveError, match="is not packed, and its length comes only after"):
        read(bytes(packed))


def test_a_name_does_no_harm_in_a_message() -> None:
    with pytest.raises(NotAnArchiveError) as raised:
        read(zipped({"\x1b[2J\n\u202e" + "x" * 500: b"{}"}, zipfile.ZIP_BZIP2))
    assert "'\\x1b[2J\\n\\u202exxx" in str(raised.value)
    assert "x" * 101 not in str(raised.value)


def test_an_entry_that_the_directory_does_not_list_is_told() -> None:
    packed = zipped({"a.ndjson": b"{}", "b.ndjson": b"[]"})
    listed = packed.index(b"PK\x01\x02")
    second = packed.index(b"PK\x01\x02", listed + 1)
    with pytest.raises(NotAnArchiveError, match="lists 1 entries, but 2 came"):
        read(packed[:listed] + packed[second:])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda packed: packed + b"more", "has more bytes after its end"),
        (lambda packed: packed.replace(b"PK\x01\x02", b"PK\x01\x03"), "neither an entry nor the directory"),
        (lambda packed: packed.replace(b"PK\x05\x06", b"PK\x05\x07"), "its directory is damaged"),
        (lambda packed: packed[:18] + struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF) + packed[26:], "sizes of 64 bits"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(change: object, says: str) -> None:
    with pytest.raises(NotAnArchiveError, match=says):
        read(change(zipped({"a.ndjson": b"{}"})))  # type: ignore[operator]


def test_no_archive_unpacks_to_more_than_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "MAX_UNPACKED", 1000)
    with pytest.raises(NotAnArchiveError, match="swells to more than 1000 bytes"):
        read(zipped({"a.ndjson": b"0123456789" * 101}))
