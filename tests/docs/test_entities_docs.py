"""docs/entities.md: its table is that of the declarations, and its listing of one's own is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.entities.declaration import built_in, built_in_names
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

DOCS = Path(__file__).parents[2] / "docs"


def table() -> str:
    """Return the table of the listings, as the page has it."""
    lines = ["| Listing | Endpoint | Pages | Permission |", "|---|---|---|---|"]
    for name in built_in_names():
        one = built_in(name)
        permission = " or ".join(f"`{needed}`" for needed in one.permission)
        lines.append(f"| `{name}` | `{one.path}` | {one.paging} | {permission} |")
    return "\n".join(lines)


def test_the_table_is_that_of_the_declarations() -> None:
    assert (DOCS / "entities.md").read_text().partition("<!-- listings -->\n")[2].strip() == table()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (text,) = re.findall(r"```yaml\n(name: prompts.*?)```", (DOCS / "entities.md").read_text(), re.DOTALL)
    assert len(text.splitlines()) <= 10
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    return path


def test_a_listing_of_ones_own_is_checked_by_the_command(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeGenesys() as genesys:
        genesys.listings.declare(own)
        monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", genesys.connection_json())
        assert main(["entities", "check", str(own)]) == 0
    assert "prompts: 7 records on the first page, 7 in all, no more pages" in capsys.readouterr().out


def test_the_command_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["entities", "--json"]) == 0
    listed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == built_in_names()
    assert main(["entities"]) == 0
    assert "routing:queue:view" in capsys.readouterr().out


def test_an_error_of_a_file_is_told_by_the_command(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.write_text(own.read_text().replace("pageNumber", "pages"))
    assert main(["entities", "check", str(own)]) == 1
    assert "prompts.yaml, line 5: " in capsys.readouterr().err
