"""What Genesys' own SDK thinks of an answer: whether each member is one that its models have, of the type they have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.support.genesys_sdk import Sdk

_LIST, _DICT = re.compile(r"list\[(.+)\]"), re.compile(r"dict\(str, (.+)\)")
_PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool, "object": object}


def strangers(kind: str, value: Any, path: str = "$") -> Iterator[str]:
    """Yield the path of each member that the SDK's model ``kind`` does not have, or has as another type or enum."""
    if found := _LIST.fullmatch(kind):
        for number, one in enumerate(value):
            yield from strangers(found[1], one, f"{path}[{number}]")
    elif found := _DICT.fullmatch(kind):
        for name, one in value.items():
            yield from strangers(found[1], one, f"{path}.{name}")
    elif kind == "datetime":
        if datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo is None:
            yield f"{path} is {value!r}, without a zone"
    elif kind in _PLAIN:
        if not isinstance(value, _PLAIN[kind]):
            yield f"{path} is {value!r}, not {kind}"
    else:
        yield from _strangers_of_model(getattr(Sdk, kind)(), value, path)


def _strangers_of_model(model: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    names = {told: own for own, told in model.attribute_map.items()}
    for told, one in value.items():
        if told not in names:
            yield f"{path}.{told} is unknown"
            continue
        own = names[told]
        yield from strangers(model.swagger_types[own], one, f"{path}.{told}")
        setattr(model, own, one)
        if getattr(model, own) == "outdated_sdk_version":
            yield f"{path}.{told} is {one!r}, which is none of its words"
