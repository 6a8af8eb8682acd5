"""Triggers that Airflow has stored: what an earlier release wrote, this one makes the same trigger of."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

EXPORT = (
    "airflow_provider_genesys.triggers.export.GenesysExportTrigger",
    {
        "export_id": "0f6ad3a4-6d6b-4c4f-9a5e-4f1b0a0a6a5e",
        "deadline": "2026-11-24T00:05:00+00:00",
        "kind": "recordings",
        "genesys_conn_id": "genesys_default",
        "poll_interval": 5,
        "max_poll_interval": 60,
        "cancel_on_kill": True,
    },
)
AVAILABILITY = (
    "airflow_provider_genesys.triggers.availability.GenesysAvailabilityTrigger",
    {
        "until": "2026-11-23T00:00:00+00:00",
        "deadline": "2026-11-24T00:05:00+00:00",
        "kind": "conversation_details",
        "genesys_conn_id": "genesys_eu",
        "poll_interval": 0.5,
        "max_poll_interval": 7.5,
    },
)


@pytest.mark.parametrize("stored", [EXPORT, AVAILABILITY], ids=["export", "availability"])
def test_a_stored_trigger_is_loaded_and_stored_the_same(stored: tuple[str, dict[str, Any]]) -> None:
    path, arguments = stored
    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)(**arguments)
    assert trigger.serialize() == (path, arguments)
    assert {name: getattr(trigger, name) for name in arguments} == arguments
