"""What the command line prints of values from outside."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.commands.output import print_rows, say
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.object_store import folder_of
from airflow_provider_genesys.sinks.postgres.verify import place_of

HOSTILE = "\x1b[31m\u202e[red]x[/red]\\[bold]\\"


def test_cells_are_shown_as_they_are_but_for_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [{"a": HOSTILE, "b": [HOSTILE]}, {"a": None, "b": 12_345}]
    print_rows(("a", "b"), rows)
    printed = capsys.readouterr().out
    assert "[31m [red]x[/red]\\[bold]\\" in printed
    assert "12,345" in printed
    assert printed.replace("\n", "").isprintable()


def test_lines_have_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{HOSTILE}\n" * 2_000)
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 2_002
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("url", ["s3://[/x", "postgresql://[/x", "postgresql://h/d", "az://[::1"])
def test_what_is_no_place_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no URL of a folder|no table"):
        place_of(url) if url.startswith("postgresql") else folder_of(url)


@pytest.mark.parametrize("server", ["h:5432", "h", "[::1]:5432", "/run/postgresql:5432"])
def test_a_table_is_found_in_its_url(server: str) -> None:
    place = place_of(f"postgresql://{server}/warehouse/public.re%2Fcordings")
    assert (place.database, place.schema, place.table) == ("warehouse", "public", "re/cordings")
