"""Where Genesys' own Python SDK has the endpoint of each declared listing."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from airflow_provider_genesys.entities.declaration import Listing
from tests.support.genesys_sdk import Sdk, folder

_METHOD = re.compile(r"    def (get_\w+)\(self.*?resource_path = '(/api/v2[^']*)'.*?response_type='(\w+)'", re.DOTALL)


@cache
def _methods() -> dict[str, tuple[str, str, str]]:
    """Return, by path, the names of the class, of the method and of the model of its answer."""
    found = {}
    for file in sorted((folder() / "apis").glob("*_api.py")):
        text = file.read_text()
        classes = re.findall(r"^class (\w+)", text, re.MULTILINE)
        for part in text.split("\n    def ")[1:]:
            if match := _METHOD.match(f"    def {part}"):
                found[match[2]] = (classes[0], match[1], match[3])
    return found


def model_of(listing: Listing) -> Any:
    """Return the SDK's model of one record."""
    _, _, answer = _methods()[listing.path]
    return getattr(Sdk, getattr(Sdk, answer)().swagger_types["entities"].removeprefix("list[").rstrip("]"))()


def call(client: Any, listing: Listing, parent: str | None, **parameters: Any) -> Any:
    """Ask for a page."""
    api, method, _ = _methods()[listing.path]
    return getattr(getattr(Sdk, api)(client), method)(*filter(None, [parent]), **parameters)
