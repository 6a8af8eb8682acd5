"""``verify``: reads finished loads back and compares them with their certificates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from airflow_provider_genesys.commands.output import AsJson, print_json, say
from airflow_provider_genesys.commands.patience import RETRIES, waiting_for
from airflow_provider_genesys.commands.places import PlaceConnection, reach
from airflow_provider_genesys.exceptions import ConfigurationError, NotFoundError
from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.outside import shown

if TYPE_CHECKING:
    from airflow_provider_genesys.sinks.objects.verify import Verified
    from airflow_provider_genesys.sinks.postgres.verify import VerifiedRows
    from airflow_provider_genesys.stores.base import ObjectStore

DIFFERS = 3
"""Exit code if a load differs from its certificate."""

Url = Annotated[
    str,
    typer.Argument(
        help="s3://bucket/prefix, az://… or gs://…: one load's location, or a folder of many; or a table, "
        "postgresql://host:port/database/schema.table."
    ),
]


def verify(
    url: Url,
    conn_id: PlaceConnection = None,
    as_json: AsJson = False,
) -> None:
    """Read finished loads back, and compare sizes, digests and rows with their certificates.

    Every object that a manifest lists is read, and of a table the rows of every load in its ledger. The exit code is
    0; 3 if a load differs; 1 if one cannot be read.

    Example: airflow-genesys verify s3://lake/genesys/recordings
    """
    found: Sequence[Verified | VerifiedRows]
    if "://" not in url:
        raise ConfigurationError(
            f"{shown(url)!r} is no URL. Give s3://bucket/prefix, az://container/prefix or gs://bucket/prefix, or of a "
            "table postgresql://host:port/database/schema.table."
        )
    if url.startswith("postgresql://"):
        found = _verified_table(url, conn_id or "postgres_default")
    else:
        found = _verified(*open_folder(url, conn_id, retries=RETRIES))
    if as_json:
        print_json([{**asdict(one), "certificate": asdict(one.certificate)} for one in found])
    else:
        for one in found:
            _say(one)
    if any(one.problems for one in found):
        raise typer.Exit(DIFFERS)


def _verified(store: ObjectStore, folder: str) -> list[Verified]:
    from airflow_provider_genesys.sinks.objects.verify import manifests_below, size_of, verify

    with waiting_for(store.url):
        keys = manifests_below(store, folder)
    if not keys:
        raise NotFoundError(f"{store.url}/{folder} has no finished load: there is no _manifest.json below it.")
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bars:
        bar = bars.add_task("reading", total=sum(size_of(store, key) for key in keys))
        return [verify(store, key, lambda size: bars.advance(bar, size)) for key in keys]


def _verified_table(url: str, conn_id: str) -> list[VerifiedRows]:
    from airflow_provider_genesys.sinks.postgres.verify import verify_table

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bars:
        bar = bars.add_task("reading", total=None)
        found = verify_table(
            lambda: reach(conn_id), url, progress=lambda done, whole: bars.update(bar, completed=done, total=whole)
        )
    if not found:
        raise NotFoundError(f"The ledger has no finished load of {url}.")
    return found


def _say(found: Verified | VerifiedRows) -> None:
    certificate = found.certificate
    verdict = "differs" if found.problems else "ok"
    window = f"{certificate.window_start} to {certificate.window_end}"
    say(f"{verdict}: {found.location}, {window}: {found.measured}")
    if found.letters_gone:
        say(f"  {found.letters_gone:,} dead letters, or objects with them, are no longer there")
    for problem in found.problems:
        say(f"  {problem}")
