"""An auth manager in which one user may not see one DAG: Airflow's simple one knows no rights by DAG."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

GUEST = "guest"
HIDDEN = "hidden_loads"


class NarrowRights(SimpleAuthManager):
    """The guest may see every DAG but :data:`HIDDEN`."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **kwargs: Any) -> bool:
        if user.username == GUEST and details is not None and details.id == HIDDEN:
            return False
        return bool(super().is_authorized_dag(user=user, details=details, **kwargs))
