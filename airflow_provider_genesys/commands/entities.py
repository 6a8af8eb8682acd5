"""``entities``: shows the built-in listings, and checks a listing that you declare yourself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from airflow_provider_genesys.commands.output import AsJson, print_rows, say
from airflow_provider_genesys.commands.patience import PATIENCE, waiting_for
from airflow_provider_genesys.entities.declaration import Listing, built_in, built_in_names, read_listing

app = typer.Typer(invoke_without_command=True)


@app.callback()
def show(
    context: typer.Context,
    as_json: AsJson = False,
) -> None:
    """List the listings (users, queues …) that can be loaded, with path and permission.

    Example: airflow-genesys entities --json
    """
    if context.invoked_subcommand is None:
        listings = [facts(built_in(name)) for name in built_in_names()]
        shown = listings if as_json else [one | {"permission": " or ".join(one["permission"])} for one in listings]
        print_rows(("name", "path", "paging", "permission"), shown, as_json=as_json)


def facts(listing: Listing) -> dict[str, Any]:
    """Return the facts of a listing that are shown."""
    return {
        "name": listing.name,
        "path": listing.path,
        "paging": listing.paging,
        "permission": list(listing.permission),
        "parent": listing.parent.entity if listing.parent else None,
        "columns": len(listing.contract.columns),
    }


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The YAML file that declares a listing of your own.")],
    conn_id: Annotated[str, typer.Option(help="The Genesys connection.")] = "genesys_default",
) -> None:
    """Read the first page of your own listing, and compare it with its contract. Exit 1 if a record has no key.

    Example: airflow-genesys entities check include/prompts.yaml
    """
    from airflow_provider_genesys.entities.answers import Pager
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    listing = read_listing(file)
    above = listing.parent_listing()
    with GenesysCloudHook(conn_id, patience=PATIENCE) as hook, waiting_for(hook.config.api_url):
        client = hook.get_conn()
        parents = Pager(client, above).ask(None).ids if above else [None]
        answer = Pager(client, listing).ask(None, parents[0]) if parents else None
    if answer is None:
        say(f"There is no {above.name if above else ''} to read {listing.name} below.")
        raise typer.Exit(1)
    records = [json.loads(bytes(record)) for record in answer.records]
    lines, fits = _fit(listing, records)
    more = "no more pages" if answer.after is None else "more pages"
    lines.insert(0, f"{listing.name}: {len(records)} records on the first page, {answer.total} in all, {more}")
    for line in lines:
        say(line)
    if not fits:
        raise typer.Exit(1)


def _fit(listing: Listing, records: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Compare the members of records with the columns; the second value tells whether every record has its key."""
    named = {column.keys[0] for column in listing.contract.columns if not column.path.startswith("@")}
    met = {member for record in records for member in record}
    keyless = sum(listing.key not in record for record in records)
    lines = [f"  not in the contract: {', '.join(sorted(met - named)) or 'nothing'}"]
    lines.append(f"  not on this page: {', '.join(sorted(named - met)) or 'nothing'}")
    if keyless:
        lines.append(f"  {keyless} records have no {listing.key!r}, which has to identify them")
    return lines, not keyless
