"""The code blocks of the docs, whatever page they are on, and why some of them are not run."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
HEREDOC = re.compile(r"<<'?(\w+)'?\n.*?^\1$", re.DOTALL | re.MULTILINE)
SETTING = re.compile(r"\w+=.*", re.DOTALL)
BETWEEN = {"&&", "||", ";", "|", "&", "(", ")"}
INTO = re.compile(r"\s>>? ?\S+")


@dataclass(frozen=True)
class Block:
    """A block of code, and where it is."""

    place: str
    language: str
    code: str

    def __str__(self) -> str:
        return self.place


def blocks(*languages: str) -> list[Block]:
    """Return all blocks in one of these languages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            place = f"{page.relative_to(ROOT)}:{text[: match.start()].count(chr(10)) + 1}"
            found.append(Block(place, match[2], textwrap.dedent(match[3])))
    return [one for one in found if one.language in languages]


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command in a block of shell, without the settings before it."""
    text = HEREDOC.sub("", block.code)
    if block.language == "console":
        lines = text.splitlines()
        prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        text = "\n".join(prompted or lines)
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.shlex(INTO.sub("", line), posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        for word in (*words, ";"):
            if word in BETWEEN:
                if command:
                    yield command
                command = []
            elif command or not SETTING.fullmatch(word):
                command.append(word)
