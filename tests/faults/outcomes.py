"""What becomes of a load when its download meets a fault: the table that the tests hold and docs/guarantees.md shows.

A fault strikes at an offset of the archive: at its *start*, *inside* a record, on a record's *boundary*, at its
*end*. Some break the transfer there; others are the answer to the request that goes on after a break there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

from airflow_provider_genesys.source.download import OVERLAP
from airflow_provider_genesys.testing.fault_proxy import Fault, s3_error

PLACES = ("start", "inside", "boundary", "end")
RECOVERS = "recovers"
"""Rows, counts and digest equal those of a perfect run."""


@dataclass(frozen=True)
class Outcome:
    """One line of the table.

    :param fault: what happens, for people.
    :param plan: the faults of the successive answers, for an offset.
    :param ends: RECOVERS, or the class of the error that the load fails with.
    :param says: what stands in that error's message.
    :param otherwise: other ends at certain offsets.
    :param places: the offsets at which it can strike.
    """

    fault: str
    plan: Callable[[int], list[Fault | None]]
    ends: str = RECOVERS
    says: str = ""
    otherwise: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = PLACES

    def at(self, place: str) -> str:
        """Return how a load ends when the fault strikes at ``place``."""
        return self.otherwise.get(place, self.ends)


def _next(fault: str, *answers: Fault, ends: str = RECOVERS, says: str = "", start: str | None = None) -> Outcome:
    """Return the outcome of ``answers`` to the requests after a break. After a break at the end there are none."""
    otherwise = {"start": start} if start else {}
    return Outcome(fault, lambda offset: [Fault(after=offset), *answers], ends, says, otherwise, PLACES[:3])


def _part(fault: str, answer: Fault, ends: str = RECOVERS, says: str = "") -> Outcome:
    """Return the outcome of ``answer`` to a Range request after a break."""
    return Outcome(fault, lambda offset: [Fault(after=offset), answer], ends, says, places=PLACES[1:3])


def _header(**headers: str | None) -> Fault:
    return Fault(headers={name.replace("_", "-"): value for name, value in headers.items()})


CHANGED, REFUSED, UNAVAILABLE = "SourceChangedError", "SourceRefusedError", "SourceUnavailableError"
_LATE = format_datetime(datetime.now(timezone.utc) + timedelta(hours=2), usegmt=True)
_EXPIRED = s3_error(403, "Request has expired")
_BUSY = s3_error(503, "Reduce your request rate.", "SlowDown")

OUTCOMES: dict[str, Outcome] = {
    # The transfer itself
    "reset": Outcome("the connection is reset", lambda at: [Fault(after=at)]),
    "no-answer": Outcome("the connection is reset before there is an answer", lambda _: [Fault(no_head=True)]),
    "stall": Outcome("no byte comes any more", lambda at: [Fault(after=at, then="stall")]),
    "truncated": Outcome("the body ends before its Content-Length", lambda at: [Fault(after=at, then="close")]),
    "truncated-without-length": Outcome(
        "the body ends early, and no length was announced",
        lambda at: [Fault(after=at, then="close", framing="close")],
    ),
    "chunks-cut": Outcome("a chunked body ends early", lambda at: [Fault(after=at, then="close", framing="chunked")]),
    "without-length": Outcome("no length is announced", lambda _: [Fault(framing="close")]),
    "slow-close": Outcome(
        "no length is announced, and the connection closes late", lambda _: [Fault(framing="close", linger=0.05)]
    ),
    "extra-bytes": Outcome("more bytes come than Content-Length says", lambda _: [Fault(extra=b'{"more": 1}\n')]),
    "trickle": _next("bytes trickle, so that no read times out", Fault(rate=40_000)),
    # The answer's head
    "206-wrong-start": _part("206 with another start", _header(Content_Range="bytes 1-{last}/{total}")),
    "206-wrong-unit": _part("206 in another unit", _header(Content_Range="items {first}-{last}/{total}")),
    "206-no-range": _part("206 without Content-Range", _header(Content_Range=None)),
    "206-multipart": _part("206 as multipart/byteranges", Fault(form="multipart")),
    "206-wrong-total": _part(
        "206 with another total", _header(Content_Range="bytes {first}-{last}/99999999"), ends=CHANGED, says="bytes now"
    ),
    "206-less-than-asked": Outcome(
        "206 with less than was asked for",
        lambda at: [Fault(after=at), Fault(request_headers={"Range": f"bytes={at - OVERLAP}-{at + 9_999}"})],
        places=PLACES[1:3],
    ),
    "206-unasked": Outcome(
        "206 to a request without Range",
        lambda _: [Fault(status=206, headers={"Content-Range": "bytes {first}-{last}/{total}"})],
    ),
    "200-to-range": _part("200 to a Range request", Fault(request_headers={"Range": None})),
    "etag-changed": _next("another ETag", _header(ETag='"another"'), ends=CHANGED, says="ETag"),
    "etag-gzip": _next("the ETag with -gzip at its end", _header(ETag='"{etag}-gzip"'), ends=CHANGED, says="ETag"),
    "etag-weak": _next("the ETag, but weak", _header(ETag='W/"{etag}"')),
    "etag-absent": _next("no ETag any more", _header(ETag=None)),
    "other-bytes": _next(
        "the same ETag and length, other bytes",
        Fault(form="garbled"),
        ends=CHANGED,
        says="have changed",
        start="DeadLetterBudgetError",  # nothing was read yet: it is loaded as what it is
    ),
    "encoded": _next("Content-Encoding: gzip appears", Fault(form="gzip"), ends=CHANGED, says="Content-Encoding"),
    "200-html": _next(
        "200 with an HTML page", Fault(headers={"Content-Type": "text/html"}, body=b"<html>Sign in</html>")
    ),
    "200-xml": _next(
        "200 with the store's XML error", Fault(headers={"Content-Type": "application/xml"}, body=b"<Error/>")
    ),
    "200-json": _next(
        "200 with a JSON error",
        Fault(headers={"Content-Type": "application/json"}, body=b'{"error": "busy"}'),
    ),
    # No content
    "302": _next(
        "a redirect",
        Fault(status=302, headers={"Location": "http://10.0.0.1/"}, body=b""),
        ends=REFUSED,
        says="redirect",
    ),
    "304": _next("304", Fault(status=304, body=b"")),
    "401": _next("401", s3_error(401, "Unauthorized")),
    "403-expired": _next("403: the URL has expired", _EXPIRED),
    "403-expired-for-good": _next(
        "403: each new URL is expired as well", *[_EXPIRED] * 3, ends="UrlExpiredError", says="new URLs from Genesys"
    ),
    "403-denied": _next(
        "403: access denied, with each new URL as well",
        *[s3_error(403, "Access Denied")] * 3,
        ends=REFUSED,
        says="VPC endpoint",
    ),
    "403-skewed": _next(
        "403: this machine's clock is wrong",
        s3_error(403, "The difference is too large.", "RequestTimeTooSkewed", headers={"Date": _LATE}),
        ends=REFUSED,
        says="clock",
    ),
    "404": _next("404", s3_error(404, "The key does not exist."), ends=REFUSED, says="clear the create task"),
    "407": _next("407 from a proxy", Fault(status=407, body=b""), ends="ConfigurationError", says="HTTPS_PROXY"),
    "408": _next("408", s3_error(408, "Too slow", "RequestTimeout")),
    "412": _next("412", s3_error(412, "No"), ends=CHANGED, says="HTTP 412"),
    "416": _next("416", s3_error(416, "No"), ends=CHANGED, says="HTTP 416"),
    "421": _next("421", Fault(status=421, body=b"")),
    "425": _next("425", Fault(status=425, body=b"")),
    "429": _next("429 with Retry-After", Fault(status=429, headers={"Retry-After": "7"}, body=b"")),
    "429-for-an-hour": _next(
        "429 with a Retry-After of an hour",
        Fault(status=429, headers={"Retry-After": "3600"}, body=b""),
        ends=UNAVAILABLE,
        says="asks to wait 3600 s",
    ),
    "500": _next("500", s3_error(500, "We encountered an internal error.")),
    "503": _next("503 SlowDown", _BUSY),
    "503-burst": _next("503 SlowDown, four times in a row", *[_BUSY] * 4),
    "503-for-good": _next("503 SlowDown, for good", *[_BUSY] * 6, ends=UNAVAILABLE, says="HTTP 503 SlowDown"),
}
"""By a short name, which is the test's id."""

NEXT_TRY = {
    name: outcome for name, outcome in OUTCOMES.items() if "inside" in outcome.places and "end" not in outcome.places
}
"""Those that can also meet the next try of the task, which goes on from the checkpoint; it ends in the same way."""

NEXT_TRY_OF_GZIP = {"206-multipart": CHANGED, "206-wrong-total": RECOVERS, "other-bytes": "NotAnArchiveError"}
"""But for these: a gzip of one member is read again from its first byte, without a Range."""

START_OF_GZIP = {"other-bytes": "NotAnArchiveError"}
"""How a fault at the start ends for gzip, where it ends in another way than for the others."""

NEXT_TRY_SAYS = {"encoded": "have changed"}
"""What the error says where it is another: no answer came before whose encoding could be another one."""
