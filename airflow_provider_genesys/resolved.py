"""Prepares a class for msgspec while its module is imported."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def resolved(cls: type[T]) -> type[T]:
    """Have msgspec read the type hints of a class that JSON is converted into; return the class.

    msgspec reads them when the class is first used. If two threads do that at once, the process ends with a
    segmentation fault (msgspec 0.22). Python imports a module in one thread only.
    """
    msgspec.json.Decoder(cls)
    return cls
