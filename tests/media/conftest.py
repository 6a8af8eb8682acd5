"""Fixtures of the media tests: those of the sinks."""

from __future__ import annotations

from tests.sinks.conftest import client, lake, proxy, warehouse

__all__ = ["client", "lake", "proxy", "warehouse"]
