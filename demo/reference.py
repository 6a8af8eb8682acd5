"""The report of the DAG that loads reference data: two nights, and conversations with the names that it gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from airflow_provider_genesys.entities.declaration import built_in
from airflow_provider_genesys.times import now
from demo.day import run_day
from demo.embedded import Embedded

SHOWN = (
    *("users", "queues", "wrapup_codes", "skills", "divisions", "presence_definitions"),
    *("external_contacts", "programs", "queue_members"),
)
"""What the first night reads."""
CHANGED = ("users", "queues", "wrapup_codes")
"""What the second night reads, after some of it has changed."""
_COUNTS = ("present", "new", "changed", "returned", "deleted")
_NAMED = """
SELECT c.conversation_id, q.name, u.name, w.name
FROM conversation_details AS c
JOIN conversation_details_segments AS s ON s.conversation_id = c.conversation_id AND s.wrap_up_code IS NOT NULL
JOIN conversation_details_participants AS p ON p.conversation_id = c.conversation_id
    AND p.participant_id = s.participant_id
JOIN queues AS q ON q.id = s.queue_id
JOIN users AS u ON u.id = p.user_id
JOIN wrapup_codes AS w ON w.id = s.wrap_up_code
ORDER BY c.conversation_start, c.conversation_id LIMIT 3
"""


@dataclass(frozen=True)
class Reference:
    """The facts of both nights.

    :param nights: of each, what the task ``summary`` returned.
    :param expected: entities by listing, as Genesys has them after the first night.
    :param named: conversation, queue, agent and wrap-up code.
    """

    nights: list[list[dict[str, Any]]]
    expected: dict[str, int]
    named: list[tuple[Any, ...]]

    def show(self) -> None:
        """Print both nights, and the conversations."""
        for night, rows in enumerate(self.nights, 1):
            print(f"\n  night {night:<20}" + "".join(f"{name:>10}" for name in _COUNTS))
            for row in rows:
                print(f"    {row['entity']:24}" + "".join(f"{row[name]:10}" for name in _COUNTS))
        print("\n  three conversations: queue, agent, wrap-up code")
        for row in self.named:
            print("    " + " | ".join(map(str, row)))

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree.

        :param expected: how many users there were in the first night.
        """
        first = {row["entity"]: row["present"] for row in self.nights[0]}
        if first != self.expected or first["users"] != expected:
            yield f"PostgreSQL: {first}, but Genesys has {self.expected}"
        second = {row["entity"]: row for row in self.nights[1]}
        for entity in CHANGED:
            found = tuple(second[entity][what] for what in ("new", "changed", "deleted"))
            if found != (1, 1, 1):
                yield f"PostgreSQL: {entity} has {found} new, changed and deleted, but one of each was made"
        if len(self.named) != 3:  # noqa: PLR2004 - three are shown
            yield "PostgreSQL: conversations find no names"


def collect(services: Embedded) -> Reference:
    """Change something, run a second night and a day of conversations, and read the facts."""
    expected = {name: _count(services, name) for name in SHOWN}
    first = services.xcoms()["summary", "return_value"][0]
    for entity in CHANGED:
        table = services.genesys.listings.organisation.table(entity)
        ids = [entry.id for entry in table]
        table.delete(ids[0])
        table.rename(ids[1], "Renamed in the afternoon")
        table.create()
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    run_day(services, "genesys_reference_daily", midnight + timedelta(days=1), {"entities": [*CHANGED]}, _silent)
    run_day(services, "genesys_conversation_details_daily", midnight, {"look_back_days": 0}, _silent)
    (second,) = (rows for rows in services.xcoms()["summary", "return_value"] if rows != first)
    with psycopg.connect(services.postgres.dsn) as connection:
        named = connection.execute(_NAMED).fetchall()
    return Reference([first, second], expected, named)


def _count(services: Embedded, name: str) -> int:
    """Return how many entities a listing has, below all its parents that are asked for."""
    organisation, parent = services.genesys.listings.organisation, built_in(name).parent
    if parent is None:
        return len(organisation.table(name))
    state = parent.query.get("state")
    above = [entry for entry in organisation.table(parent.entity) if state is None or entry.state == state]
    return sum(len(organisation.table(name, entry.id)) for entry in above)


def _silent(_: str) -> None:
    pass
