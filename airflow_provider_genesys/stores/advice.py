"""What the errors of all stores advise, and what becomes of an answer that is not the store's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.retries import retried

T = TypeVar("T")
_MISREAD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a store's client raises when an answer lacks a field, or has another type in it."""

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


def understood(
    action: Callable[[], T],
    request: str,
    retries: int,
    *,
    errors: tuple[type[BaseException], ...],
    is_transient: Callable[[BaseException], bool],
    describe: Callable[[BaseException], str],
) -> T:
    """Return what ``action`` returns, as :func:`.retries.retried` does; send it again if the answer is not the store's.

    :param errors: what the store's client raises on purpose.
    :raises SinkUnavailableError: the last answer cannot be the store's.
    """

    def answered() -> T:
        try:
            return action()
        except errors:
            raise
        except _MISREAD as error:
            raise not_the_stores(request, type(error).__name__) from None

    def is_foreign(error: BaseException) -> bool:
        return isinstance(error, SinkUnavailableError)

    return retried(
        answered,
        request,
        retries,
        is_transient=lambda error: is_foreign(error) or is_transient(error),
        describe=lambda error: "not the store's answer" if is_foreign(error) else describe(error),
    )
