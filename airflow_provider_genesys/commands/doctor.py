"""``doctor``: checks what loads need. Each check prints a line; a failed one says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_provider_genesys.commands.output import AsJson, print_rows
from airflow_provider_genesys.commands.places import Folder, PlaceConnection, open_place
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.outside import shown

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

LARGEST_SKEW = 60.0
"""Seconds by which the two clocks may differ before a URL's expiry is judged wrongly."""

_PERMISSIONS = {
    "conversation_details": ("GET", "/api/v2/analytics/conversations/details/jobs/availability"),
    "user_details": ("GET", "/api/v2/analytics/users/details/jobs/availability"),
    "users (a listing)": ("GET", "/api/v2/users?pageSize=1"),
    "queues (a listing)": ("GET", "/api/v2/routing/queues?pageSize=1"),
}
"""For each kind, a request that reads almost nothing and creates no job."""

Check = tuple[str, Callable[[], str]]


def doctor(
    conn_id: Annotated[str, typer.Option(help="The Genesys connection.")] = "genesys_default",
    place: Annotated[
        str | None, typer.Option(help="Where loads go, to check its rights: schema.table, s3://…, az://… or gs://….")
    ] = None,
    place_conn_id: PlaceConnection = None,
    as_json: AsJson = False,
) -> None:
    """Check the connection, the clock, the permissions of each kind and the place that loads go to.

    Exit 1 if a check fails.

    Example: airflow-genesys doctor --place public.genesys_recordings
    """
    found = [_result(name, check) for name, check in _checks(conn_id, place, place_conn_id)]
    print_rows(("check", "result", "says"), found, as_json=as_json)
    if any(one["result"] != "ok" for one in found):
        raise typer.Exit(1)


def _checks(conn_id: str, place: str | None, place_conn_id: str | None) -> Iterator[Check]:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

    with GenesysCloudHook(conn_id) as hook:
        yield "connection", lambda: _connection(hook)
        yield "clock", lambda: _clock(hook)
        yield "download hosts", lambda: _hosts(hook)
        for kind, (method, path) in _PERMISSIONS.items():
            yield f"permission: {kind}", lambda method=method, path=path: _ask(hook.get_conn(), method, path)  # type: ignore[misc]  # mypy knows no default in a lambda
    if place:
        yield f"place: {place}", lambda: _place(place, place_conn_id)


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

    from airflow_provider_genesys.exceptions import CloudUnavailableError, ConfigurationError

    try:
        answer = httpx.get(hook.config.api_url, timeout=hook.config.timeout, verify=hook.config.verify)
    except httpx.HTTPError as error:
        raise CloudUnavailableError(f"{hook.config.api_url} cannot be reached: {type(error).__name__}.") from error
    if "date" not in answer.headers:
        return "the API does not say what time it is"
    skew = (datetime.now(timezone.utc) - parsedate_to_datetime(answer.headers["date"])).total_seconds()
    if abs(skew) > LARGEST_SKEW:
        raise ConfigurationError(f"This machine's clock differs by {skew:+.0f} s from Genesys Cloud's. Run NTP.")
    return f"differs by {skew:+.0f} s from Genesys Cloud's"


def _hosts(hook: GenesysCloudHook) -> str:
    return ", ".join(hook.config.allowed_download_hosts) or "Genesys Cloud's own object stores"


def _ask(client: CloudClient, method: str, path: str) -> str:
    client.request(method, path)
    return "granted"


def _place(place: str, conn_id: str | None) -> str:
    where = open_place(place, conn_id)
    if isinstance(where, Folder):
        next(iter(where.store.list_objects(where.prefix)), None)
        return f"{where.store.url}/{where.prefix} can be listed; the first load shows whether it can be written"
    from airflow_provider_genesys.hooks.clients import connect

    with closing(connect(where.conn_id)) as connection:
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
