"""Where in a load an error happened: a store or a queue knows keys and messages, not exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError


@contextmanager
def error_context(place: str) -> Iterator[None]:
    """Put ``place`` before what the sink's store or queue has to say."""
    try:
        yield
    except (SinkUnavailableError, SinkRefusedError) as error:
        raise type(error)(f"{place}: {error}", code=error.code) from error
