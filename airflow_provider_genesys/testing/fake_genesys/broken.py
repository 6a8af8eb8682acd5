"""Records that are deliberately broken: each keeps its length, so that no offset behind it moves."""

from __future__ import annotations

import re
from collections.abc import Callable

FieldBreaker = Callable[[bytes], bytes]


def _not_json(record: bytes) -> bytes:
    return b"#ERROR# export worker: this record could not be rendered".ljust(len(record), b".")[: len(record)]


def _truncated(record: bytes) -> bytes:
    return record[: len(record) // 2].replace(b"\n", b" ").ljust(len(record))


def _value_missing(record: bytes) -> bytes:
    kept = re.sub(rb'("durationMs":\s?)\d+.*', rb"\1", record, count=1, flags=re.DOTALL)
    return kept.ljust(len(record) - 1) + b"}"


def _id_missing(record: bytes) -> bytes:
    return re.sub(rb'"recordingId":\s?"[^"]*",', lambda found: b" " * len(found[0]), record, count=1)


def _duration_text(record: bytes) -> bytes:
    return re.sub(rb'("durationMs":\s?)(\d+)', lambda f: f[1] + b'"NA"'.ljust(len(f[2])), record, count=1)


def _invalid_utf8(record: bytes) -> bytes:
    return record.replace(b"Case ", b"\xc3(\xff\xfe ", 1)


def _nul_escape(record: bytes) -> bytes:
    return re.sub(rb"Case \d", rb"\\u0000", record, count=1)


RULES: dict[str, FieldBreaker] = {
    "not-json": _not_json,
    "truncated": _truncated,
    "missing-id": _id_missing,
    "duration-text": _duration_text,
    "invalid-utf8": _invalid_utf8,
    "nul-escape": _nul_escape,
}
"""What is wrong with a broken record; broken records take the rules in this order, again and again."""


def break_record(record: bytes, rule: str, *, balanced: bool) -> bytes:
    """Return ``record`` broken by ``rule``, as long as before.

    With ``balanced`` brackets and quotes stay balanced: a truncated record loses a value, not its end.
    """
    breaker = _value_missing if balanced and rule == "truncated" else RULES[rule]
    return breaker(record)
