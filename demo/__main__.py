"""``python -m demo``: see :mod:`.once`."""

from __future__ import annotations

from demo.interrupt import run


def main() -> int:
    """Run the demo."""
    from demo import once

    return once.main()


if __name__ == "__main__":
    run(main)
