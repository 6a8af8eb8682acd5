"""The entities of the organisation: users, queues, wrap-up codes and all other listings, from a seed."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random

PRESENCES = ("AVAILABLE", "ON_QUEUE", "MEAL", "MEETING", "BREAK", "BUSY", "OFFLINE")
QUEUES, WRAPUP_CODES, SKILLS, LANGUAGES, DIVISIONS, TEAMS = 12, 20, 15, 5, 4, 6
"""Number of entities, unless a test makes more."""
_COUNTS = {
    "queues": QUEUES,
    "wrapup_codes": WRAPUP_CODES,
    "skills": SKILLS,
    "languages": LANGUAGES,
    "divisions": DIVISIONS,
    "teams": TEAMS,
    "presence_definitions": len(PRESENCES),
}
_OTHERS = 7
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gil", "Hana", "Ivo", "Jun", "Kim", "Lea", "Max", "Noa", "Ole")
_TOPICS = ("Billing", "Sales", "Claims", "Orders", "Returns", "Travel", "Cards", "Repairs")
_STATES = ("active",) * 17 + ("inactive",) * 2 + ("deleted",)
OF = {
    "queue_members": "users",
    "queue_wrapup_codes": "wrapup_codes",
    "team_members": "users",
    "group_members": "users",
    "user_skills": "skills",
    "user_languages": "languages",
    "user_queues": "queues",
    "license_users": "users",
}
"""Listings whose entries are those of another one."""


@dataclass(frozen=True)
class Entry:
    """One entity. ``version`` grows when it is renamed."""

    id: str
    name: str
    number: int
    version: int = 1

    @property
    def state(self) -> str:
        """Of a user: whether it is active."""
        return _STATES[self.number % len(_STATES)]


def id_of(entity: str, number: int) -> str:
    """Return the id of the entity with that number: the same wherever it is named."""
    return uuid_of(f"presence/{PRESENCES[number]}" if entity == "presence_definitions" else f"{entity[:-1]}/{number}")


def ids_of(entity: str, count: int) -> tuple[str, ...]:
    """Return the ids of the first ``count`` entities of a listing."""
    return tuple(id_of(entity, number) for number in range(count))


def uuid_of(text: str) -> str:
    """Return a UUID that is always the same for ``text``."""
    digits = sha256(text.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:30]}"


class Table:
    """The entities of one listing, sorted by name. A page costs the same, no matter how many there are."""

    def __init__(self, entity: str, entries: list[Entry]) -> None:
        self._entity = entity
        self._entries = {entry.id: entry for entry in entries}
        self._by_name = sorted((entry.name, entry.id) for entry in entries)
        self._by_id = sorted(self._entries)
        self._made = len(entries)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Entry]:
        return (self._entries[one] for one in self._by_id)

    def __contains__(self, one: object) -> bool:
        return one in self._entries

    def page(self, number: int, size: int) -> list[Entry]:
        """Return a page by its number, from 1, in the order of the names."""
        return [self._entries[one] for _, one in self._by_name[(number - 1) * size : number * size]]

    def behind(self, one: str, size: int) -> list[Entry]:
        """Return the entries whose ids come after ``one``."""
        begin = bisect_left(self._by_id, one)
        begin += begin < len(self._by_id) and self._by_id[begin] == one
        return [self._entries[found] for found in self._by_id[begin : begin + size]]

    def create(self, name: str | None = None) -> str:
        """Make a new entity and return its id."""
        entry = made(self._entity, self._made + 1_000_000)
        self._made += 1
        self.put(replace(entry, name=name or entry.name))
        return entry.id

    def put(self, entry: Entry) -> None:
        """Add an entity, such as one that was deleted before."""
        self.delete(entry.id)
        self._entries[entry.id] = entry
        insort(self._by_name, (entry.name, entry.id))
        insort(self._by_id, entry.id)

    def delete(self, one: str) -> Entry | None:
        """Remove an entity and return it."""
        entry = self._entries.pop(one, None)
        if entry:
            self._by_name.remove((entry.name, one))
            self._by_id.remove(one)
        return entry

    def rename(self, one: str, name: str) -> None:
        """Give an entity another name."""
        entry = self._entries[one]
        self.put(replace(entry, name=name, version=entry.version + 1))


class Organisation:
    """All listings, made when they are first looked at.

    :param users: how many there are.
    """

    def __init__(self, users: int, seed: int) -> None:
        self._counts = {**_COUNTS, "users": users}
        self._seed = seed
        self._tables: dict[tuple[str, str | None], Table] = {}

    def table(self, entity: str, parent: str | None = None) -> Table:
        """Return the listing ``entity``, of the one parent with the id ``parent`` where it has parents."""
        key = (entity, parent)
        if key not in self._tables:
            self._tables[key] = Table(entity, self._entries(entity, parent))
        return self._tables[key]

    def _entries(self, entity: str, parent: str | None) -> list[Entry]:
        of = OF.get(entity, entity)
        count = self._counts.get(of, _OTHERS)
        if parent is None:
            return [made(of, number) for number in range(count)]
        random = Random(f"{self._seed}/{entity}/{parent}")  # noqa: S311 - made up, not secret
        return [made(of, number) for number in random.sample(range(count), min(count, random.randrange(1, 8)))]


def made(entity: str, number: int) -> Entry:
    """Return the entity with that number as it is at first."""
    one = id_of(entity, number)
    if entity == "users":
        return Entry(one, f"{_NAMES[number % len(_NAMES)]} {one[:6]}", number)
    if entity == "presence_definitions":
        return Entry(one, PRESENCES[number].replace("_", " ").title(), number)
    what = entity[:-1].replace("_", " ")
    return Entry(one, f"{_TOPICS[number % len(_TOPICS)]} {what} {number:03}", number)
