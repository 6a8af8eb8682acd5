"""When an attempt goes on, and when it begins: the same for every ledger."""

from __future__ import annotations

import pytest

from airflow_provider_genesys.pipeline.load import Previous, continues

LOADING = Previous("export-1", "loading", {}, "rows")


@pytest.mark.parametrize("previous", [LOADING, Previous("export-1", "loading", {}, None)])
def test_a_load_goes_on_in_the_same_form(previous: Previous) -> None:
    assert continues(previous, "export-1", "rows", restart=False)
    assert not continues(previous, "export-1", "rows", restart=True)
    assert not continues(previous, "export-2", "rows", restart=False)


@pytest.mark.parametrize(
    "previous",
    [
        None,
        Previous("export-1", "loading", None, "rows"),
        Previous("export-1", "complete", {}, "rows"),
        Previous("export-1", "replaying", {}, "rows"),
        Previous("export-1", "loading", {}, "other rows"),
    ],
)
def test_nothing_that_is_ended_or_other_is_gone_on_with(previous: Previous | None) -> None:
    assert not continues(previous, "export-1", "rows", restart=False)
