"""What a row of the table says."""

from __future__ import annotations

from dataclasses import dataclass

TIMES = "×"  # noqa: RUF001 - the sign that people read


@dataclass(frozen=True)
class Result:
    """One line of the table.

    :param value: the ratio, or the figure, that the bar is about.
    :param at_least: whether the bar is a floor; else a ceiling.
    :param detail: what was measured, for people.
    """

    what: str
    value: float
    bar: float
    at_least: bool
    detail: str
    unit: str = TIMES
    when: str = ""
    """Day of the measurement; empty for one that was made just now."""

    @property
    def met(self) -> bool:
        """Whether the bar is reached."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar
