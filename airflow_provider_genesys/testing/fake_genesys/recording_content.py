"""The content of a recording: made up from a seed, varied as real exports are, about nobody."""
# ruff: noqa: RUF001 - letters of many scripts are wanted here

from __future__ import annotations

from random import Random
from typing import Any

RECORDING_HEAD, RECORDING_TAIL = "@recording-head@", "@recording-tail@"
CONVERSATION_HEAD, CONVERSATION_TAIL = "@conversation-head@", "@conversation-tail@"
TIMESTAMP = "@timestamp@"
"""Places that :mod:`.template` fills again for every record; everything else repeats from block to block."""

QUEUES = (
    "Billing – Zürich",
    "Support – 東京",
    "Sales – São Paulo",
    "Retention – Αθήνα",
    "Claims – Kraków",
    "Поддержка – линия 2",
    "خدمة العملاء",
    "Technical Support (EN)",
    "VIP \\ Priority",
    'Back Office "Nord"',
)
MEDIA = {
    "audio": ("OPUS", "WAV", "WAV_ULAW"),
    "screen": ("WEBM",),
    "chat": ("ZIP",),
    "email": ("EML",),
    "message": ("ZIP", "NONE"),
}
SYLLABLES = (
    ("ma", "ren", "tol", "vik", "sa", "lin", "dor", "ke", "bru", "nel", "fi", "ost"),
    ("ка", "ло", "мир", "тен", "ва", "ри", "сол", "не"),
    ("νο", "λα", "κι", "θερ", "μα", "ρι", "δω", "σα"),
    ("はる", "みち", "とも", "ゆき", "かわ", "さと", "のり", "あき"),
    ("né", "lo", "çu", "ã", "mör", "þi", "łu", "ße"),
)
PHRASES = (
    "customer asked for a copy of the last invoice",
    'said "call me after 17:00", then hung up',
    "путь к файлу: C:\\temp\\export\\01",
    "line one\nline two\n\ttabbed line three",
    "お客様は配送の遅れについて問い合わせた",
    "Rückruf vereinbart, Grüße aus Köln",
    "ο πελάτης ζήτησε ακύρωση",
    "resolved at first contact 👍🏽🎉",
    "العميل راضٍ عن الخدمة",
    "braces } ] , { [ inside text are only text",
    "family emoji 👩‍👩‍👧 and a flag 🇨🇭",
    'quote at the end \\"',
    "discount of 10 % agreed; follow-up by e-mail",
    "transferred twice before an agent was free",
)
TAGS = ("callback", "complaint", "vip", "première", "renewal", "違約", "fraud-check", "survey", "outage")
LANGUAGES = ("en-US", "de-CH", "fr-FR", "pt-BR", "ja-JP", "el-GR", "ar-EG", "pl-PL")
WRAP_UPS = ("RESOLVED", "CALLBACK", "ESCALATED", "NO_ANSWER", "WRONG_NUMBER")
NO_QUEUE, OMITTED, WRAPPED_UP = 0.08, 0.5, 0.8
"""Share of records without a queue, of these without the field, and of records with a wrap-up code."""
METRICS = ("tTalk", "tHeld", "tAcw", "tAnswered", "nTransferred", "nConnected")


def recording(random: Random) -> dict[str, Any]:
    """Return one record with placeholders where ids and timestamp belong; keys in the order they are exported."""
    media = random.choices(tuple(MEDIA), weights=(70, 8, 10, 6, 6))[0]
    direction = random.choices(("inbound", "outbound"), weights=(7, 3))[0]
    record = {
        "recordingId": _uuid(random, RECORDING_HEAD, RECORDING_TAIL),
        "conversationId": _uuid(random, CONVERSATION_HEAD, CONVERSATION_TAIL),
        "timestamp": TIMESTAMP,
        "durationMs": int(1_000 + 240_000 * random.expovariate(1)),
        "direction": direction,
        "queue": {"id": _uuid(random), "name": random.choice(QUEUES)},
        "media": {
            "type": media,
            "format": random.choice(MEDIA[media]),
            "channels": 2 if media == "audio" else 1,
            "sizeBytes": random.randrange(4_000, 40_000_000),
        },
        "participants": _participants(random, media),
        "metadata": _metadata(random),
    }
    if random.random() < NO_QUEUE:
        record["queue"] = None
        if random.random() < OMITTED:
            del record["queue"]
    return record


def _participants(random: Random, media: str) -> list[dict[str, Any]]:
    purposes = ["customer", *random.choice((("agent",), ("agent",), ("ivr", "agent"), ("ivr", "acd", "agent")))]
    return [_participant(random, purpose, media) for purpose in purposes]


def _participant(random: Random, purpose: str, media: str) -> dict[str, Any]:
    person = purpose in {"customer", "agent"}
    participant: dict[str, Any] = {
        "participantId": _uuid(random, tail=CONVERSATION_TAIL),
        "purpose": purpose,
        "name": _name(random) if person else f"{purpose.upper()} flow {random.randrange(1, 40)}",
    }
    if purpose == "agent":
        participant["userId"] = _uuid(random)
    participant["sessions"] = [
        {
            "sessionId": _uuid(random),
            "mediaType": "voice" if media == "audio" else media,
            "metrics": [
                {"name": name, "value": random.randrange(600_000)}
                for name in random.sample(METRICS, random.randrange(1, 3) if person else 0)
            ],
        }
    ]
    return participant


def _metadata(random: Random) -> dict[str, Any]:
    metadata: dict[str, Any] = {"wrapUpCode": random.choice(WRAP_UPS)} if random.random() < WRAPPED_UP else {}
    phrases = random.sample(PHRASES, random.randrange(1, 3))
    return metadata | {
        "language": random.choice(LANGUAGES),
        "tags": random.sample(TAGS, random.randrange(4)),
        "note": f"Case {random.randrange(10**6):06}: {'; '.join(phrases)}",
    }


def _name(random: Random) -> str:
    syllables = random.choice(SYLLABLES)
    return " ".join("".join(random.choices(syllables, k=random.randrange(2, 4))).capitalize() for _ in range(2))


def _uuid(random: Random, head: str = "", tail: str = "") -> str:
    """Return a version 4 UUID, its first 8 or last 12 digits left to a placeholder where one is given."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{head or digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{tail or digits[20:]}"
