"""What comes as the media of a recording, held against the media type that Genesys reports for it."""

from __future__ import annotations

from functools import partial

from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.source.expected import Expected, json_error
from airflow_provider_genesys.source.records import BOM

_ENOUGH = 512
_TEXTS = ("text/", "message/", "multipart/")
_JSON = ("/json", "+json")
_PAGES = ("html", "xml")


def expected_media(content_type: str) -> Expected:
    """Return what is expected of a file of a media type, such as ``audio/ogg``; of none, anything but an error."""
    kind = content_type.partition(";")[0].strip().lower()
    return Expected(partial(_fault, kind), pages=kind.endswith(_PAGES))


def _fault(kind: str, head: bytes, *, ended: bool) -> str | None:
    if len(head) < _ENOUGH and not ended:
        return None
    body = head.removeprefix(BOM).lstrip()
    if b"<Error>" in body and b"<Code>" in body:
        return f"an error of the object store, {shown(body)}"
    if not _is_text(body[:_ENOUGH]) or kind.startswith(_TEXTS) or kind.endswith(_PAGES):
        return ""
    if body.startswith(b"<"):
        return f"HTML or XML in place of {kind or 'media'}: {shown(body, 80)!r}"
    if not body.startswith(b"{"):
        return ""
    return (
        json_error(body, ended=ended) if not kind or kind.endswith(_JSON) else f"JSON in place of {kind}: {shown(body)}"
    )


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", "replace")
    return all(one.isspace() or (one.isprintable() and one != "\ufffd") for one in text[:-1])
