"""Put the tables of docs/bad-input.md where they belong: ``python -m tests.faults.bad_input_table``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "bad-input.md"
FILES = Path(__file__).parent / "bad_input"
EXPECTED: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load((FILES / "expected.yaml").read_text())
TEXTS: dict[str, list[Any]] = yaml.safe_load((FILES / "json_texts.yaml").read_text())

_TABLE = re.compile(r"(<!-- ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADS = {
    "records": "In a record",
    "generated": "A record",
    "archives": "An archive",
    "bombs": "An archive",
    "kinds": "In the place of an archive",
}


def with_tables(page: str) -> str:
    """Return ``page`` with every table as the outcomes make it."""
    return _TABLE.sub(lambda match: match[1] + _table(match[2]) + match[3], page)


def _table(section: str) -> str:
    if section == "json texts":
        return _texts()
    rows = [f"| {entry['what']} | {_outcome(entry)} |\n" for entry in EXPECTED[section].values()]
    return f"| {_HEADS[section]} | Outcome |\n|---|---|\n{''.join(rows)}"


def _texts() -> str:
    rows = [f"| `{_printable(case['text'])}` | {_answer(case['answer'])} |\n" for case in TEXTS["ours"]]
    return f"| A JSON text | Outcome |\n|---|---|\n{''.join(rows)}"


def _printable(text: str) -> str:
    return "".join(char if " " <= char <= "~" else f"\\x{ord(char):02x}" for char in text)


def _answer(answer: str) -> str:
    return "recovers: kept" if answer == "kept" else f"dead letter `{answer}`"


def _outcome(entry: dict[str, Any]) -> str:
    outcome = str(entry["outcome"])
    if outcome == "dead letter":
        rules = entry["rules"].get("in lines", entry["rules"])
        outcome = f"dead letter `{next(iter(rules))}`"
    elif outcome == "clear error":
        outcome = f"`{entry['error']}`"
    return f"{outcome}: {entry['note']}" if "note" in entry else outcome


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
