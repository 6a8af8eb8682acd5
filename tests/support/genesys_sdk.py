"""Genesys' own Python SDK, imported where a test first uses it.

It has thousands of modules, and looks for its settings in every folder below the user's home. A test's is empty.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

_PACKAGE = "PureCloudPlatformClientV2"


def folder() -> Path:
    """Return where its source is, without importing it."""
    spec = importlib.util.find_spec(_PACKAGE)
    return Path(str(spec and spec.origin)).parent


@cache
def _imported() -> Any:
    with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, HOME=home):
        return importlib.import_module(_PACKAGE)


class _Later:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # pytest asks each name of a module whether it is a fixture
        return getattr(_imported(), name)


Sdk: Any = _Later()
