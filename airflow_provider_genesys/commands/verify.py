"""``verify``: reads finished loads back and compares them with their certificates."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from airflow_provider_genesys.commands.output import AsJson, print_json, say
from airflow_provider_genesys.commands.places import PlaceConnection
from airflow_provider_genesys.exceptions import NotFoundError
from airflow_provider_genesys.hooks.object_store import open_folder

if TYPE_CHECKING:
    from airflow_provider_genesys.sinks.objects.verify import Verified
    from airflow_provider_genesys.stores.base import ObjectStore

DIFFERS = 3
"""Exit code if a load differs from its certificate."""

Url = Annotated[
    str, typer.Argument(help="s3://bucket/prefix, az://… or gs://…: one load's location, or a folder of many.")
]


def verify(
    url: Url,
    conn_id: PlaceConnection = None,
    as_json: AsJson = False,
) -> None:
    """Read finished loads back from an object store, and compare sizes, digests and rows with their certificates.

    Every object that a manifest lists is read. The exit code is 0; 3 if a load differs; 1 if one cannot be read.

    Example: airflow-genesys verify s3://lake/genesys/recordings
    """
    store, folder = open_folder(url, conn_id)
    found = _verified(store, folder)
    if as_json:
        print_json([{**asdict(one), "certificate": asdict(one.certificate)} for one in found])
    else:
        for one in found:
            _say(one)
    if any(one.problems for one in found):
        raise typer.Exit(DIFFERS)


def _verified(store: ObjectStore, folder: str) -> list[Verified]:
    from airflow_provider_genesys.sinks.objects.verify import manifests_below, size_of, verify

    keys = manifests_below(store, folder)
    if not keys:
        raise NotFoundError(f"{store.url}/{folder} has no finished load: there is no _manifest.json below it.")
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bars:
        bar = bars.add_task("reading", total=sum(size_of(store, key) for key in keys))
        return [verify(store, key, lambda size: bars.advance(bar, size)) for key in keys]


def _say(found: Verified) -> None:
    certificate = found.certificate
    verdict = "differs" if found.problems else "ok"
    say(
        f"{verdict}: {found.location}, {certificate.window_start} to {certificate.window_end}: {found.rows:,} rows, "
        f"{found.objects:,} objects, {found.bytes:,} bytes"
    )
    if found.letters_gone:
        say(f"  {found.letters_gone:,} objects with dead letters are no longer there")
    for problem in found.problems:
        say(f"  {problem}")
