"""Tells an entity for which alone Genesys does not answer from an outage, in which it answers for none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from airflow_provider_genesys.cloud.http.errors import is_of_one
from airflow_provider_genesys.exceptions import (
    CircuitOpenError,
    CloudError,
    CloudUnavailableError,
    ForeignAnswerError,
)

T = TypeVar("T")
_LIKE_AN_OUTAGE = frozenset({None, 408, 502, 503, 504})
"""Status codes of an outage; None if there was no response."""
_TIMES = 2
_OTHERS = 3


def asked_for_one(ask: Callable[[], T], others: Iterable[Callable[[], object]]) -> T:
    """Return what ``ask`` returns for one entity.

    If Genesys fails as in an outage, ask for up to three of the ``others``. If it answers for one of them, ask again.
    If that fails as well, and another is answered again, the error is one of this entity alone.

    :raises CloudError: the error of ``ask``. :func:`.errors.is_of_one` says whether it is of this entity alone.
    """
    candidates = list(islice(others, _OTHERS))
    for left in reversed(range(_TIMES)):
        try:
            return ask()
        except CloudError as error:
            if is_of_one(error) or not _is_like_an_outage(error) or not any(map(_is_answered, candidates)):
                raise
            error.of_one = True
            if not left:
                raise
    raise AssertionError


def _is_like_an_outage(error: CloudError) -> bool:
    temporary = isinstance(error, CloudUnavailableError) and not isinstance(error, CircuitOpenError)
    like = error.status in _LIKE_AN_OUTAGE or isinstance(error, ForeignAnswerError)
    return temporary and like and not getattr(error, "retry_after", None)


def _is_answered(other: Callable[[], object]) -> bool:
    try:
        other()
    except CloudUnavailableError:
        return False
    except CloudError:
        return True  # e.g. 404: Genesys is there
    return True
