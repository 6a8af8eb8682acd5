"""Makes text from outside safe to show: in a log, an error, an event or a page."""

from __future__ import annotations

import re

LONGEST = 300
"""Characters of one text that are shown."""

LONGEST_MESSAGE = 8000
"""Characters of a whole message of an error."""
_LOOKED_AT = 4
"""Only this many times the shown characters of a text are examined."""
_QUERY = re.compile(r"([a-z][a-z0-9+.-]{0,20}://[^\s?#\"'<>]{0,1000})[?#][^\s\"'<>]*", re.IGNORECASE)
_USER = re.compile(r"([a-z][a-z0-9+.-]{0,20}://)[^\s/?#\"'<>@]{0,1000}@", re.IGNORECASE)
_SECRET = re.compile(
    r"\b([\w-]{0,40}(?:signature|credential|token|secret|password|api-?key)|sig)\b(\"?\s{0,4}[=:]\s{0,4}\"?)[^\s&\"',;<>]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)


def shown(value: object, longest: int = LONGEST) -> str:
    """Return ``value`` as one line of printable text of at most ``longest`` characters, without signatures and secrets.

    A value that is not text is shown as Python writes it; bytes are read as UTF-8.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value[: _LOOKED_AT * longest]).decode("utf-8", "replace")
    text = (value if isinstance(value, str) else _written(value))[: _LOOKED_AT * longest]
    line = " ".join(_printable(text).split())
    line = _QUERY.sub(r"\1?...", _USER.sub(r"\1***@", line))
    line = _SECRET.sub(r"\1\2***", _BEARER.sub(r"\1 ***", line))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def message(text: str) -> str:
    """Return the text of an error of this package: printable but for its line ends, and cut.

    A second guard, for parts from outside that did not go through :func:`shown`.
    """
    if len(text) > LONGEST_MESSAGE:
        text = f"{text[: LONGEST_MESSAGE - 3]}..."
    return printable(_USER.sub(r"\1***@", text))


def printable(text: str) -> str:
    """Return lines of text without control characters, and without those that change the order of what is shown."""
    return text if text.isprintable() else "\n".join(_printable(line) for line in text.split("\n"))


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)


def _written(value: object) -> str:
    try:
        return str(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes, or lists in lists
        return f"({type(value).__name__})"
