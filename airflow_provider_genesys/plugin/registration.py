"""Registers the pages by the entry point ``airflow.plugins``. Every component of Airflow loads this module."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)

PREFIX = "/genesys"
"""Where the pages are below the API server's own address."""

_LOGO = "genesys/static/loads.svg"
_VIEWS = (
    {
        "name": "Genesys loads",
        "href": "genesys/loads",
        "url_route": "genesys-loads",
        "destination": "nav",
        "category": "browse",
        "icon": _LOGO,
        "icon_dark_mode": _LOGO,
    },
    {
        "name": "Load",
        "href": "genesys/load/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}",
        "url_route": "genesys-load",
        "destination": "task_instance",
        "icon": _LOGO,
        "icon_dark_mode": _LOGO,
    },
)


class GenesysPlugin(AirflowPlugin):
    """The pages; none if Airflow's own checks of rights cannot be imported."""

    name = "genesys"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]  # Airflow reads it from an instance, in the API server
        """The pages' app. Only the API server asks for it, so nothing else imports FastAPI for it."""
        try:
            from airflow_provider_genesys.plugin.app import make_app
        except ImportError:
            log.exception(
                "This Airflow lacks the functions by which the Genesys pages check rights, so there are no pages."
            )
            return []
        return [{"app": make_app(), "url_prefix": PREFIX, "name": "Genesys loads"}]

    @cached_property
    def external_views(self) -> list[Any]:  # type: ignore[override]  # as above
        """The tab and the entry in the navigation."""
        return list(_VIEWS) if self.fastapi_apps else []
