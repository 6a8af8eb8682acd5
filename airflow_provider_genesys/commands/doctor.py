"""``doctor``: checks what loads need. Each check prints a line; a failed one says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_provider_genesys.commands.output import AsJson, print_rows
from airflow_provider_genesys.commands.patience import PATIENCE, waiting_for
from airflow_provider_genesys.commands.places import LoadedFolder, PlaceConnection, open_place, reach
from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.times import http_date, now
from airflow_provider_genesys.window import Window

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

LARGEST_SKEW = 60.0
"""Seconds by which the two clocks may differ before a URL's expiry is judged wrongly."""


def _get(path: str) -> Callable[[CloudClient], object]:
    return lambda client: client.request("GET", path)


def _count(client: CloudClient) -> object:
    from airflow_provider_genesys.completeness.genesys_counts import GenesysCounts

    end = now().replace(minute=0, second=0, microsecond=0)
    return GenesysCounts(client, Window(end - timedelta(hours=1), end)).divisions()


_PERMISSIONS: dict[str, Callable[[CloudClient], object]] = {
    "conversation_details": _get("/api/v2/analytics/conversations/details/jobs/availability"),
    "user_details": _get("/api/v2/analytics/users/details/jobs/availability"),
    "aggregates": _count,
    "users": _get("/api/v2/users?pageSize=1"),
    "queues": _get("/api/v2/routing/queues?pageSize=1"),
}
"""For each kind, a request that reads almost nothing and creates no job."""


def doctor(
    conn_id: Annotated[str, typer.Option(help="The Genesys connection.")] = "genesys_default",
    place: Annotated[
        str | None, typer.Option(help="Where loads go, to check its rights: schema.table, s3://…, az://… or gs://….")
    ] = None,
    place_conn_id: PlaceConnection = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Check the permission of this kind; may be repeated: {', '.join(_PERMISSIONS)}. [default: all]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the connection, the clock, the permissions of each kind and the place that loads go to.

    If the connection does not work, clock and permissions are not checked. Exit 1 if a check fails.

    Example: airflow-genesys doctor --place public.conversations --kind conversation_details --kind aggregates
    """
    if unknown := set(kind or []) - set(_PERMISSIONS):
        raise ConfigurationError(f"doctor knows no kind {min(unknown)!r:.80}. It checks {', '.join(_PERMISSIONS)}.")
    found = [*_of_genesys(conn_id, kind or [*_PERMISSIONS])]
    if place:
        found.append(_result(f"place: {place}", lambda: _place(place, place_conn_id)))
    print_rows(("check", "result", "says"), found, as_json=as_json)
    if any(one["result"] != "ok" for one in found):
        raise typer.Exit(1)


def _of_genesys(conn_id: str, kinds: list[str]) -> Iterator[dict[str, str]]:
    """Yield the results of the checks. Without a connection that works, the others would only take as long to fail."""
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    with (
        GenesysCloudHook(conn_id, patience=PATIENCE) as hook,
        waiting_for(f"Genesys Cloud, connection {conn_id}"),
    ):
        connection = _result("connection", lambda: _connection(hook))
        yield connection
        if connection["result"] != "ok":
            return
        yield _result("clock", lambda: _clock(hook))
        yield _result("download hosts", lambda: _hosts(hook))
        for kind in kinds:
            yield _result(f"permission: {kind}", partial(_ask, hook, kind))


def _result(name: str, check: Callable[[], str]) -> dict[str, str]:
    try:
        return {"check": name, "result": "ok", "says": check()}
    except GenesysError as error:
        return {"check": name, "result": "wrong", "says": str(error)}
    except Exception as error:  # noqa: BLE001 - of a driver or of Airflow; the other checks go on
        return {"check": name, "result": "wrong", "says": f"{type(error).__name__}: {shown(error)}"}


def _connection(hook: GenesysCloudHook) -> str:
    return hook.greet()


def _clock(hook: GenesysCloudHook) -> str:
    import httpx

    from airflow_provider_genesys.cloud.http.transport import fetch, open_http
    from airflow_provider_genesys.exceptions import CloudUnavailableError

    try:
        with open_http(hook.config) as http:
            answer = fetch(http, "GET", hook.config.api_url)
    except httpx.HTTPError as error:
        raise CloudUnavailableError(f"{hook.config.api_url} cannot be reached: {type(error).__name__}.") from error
    theirs = http_date(answer.headers.get("Date", ""))
    if theirs is None:
        return "the API does not say what time it is"
    skew = (now() - theirs).total_seconds()
    if abs(skew) > LARGEST_SKEW:
        raise ConfigurationError(f"This machine's clock differs by {skew:+.0f} s from Genesys Cloud's. Run NTP.")
    return f"differs by {skew:+.0f} s from Genesys Cloud's"


def _hosts(hook: GenesysCloudHook) -> str:
    return ", ".join(hook.config.allowed_download_hosts) or "Genesys Cloud's own object stores"


def _ask(hook: GenesysCloudHook, kind: str) -> str:
    _PERMISSIONS[kind](hook.get_conn())
    return "granted"


def _place(place: str, conn_id: str | None) -> str:
    where = open_place(place, conn_id)
    if isinstance(where, LoadedFolder):
        next(iter(where.store.list_objects(where.prefix)), None)
        return f"{where.store.url}/{where.prefix} can be listed; the first load shows whether it can be written"
    with closing(reach(where.conn_id)) as connection:
        return _rights(connection, where.schema)


def _rights(connection: Any, schema: str) -> str:
    from airflow_provider_genesys.exceptions import SinkRefusedError

    query = (
        "SELECT to_regnamespace(%(schema)s) IS NOT NULL, current_user, "
        "has_database_privilege(current_database(), 'TEMPORARY'), "
        "CASE WHEN to_regnamespace(%(schema)s) IS NULL THEN false ELSE has_schema_privilege(%(schema)s, 'CREATE') END"
    )
    there, user, temporary, create = connection.execute(query, {"schema": schema}).fetchone()
    if not there:
        raise SinkRefusedError(f"There is no schema {schema!r}. Create it, or name another one.")
    if not temporary:
        raise SinkRefusedError(f"{user} may not make temporary tables. GRANT TEMPORARY ON DATABASE … TO {user};")
    return f"{user} may make temporary tables, and may{'' if create else ' not'} create tables in {schema}"
