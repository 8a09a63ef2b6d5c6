"""Options that all benches have, and the form of what they print."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path


def parser(about: str) -> argparse.ArgumentParser:
    """Returns a parser with the options that all benches have."""
    made = argparse.ArgumentParser(description=about)
    folder = Path(tempfile.gettempdir()) / "lodestore-benches" / "online"
    made.add_argument("--data", type=Path, default=folder, help="data and environments; default: %(default)s")
    made.add_argument("--wheel", type=Path, help="the wheel of Lodestore; default: the newest of dist/")
    made.add_argument("--scale", type=int, default=1, help="divides the numbers of keys; default: %(default)s")
    made.add_argument("--quick", action="store_true", help="few and short runs, to see that all works")
    made.add_argument("--markdown", action="store_true", help="print a table at the end, too")
    return made


def numbers(text: str) -> list[int]:
    """Parses numbers that are separated by commas."""
    return [int(number) for number in text.split(",")]


class Lines:
    """What is printed: a JSON line at a time, and a table of all of them in the end."""

    def __init__(self, bench: str) -> None:
        self._bench = bench
        self._all: list[dict] = []

    def add(self, **values) -> None:
        """Prints a line. Numbers are rounded to what is worth reading."""
        line = {"bench": self._bench} | {name: rounded(value) for name, value in values.items()}
        print(json.dumps(line), flush=True)
        self._all.append(line)

    def markdown(self) -> str:
        """Returns a Markdown table for each set of columns."""
        text, head = "", None
        for line in self._all:
            names = [name for name in line if name != "bench"]
            if names != head:
                head = names
                text += f"\n| {' | '.join(names)} |\n|{' --- |' * len(names)}\n"
            text += f"| {' | '.join(str(line[name]) for name in names)} |\n"
        return text


def rounded(value):
    """Returns a number with four digits that count, and anything else as it is."""
    if not isinstance(value, float) or value == 0:
        return value
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")
