"""``dead-letters``: which records were rejected, why, their bytes, and what today's contract would make of them."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from airflow_provider_genesys.commands.output import AsJson, print_rows, say
from airflow_provider_genesys.commands.places import ListedRow, PlaceArgument, PlaceConnection, open_place
from airflow_provider_genesys.exceptions import NotFoundError
from airflow_provider_genesys.stores.folder import OWNER_ONLY

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.pipeline.replay import Open

app = typer.Typer(no_args_is_help=True, help="Rejected records: list, show, export, or try again without writing.")

LoadId = Annotated[str | None, typer.Option(help="Only those of this load.")]
GenesysConnection = Annotated[str, typer.Option(help="The Genesys connection, whose client secret encrypted them.")]


@app.command("list")
def by_reason(
    place: PlaceArgument,
    conn_id: PlaceConnection = None,
    load_id: LoadId = None,
    as_json: AsJson = False,
) -> None:
    """Count dead letters by load, rule and state.

    Example: airflow-genesys dead-letters list public.genesys_recordings
    """
    keys = ("load_id", "kind", "window_start", "state", "rule")
    counted = Counter[tuple[str, ...]]()
    try:
        for one in open_place(place, conn_id).letters(load_id):
            counted[tuple(str(one.get(key, "-")) for key in keys)] += 1
    finally:
        rows = [dict(zip(keys, key, strict=True)) | {"letters": count} for key, count in counted.most_common()]
        print_rows((*keys, "letters"), rows, as_json=as_json)


@app.command()
def show(
    place: PlaceArgument,
    load_id: Annotated[str, typer.Argument(help="The load's id.")],
    offset: Annotated[int, typer.Argument(help="The letter's source_offset.")],
    conn_id: PlaceConnection = None,
    genesys_conn_id: GenesysConnection = "genesys_default",
) -> None:
    """Print one record's own bytes, decrypted. They may hold personal data.

    Example: airflow-genesys dead-letters show public.genesys_recordings 8f14e45fceea167a 1048576
    """
    for letter in open_place(place, conn_id).letters(load_id):
        if letter.get("source_offset") == offset:
            say(": ".join(str(letter.get(name, "-")) for name in ("stage", "rule", "message")))
            sys.stdout.flush()
            sys.stdout.buffer.write(_opener(genesys_conn_id)(letter) + b"\n")
            return
    raise NotFoundError(f"Load {load_id!r:.80} of {place} has no dead letter at {offset}.")


@app.command()
def export(
    place: PlaceArgument,
    file: Annotated[Path, typer.Argument(help="The file to write, one JSON object a line.")],
    conn_id: PlaceConnection = None,
    load_id: LoadId = None,
) -> None:
    """Write dead letters into a file that only its owner may read. Encrypted bytes stay encrypted.

    Example: airflow-genesys dead-letters export public.genesys_recordings letters.ndjson
    """
    count = 0
    try:
        with open(file, "wb", opener=partial(os.open, mode=OWNER_ONLY)) as out:
            for letter in open_place(place, conn_id).letters(load_id):
                out.write(msgspec.json.encode(letter) + b"\n")
                count += 1
    finally:
        say(f"{count:,} dead letters are in {file}.")


@app.command()
def replay(
    place: PlaceArgument,
    conn_id: PlaceConnection = None,
    load_id: LoadId = None,
    contract: Annotated[str | None, typer.Option(help="Contract to read them through. [default: of the kind]")] = None,
    genesys_conn_id: GenesysConnection = "genesys_default",
) -> None:
    """Count the letters that a replay through a contract would turn into rows, and the others. Writes nothing.

    The operator GenesysReplayDeadLettersOperator replays them.

    Example: airflow-genesys dead-letters replay public.genesys_recordings --contract include/recordings.yaml
    """
    account = Counter[tuple[str, str]]()
    opened = _opener(genesys_conn_id)
    try:
        for letter in open_place(place, conn_id).letters(load_id):
            if letter.get("state") == "open":
                account.update(_judged(letter, contract, opened))
    finally:
        rows = [
            {"becomes": become, "rule": rule, "letters": count} for (become, rule), count in sorted(account.items())
        ]
        print_rows(("becomes", "rule", "letters"), rows)


def _judged(letter: ListedRow, contract: str | None, opened: Open) -> Iterator[tuple[str, str]]:
    from airflow_provider_genesys.pipeline.replay import is_letter, judge

    rule = str(letter.get("rule", "-"))
    read_by = _contract_of(contract, letter["kind"]) if is_letter(letter) else None
    if read_by is None:
        yield "no dead letter", rule
        return
    chosen, key = read_by
    processed_at = msgspec.convert(letter["processed_at"], datetime)
    found = judge([letter], chosen, processed_at, opened, key)
    for failed in found.failed.values():
        yield "still rejected", failed.rule
    if found.offsets:
        yield "a row", rule
    if found.unreadable:
        yield "unreadable here", rule


@cache
def _contract_of(contract: str | None, kind: str) -> tuple[Contract, bytes | None] | None:
    """Return the contract, and the key that it hashes with; None if it is not given and there is none of this kind."""
    from airflow_provider_genesys.contracts.contract import built_in_names, resolve
    from airflow_provider_genesys.tasks.arguments import read_pii_key

    if not contract and kind not in built_in_names():
        return None
    chosen = resolve(contract, kind=kind, folder=".")
    return chosen, read_pii_key(chosen.pii_key) if chosen.hashes else None


def _opener(genesys_conn_id: str) -> Open:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    return GenesysCloudHook(genesys_conn_id).open_dead_letter
