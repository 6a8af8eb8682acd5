"""A picture of what a command has printed, as SVG, that asks no address outside."""

from __future__ import annotations

import re
import signal
import subprocess
from io import StringIO
from typing import TYPE_CHECKING

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}", re.DOTALL)


def lines_until(command: Sequence[str], end: str, cwd: Path) -> list[str]:
    """Run a command until a line of its output holds ``end``; interrupt it then, and return its lines so far."""
    lines: list[str] = []
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            if end in line:
                process.send_signal(signal.SIGINT)
                return lines
    raise AssertionError("\n".join(lines))


def picture(lines: Sequence[str], title: str, width: int = 100) -> str:
    """Return the lines in a terminal's window."""
    console = Console(record=True, width=width, file=StringIO(), highlight=False)
    for line in lines:
        console.print(Text(line), overflow="ellipsis", no_wrap=True)
    return console.export_svg(title=title, theme=MONOKAI, code_format=FONT_FACES.sub("", CONSOLE_SVG_FORMAT))
