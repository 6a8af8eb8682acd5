"""``views``: create the views of ``docs/models.md`` over tables that are loaded."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from airflow_provider_genesys.exceptions import ConfigurationError

SQL = Path(__file__).parent / "views.sql"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")


def add(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser("views", help="create views over the loaded tables")
    parser.add_argument("--schema", required=True, help="of the tables, and of the views")
    parser.add_argument("--conversations", default="conversation_details", help="their table (conversation_details)")
    parser.add_argument("--postgres-conn-id", default="postgres_default", help="the Airflow connection")
    parser.add_argument("--print", action="store_true", dest="printed", help="print the SQL instead of running it")
    parser.set_defaults(run=_run)


def statements(schema: str, conversations: str = "conversation_details") -> str:
    """Return the SQL that creates the views.

    :raises ConfigurationError: a name is none that needs no quotes.
    """
    for name in (schema, conversations):
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} has to be a name in lower case that PostgreSQL takes without quotes.")
    text = SQL.read_text().replace("@conversations", conversations)
    return f"SET LOCAL search_path TO {schema}, pg_catalog;\n{text}"


def _run(chosen: argparse.Namespace) -> int:
    text = statements(chosen.schema, chosen.conversations)
    if chosen.printed:
        sys.stdout.write(text)
        return 0
    from airflow_provider_genesys.hooks.postgres import connect

    with connect(chosen.postgres_conn_id) as connection:
        connection.execute(text.encode())
    views = re.findall(r"VIEW (\w+)", text)
    sys.stdout.write(f"Created in {chosen.schema}: {', '.join(views)}\n")
    return 0
