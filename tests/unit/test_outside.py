"""Text from outside is shown on one line, printable, cut, and without what opens anything."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_genesys.outside import LONGEST, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain text", "plain text"),
        (" two\r\nlines\u2028three\tcolumns ", "two lines three columns"),
        ("\x1b[31mred\x1b[0m \x00\x07\x7f", "[31mred [0m"),
        ("right\u202eto left\u200b", "right to left"),
        ("lone \ud800 surrogate", "lone surrogate"),
        (b"bytes \xff\n", "bytes \ufffd"),
        (None, "None"),
        ({"a": [1]}, "{'a': [1]}"),
        ([10**5000], "(list)"),
        ("see https://a.example/key?X-Amz-Signature=abc&x=1 there", "see https://a.example/key?... there"),
        ("s3://bucket/key#fragment", "s3://bucket/key?..."),
        ("no connection postgresql://u:p%40w@host/db", "no connection postgresql://***@host/db"),
        ("http://u:p@host/a?b=c, not a@b", "http://***@host/a?... not a@b"),
        ("X-Amz-Signature=abcdef&sig=zyx", "X-Amz-Signature=***&sig=***"),
        ('{"access_token": "abcdef", "expires_in": 5}', '{"access_token": "***", "expires_in": 5}'),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer ***"),
        ("client_secret: s3cr3t", "client_secret: ***"),
        ("x" * 1000, "x" * (LONGEST - 3) + "..."),
    ],
)
def test_it_is_shown(value: Any, text: str) -> None:
    assert shown(value) == text
    assert shown(value).isprintable()


@pytest.mark.parametrize("piece", ["x", "a:", "://", "token", "token=", "\n", "bearer ", "https://a/", "?"])
def test_however_long_it_is_it_takes_no_time(piece: str) -> None:
    text, began = piece * 2_000_000, time.process_time()
    assert len(shown(text)) <= LONGEST
    assert time.process_time() - began < 0.05
