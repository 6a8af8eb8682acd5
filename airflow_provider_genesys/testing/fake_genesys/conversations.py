"""Conversations as analytics reports them: some 13 KB each, made up from a seed, about nobody.

A few dozen patterns are made up once. Every conversation is one of them with separate ids and times, so that a
million of them cost neither memory nor much time.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Any

from airflow_provider_genesys.testing.fake_genesys import organisation
from airflow_provider_genesys.testing.fake_genesys.recording_content import QUEUES

DIVISIONS = organisation.ids_of("divisions", organisation.DIVISIONS)
QUEUE_IDS = organisation.ids_of("queues", organisation.QUEUES)
_WRAPUP_CODES = organisation.ids_of("wrapup_codes", organisation.WRAPUP_CODES)
_SKILLS = organisation.ids_of("skills", organisation.SKILLS)
_TEAMS = organisation.ids_of("teams", organisation.TEAMS)
_AGENTS = organisation.ids_of("users", 20)
"""Ids that conversations name, as the listings of the organisation have them."""
PATTERNS = 61
"""Number of different ones."""
LONGEST = timedelta(days=3)
"""No conversation lasts longer; those that are open have no end at all."""
LONG, OPEN = 20, 30
"""One pattern of that many lasts for days; one of that many is open."""

_DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)
_SLOT = re.compile(rb'"@(id|at):(\d+)"')
_MEDIA = ("voice", "voice", "voice", "message", "email", "callback", "chat")
_SEGMENTS = ("ivr", "interact", "hold", "interact", "transmitting", "interact", "wrapup")
_METRICS = (
    "nOffered",
    "nConnected",
    "tAnswered",
    "tTalk",
    "tHeld",
    "tHandle",
    "tAcw",
    "tAlert",
    "oMediaCount",
    "tWait",
)


class Interactions:
    """All conversations of an organisation.

    :param per_day: how many begin on each UTC day, evenly spread.
    :param revision: what Genesys makes of them when it looks again: from 1 on, one in ten has other segments.
    """

    def __init__(self, per_day: int, *, seed: int, revision: int = 0) -> None:
        self._per_day = per_day
        self._patterns = _patterns(seed, revision)

    def of(self, start: datetime, end: datetime, *, by_start_day: bool) -> array[int]:
        """Return the numbers of the conversations that overlap ``[start, end)``, in order of their start.

        :param by_start_day: instead, those that began on a UTC day which the interval touches.
        """
        found = array("Q")
        first = start if by_start_day else start - LONGEST
        day = first.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < end:
            number = (day.date() - _EPOCH).days << 32
            if by_start_day:
                found.extend(range(number, number + self._per_day))
            else:
                found.extend(number + n for n in range(self._per_day) if self._overlaps(number + n, start, end))
            day += _DAY
        return found

    def render(self, number: int) -> bytes:
        """Return the conversation ``number`` as JSON."""
        return self._pattern(number).render(number, self._start(number))

    def id_of(self, number: int) -> str:
        """Return the id of the conversation ``number``."""
        return _Ids(number).of(0).decode().strip('"')

    def division_of(self, number: int) -> str:
        """Return the division of the conversation ``number``."""
        return self._pattern(number).division

    def _overlaps(self, number: int, start: datetime, end: datetime) -> bool:
        begin, pattern = self._start(number), self._pattern(number)
        lasted = LONGEST if pattern.open else pattern.duration
        return begin < end and begin + lasted > start

    def _pattern(self, number: int) -> _Pattern:
        return self._patterns[(number + (number >> 32)) % PATTERNS]

    def _start(self, number: int) -> datetime:
        midnight = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(days=number >> 32)
        return midnight + _DAY * ((number & 0xFFFFFFFF) / self._per_day)


class _Pattern:
    """A conversation with holes for ids and times."""

    def __init__(self, seed: int, number: int, revision: int) -> None:
        random = Random(f"{seed}/{number}")  # noqa: S311 - made up, not secret
        self.open = number % OPEN == 1
        conversation, self.duration = _conversation(random, long=number % LONG == 0, still_open=self.open)
        if revision and number % 10 == 3:  # noqa: PLR2004 - one in ten
            _correct(conversation, revision)
        self.division = str(conversation["divisionIds"][0])
        text = json.dumps(conversation, ensure_ascii=False, separators=(",", ":")).encode()
        pieces = _SLOT.split(text)
        self._fixed = pieces[::3]
        self._slots = [
            int(value) if kind == b"id" else timedelta(milliseconds=int(value))
            for kind, value in zip(pieces[1::3], pieces[2::3], strict=True)
        ]
        """Numbers of ids, and times since the conversation's start."""

    def render(self, number: int, start: datetime) -> bytes:
        ids = _Ids(number)
        parts = [self._fixed[0]]
        for slot, fixed in zip(self._slots, self._fixed[1:], strict=True):
            parts.append(ids.of(slot) if isinstance(slot, int) else _text(start + slot))
            parts.append(fixed)
        return b"".join(parts)


@lru_cache(maxsize=8)
def _patterns(seed: int, revision: int) -> tuple[_Pattern, ...]:
    """Return the patterns of a seed, which take some 30 ms to make."""
    return tuple(_Pattern(seed, number, revision) for number in range(PATTERNS))


class _Ids:
    """UUIDs of one conversation: the one with number 0 is its own."""

    def __init__(self, number: int) -> None:
        digits = sha256(number.to_bytes(8, "big")).hexdigest()
        self._begin = f'"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:26]}'

    def of(self, value: int) -> bytes:
        return f'{self._begin}{value:04x}"'.encode()


def _text(moment: datetime) -> bytes:
    return f'"{moment.isoformat(timespec="milliseconds")[:23]}Z"'.encode()  # a third of what strftime takes


def _conversation(random: Random, *, long: bool, still_open: bool) -> tuple[dict[str, Any], timedelta]:
    ids = iter(range(1, 10_000))
    media = random.choice(_MEDIA)
    at, purposes = 0, ["customer", *random.choice((("ivr", "acd", "agent"), ("acd", "agent", "agent"), ("agent",)))]
    participants = []
    for purpose in purposes:
        participant, at = _participant(random, ids, purpose, media, at)
        participants.append(participant)
    at += random.randrange(86_400_000, 2 * 86_400_000) if long else 0
    conversation: dict[str, Any] = {"conversationId": "@id:0", "conversationStart": "@at:0"}
    if not still_open:
        conversation["conversationEnd"] = f"@at:{at}"
    conversation |= {
        "divisionIds": [DIVISIONS[next(ids) % len(DIVISIONS)]],
        "originatingDirection": random.choice(("inbound", "outbound")),
        "mediaStatsMinConversationMos": round(random.uniform(3.5, 4.9), 12),
        "participants": participants,
        **_judged(participants[-1]["userId"], at),
    }
    return conversation, timedelta(milliseconds=at)


def _judged(agent: str, at: int) -> dict[str, Any]:
    """Return what is added to some conversations later: an evaluation, a survey, whether the problem is solved."""
    about = {"userId": agent, "queueId": QUEUE_IDS[at % len(QUEUE_IDS)], "eventTime": f"@at:{at}"}
    said: dict[str, Any] = {}
    if at % 3 == 0:
        score = {"evaluationStatus": "Finished", "released": True, "oTotalScore": at % 101}
        said["evaluations"] = [{"evaluationId": f"@id:{9_000 + at % 100}", **score, **about}]
    if at % 4 == 0:
        said["surveys"] = [{"surveyId": f"@id:{9_100 + at % 100}", "surveyPromoterScore": at % 11, **about}]
    if at % 5 == 0:
        said["resolutions"] = [{"nNextContactAvoided": at % 2, **about}]
    return said


def _participant(random: Random, ids: Iterator[int], purpose: str, media: str, at: int) -> tuple[dict[str, Any], int]:
    participant: dict[str, Any] = {
        "participantId": f"@id:{next(ids)}",
        "participantName": f"{purpose} {random.randrange(1_000)}",
        "purpose": purpose,
    }
    if purpose == "agent":
        agent = next(ids) * 7 + at // 1000
        participant |= {"userId": _AGENTS[agent % len(_AGENTS)], "teamId": _TEAMS[agent % len(_TEAMS)]}
    if purpose == "customer":
        participant["attributes"] = {f"ivr.step.{n}": _note(random, 60) for n in range(random.randrange(12, 30))}
    sessions = []
    for _ in range(random.choice((1, 1, 2))):
        session, at = _session(random, ids, purpose, media, at)
        sessions.append(session)
    participant["sessions"] = sessions
    return participant, at


def _session(random: Random, ids: Iterator[int], purpose: str, media: str, at: int) -> tuple[dict[str, Any], int]:
    begin, segments = at, []
    for kind in random.sample(_SEGMENTS, random.randrange(2, 6)):
        until = at + random.randrange(1_000, 180_000)
        segments.append(_segment(random, ids, kind, at, until))
        at = until
    session: dict[str, Any] = {
        "sessionId": f"@id:{next(ids)}",
        "mediaType": media,
        "direction": random.choice(("inbound", "outbound")),
        "ani": "tel:+41000000000",
        "dnis": f"tel:+4100000{random.randrange(1_000):04}",
        "edgeId": f"@id:{next(ids)}",
        "provider": "Edge",
        "requestedRoutings": ["Standard"],
        "remoteNameDisplayable": random.choice(QUEUES),
        "metrics": [
            {"emitDate": f"@at:{random.randrange(begin, at)}", "name": name, "value": _value(name, random)}
            for name in random.sample(_METRICS, random.randrange(4, 10))
        ],
        "segments": segments,
    }
    if session["direction"] == "outbound" and purpose == "agent":
        session["metrics"].append({"emitDate": f"@at:{begin}", "name": "nOutbound", "value": 1})
    if media == "voice":
        session["mediaEndpointStats"] = [_endpoint(random, at) for _ in range(random.randrange(1, 4))]
    if purpose == "ivr":
        session["flow"] = {"flowId": f"@id:{next(ids)}", "flowName": _note(random, 20), "flowType": "INBOUNDCALL"}
    return session, at


def _segment(random: Random, ids: Iterator[int], kind: str, at: int, until: int) -> dict[str, Any]:
    segment: dict[str, Any] = {
        "segmentStart": f"@at:{at}",
        "segmentEnd": f"@at:{until}",
        "segmentType": kind,
        "conference": False,
        "disconnectType": random.choice(("peer", "client", "transfer", "endpoint", "system")),
        "queueId": QUEUE_IDS[next(ids) % len(QUEUE_IDS)],
        "requestedRoutingSkillIds": [_SKILLS[next(ids) % len(_SKILLS)] for _ in range(random.randrange(4))],
        "sipResponseCodes": [200],
    }
    if kind == "wrapup":
        segment |= {"wrapUpCode": _WRAPUP_CODES[next(ids) % len(_WRAPUP_CODES)], "wrapUpNote": _note(random, 80)}
    return segment


def _value(metric: str, random: Random) -> int:
    """Return a duration in milliseconds, or 1 for a metric that counts."""
    value = random.randrange(600_000)
    return 1 if metric.startswith("n") else value


def _endpoint(random: Random, at: int) -> dict[str, Any]:
    return {
        "codecs": ["audio/opus"],
        "eventTime": f"@at:{at}",
        "maxLatencyMs": random.randrange(10, 300),
        "minMos": round(random.uniform(3.0, 4.9), 12),
        "minRFactor": round(random.uniform(70, 93), 12),
        "receivedPackets": random.randrange(500, 50_000),
    }


def _note(random: Random, length: int) -> str:
    return f"{random.choice(QUEUES)} – {random.getrandbits(4 * length):0{length}x}"[:length]  # noqa: RUF001 - as people write


def _correct(conversation: dict[str, Any], revision: int) -> None:
    """Take a segment away, and change a metric: what Genesys' nightly run does."""
    session = conversation["participants"][-1]["sessions"][-1]
    session["segments"] = session["segments"][:-1]
    session["metrics"][0]["value"] = revision
