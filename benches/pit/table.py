"""Tables for people."""

from __future__ import annotations


def table(head: tuple, rows: list[tuple]) -> str:
    """Returns a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
