"""Options of the benches of training sets: this one and `windows`."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path


def parser(about: str, cases: dict, systems: dict, peer_timeout: float) -> argparse.ArgumentParser:
    """Returns a parser of cases and systems by name, and of how they are run."""
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--cases", type=names(cases), default=list(cases), help="names with commas; default: all")
    made.add_argument("--systems", type=names(systems), default=list(systems), help="names with commas; default: all")
    made.add_argument("--rounds", type=int, default=5, help="timed runs of each system; default: %(default)s")
    made.add_argument("--scale", type=int, default=1, help="divides all sizes, for a quick try; default: %(default)s")
    made.add_argument("--wheel", type=Path, help="the wheel of Lodestore; default: the newest of dist/")
    folder = Path(tempfile.gettempdir()) / "lodestore-benches"
    made.add_argument("--data", type=Path, default=folder, help="data and environments; default: %(default)s")
    said = "seconds a run may take; default: %(default)s"
    made.add_argument("--peer-timeout", type=float, default=peer_timeout, help=said)
    memory = round(0.75e-9 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 1)
    made.add_argument("--peer-memory", type=float, default=memory, help="GB a run may take; default: %(default)s")
    made.add_argument("--markdown", action="store_true", help="print a table at the end, too")
    return made


def names(known: dict):
    """Returns a parser of names that are separated by commas."""

    def parse(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown name '{unknown[0]}'; there are {', '.join(known)}")
        return text.split(",")

    return parse
