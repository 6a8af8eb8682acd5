"""``views``: create the views of ``docs/models.md`` over tables that are loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from airflow_provider_genesys.commands.output import say
from airflow_provider_genesys.commands.places import reach
from airflow_provider_genesys.exceptions import ConfigurationError

SQL = Path(__file__).parent / "views.sql"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")


def statements(schema: str, conversations: str = "conversation_details") -> str:
    """Return the SQL that creates the views.

    :raises ConfigurationError: a name would need quotes.
    """
    for name in (schema, conversations):
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} has to be a name in lower case that needs no quotes in PostgreSQL.")
    text = SQL.read_text().replace("@conversations", conversations)
    return f"SET LOCAL search_path TO {schema}, pg_catalog;\n{text}"


def views(
    schema: Annotated[str, typer.Option(help="Schema of the tables, and of the views.")],
    conversations: Annotated[str, typer.Option(help="Table of the conversations.")] = "conversation_details",
    postgres_conn_id: Annotated[str, typer.Option(help="The PostgreSQL connection.")] = "postgres_default",
    printed: Annotated[bool, typer.Option("--print", help="Print the SQL instead of running it.")] = False,
) -> None:
    """Create views over the loaded tables, as docs/models.md describes them.

    Example: airflow-genesys views --schema public
    """
    text = statements(schema, conversations)
    if printed:
        say(text.rstrip())
        return
    with reach(postgres_conn_id) as connection:
        connection.execute(text.encode())
    made = ", ".join(re.findall(r"VIEW (\w+)", text))
    say(f"Created in {schema}: {made}")
