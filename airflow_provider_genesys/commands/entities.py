"""``entities``: the listings that come with the package, and whether one of your own fits."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from airflow_provider_genesys.entities.declaration import Listing, built_in, built_in_names, read_listing


def add(verbs: Any) -> None:
    """Add the verb to the parser."""
    parser = verbs.add_parser("entities", help="the listings that can be loaded")
    parser.set_defaults(run=_list)
    parser.add_argument("--json", action="store_true", help="print JSON")
    check = parser.add_subparsers(dest="what").add_parser("check", help="read the first page of a listing of your own")
    check.add_argument("file", type=Path, help="YAML file that declares it")
    check.add_argument("--conn-id", default="genesys_default", help="the Airflow connection (default: genesys_default)")
    check.set_defaults(run=_check)


def facts(listing: Listing) -> dict[str, Any]:
    """Return what a person wants to know of a listing."""
    return {
        "name": listing.name,
        "path": listing.path,
        "paging": listing.paging,
        "permission": list(listing.permission),
        "parent": listing.parent.entity if listing.parent else None,
        "columns": len(listing.contract.columns),
    }


def _list(chosen: argparse.Namespace) -> int:
    listings = [facts(built_in(name)) for name in built_in_names()]
    if chosen.json:
        sys.stdout.write(f"{json.dumps(listings, indent=2)}\n")
        return 0
    for one in listings:
        sys.stdout.write(f"{one['name']:24} {one['path']:52} {' or '.join(one['permission'])}\n")
    return 0


def _check(chosen: argparse.Namespace) -> int:
    """Print what the first page holds, and how it fits; return 1 where a record would be set aside."""
    from airflow_provider_genesys.entities.answers import Pager
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    listing = read_listing(chosen.file)
    above = listing.parent_listing()
    with GenesysCloudHook(chosen.conn_id) as hook:
        client = hook.get_conn()
        parents = Pager(client, above).ask(None).ids if above else [None]
        answer = Pager(client, listing).ask(None, parents[0]) if parents else None
    if answer is None:
        sys.stdout.write(f"There is no {above.name if above else ''} to read {listing.name} below.\n")
        return 1
    records = [json.loads(bytes(record)) for record in answer.records]
    lines, fits = _fit(listing, records)
    more = "no more pages" if answer.after is None else "more pages"
    lines.insert(0, f"{listing.name}: {len(records)} records on the first page, {answer.total} in all, {more}")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0 if fits else 1


def _fit(listing: Listing, records: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """Compare the members of records with the columns; the second value tells whether every record has its key."""
    named = {column.keys[0] for column in listing.contract.columns if not column.path.startswith("@")}
    met = {member for record in records for member in record}
    keyless = sum(listing.key not in record for record in records)
    lines = [f"  not in the contract: {', '.join(sorted(met - named)) or 'nothing'}"]
    lines.append(f"  not on this page: {', '.join(sorted(named - met)) or 'nothing'}")
    if keyless:
        lines.append(f"  {keyless} records have no {listing.key!r}, by which they are distinguished")
    return lines, not keyless
