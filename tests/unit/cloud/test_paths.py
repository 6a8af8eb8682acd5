"""An id is one step of a path, or none at all."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from airflow_provider_genesys.cloud.http.paths import LONGEST_ID, path_step
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.media.index import recording_metadata

NO_IDS = ["", ".", "..", "." * 40, "a" * (LONGEST_ID + 1), "../" * 2**20]


@pytest.mark.parametrize("name", ["a", "a.b", "..a", "a/b", "../b", "a?b#c", "%2e%2e", "ü\n", "a" * LONGEST_ID])
def test_an_id_is_one_step(name: str) -> None:
    step = path_step(name, "an export")
    assert unquote(step) == name
    assert not set("/?#\n") & set(step)


@pytest.mark.parametrize("name", NO_IDS)
def test_what_would_lead_elsewhere_is_refused_in_a_short_message(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not the id of an export\.$") as raised:
        path_step(name, "an export")
    assert len(str(raised.value)) < 100


@pytest.mark.parametrize("name", NO_IDS)
def test_no_conversation_is_asked_for_by_what_is_no_id(name: str) -> None:
    class NoClient:
        def request(self, *_: Any) -> Any:
            raise AssertionError(name)

    assert recording_metadata(NoClient(), name) is None  # type: ignore[arg-type] # nothing is asked
