"""Both ways to check UTF-8 say the same, and so do both ways to search for a NUL escape."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_genesys.contracts import plain_text

WRONG = [
    b"\xff",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf0\x9f\x98",
    b"\x80",
]
texts = st.one_of(st.binary(max_size=30), st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")))


@given(before=st.text(max_size=9), data=texts, after=st.text(max_size=9))
@example("", b"", "")
def test_arrow_and_python_agree(before: str, data: bytes, after: str) -> None:
    text = before.encode("utf-8", "replace") + data + after.encode("utf-8", "replace")
    try:
        text.decode()
    except UnicodeDecodeError:
        right = False
    else:
        right = True
    assert plain_text._is_utf8_to_arrow(pa, text) is right
    assert plain_text._is_utf8(text) is right


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_bytes_are_found_at_every_place(wrong: bytes) -> None:
    for length in (0, 7, 8, 64 * 1024 - 1, 64 * 1024):
        assert not plain_text._is_utf8_to_arrow(pa, b"x" * length + wrong + b"y" * 9)


@pytest.mark.parametrize("search", [plain_text._SEARCH, None])
def test_a_nul_escape_is_found_at_every_place(search: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "_SEARCH", search)
    for length in (0, 9, 64 * 1024):
        for almost in (b"", b"\0", b"\\u00", b"\\u000", b"\\u0001", b"u0000"):
            around = almost * 3 + b"x" * length
            assert plain_text.is_plain(around + around)
            assert not plain_text.is_plain(around + b"\\u0000" + around)
            assert not plain_text.is_plain(around + around + b"\\u0000")
            assert not plain_text.is_plain(b"\\u0000" + around)


def test_the_c_library_searches_here() -> None:
    assert plain_text._SEARCH
