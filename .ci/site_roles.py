"""A hook of the site (mkdocs.yml): docstrings say :class:`.module.Name`, the page shows Name."""

# ruff: noqa: INP001 - a script that MkDocs loads, not a package
from __future__ import annotations

import re

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):<code>~?\.*((?:[\w]+\.)*)(\w+)</code>")


def on_page_content(html: str, **_: object) -> str:
    """Return the page with each reference as the name that it ends with."""
    return ROLE.sub(r"<code>\2</code>", html)
