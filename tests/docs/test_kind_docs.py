"""The pages about kinds of exports, and what the README says of the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from demo.dailies import DAILIES, RECORDINGS

ROOT = Path(__file__).parents[2]
PERMISSIONS = {
    "conversation-details": {
        "analytics:conversationDetail:view",
        "analytics:agentConversationDetail:view",
        "analytics:conversationAggregate:view",
    },
    "user-details": {"analytics:userDetail:view"},
    "aggregates": {"analytics:conversationAggregate:view"},
    "recording-media": {
        "analytics:conversationDetail:view",
        "recording:recording:view",
        "recording:annotation:view",
        "recording:recording:viewSensitiveData",
    },
    "recording-bulk": {
        "recording:job:add",
        "recording:job:view",
        "recording:job:edit",
        "recording:job:delete",
        "recording:recording:editRetention",
        "recording:screenRecording:editRetention",
        "recording:snippetRecording:editRetention",
        "recording:recording:viewSensitiveData",
    },
}
"""What Genesys' SDK documents for the requests that each kind makes."""


@pytest.mark.parametrize("page", PERMISSIONS)
@pytest.mark.parametrize("subject", ["permission", "limits", "late data", "cost"])
def test_a_kind_has_a_passage_about_each_subject(page: str, subject: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert re.search(rf"^(#+ .*{subject}|\*\*{subject})", text, re.IGNORECASE | re.MULTILINE)


@pytest.mark.parametrize("page", PERMISSIONS)
def test_a_kind_names_its_permissions(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert set(re.findall(r"`((?:analytics|recording):\w+:\w+)`", text)) == PERMISSIONS[page]


@pytest.mark.parametrize("page", PERMISSIONS)
def test_the_connections_page_has_the_permissions_of_each_kind(page: str) -> None:
    text = (ROOT / "docs" / "connection.md").read_text()
    row = re.search(rf"^\| `{page.replace('-', '_')}` \|(.*)$", text, re.MULTILINE)
    assert row
    named = set(re.findall(r"`((?:analytics|recording):\w+:\w+)`", row[1]))
    assert named >= PERMISSIONS[page] - {"analytics:conversationDetail:view", "analytics:conversationAggregate:view"}


def test_the_readme_shows_every_demo() -> None:
    shown = re.findall(r"^\| `(genesys_\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {*shown, RECORDINGS.dag_id} == set(DAILIES)
