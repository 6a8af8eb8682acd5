"""What the errors of all stores advise, and the error for an answer that is not the store's."""

from __future__ import annotations

from airflow_provider_genesys.exceptions import SinkUnavailableError

PROXY = "If it lasts, look for a proxy or a login page between worker and store, and at the endpoint of the connection."

FEWER = "If it lasts, load fewer windows at once, with max_active_runs or a pool."

TOO_LARGE = (
    "The store, or a proxy before it, takes no body of this length. Bodies have up to 8 MiB: allow that, e.g. with "
    "client_max_body_size of nginx."
)


def not_the_stores(request: str, why: str) -> SinkUnavailableError:
    """Return the error for an answer that says success, and cannot be the store's.

    :param request: names it, e.g. ``get_object s3://bucket/key``.
    """
    return SinkUnavailableError(f"{request}: the answer is not the store's ({why}). Nothing was taken from it. {PROXY}")
