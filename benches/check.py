"""Counts the instructions of a fixed small join, and compares the count with the stored one.

    python benches/check.py            fails if the join takes more instructions than stored, beyond the tolerance
    python benches/check.py --update   stores the present count

Instructions, unlike seconds, do not depend on what else the machine does. They do depend on the compiler and on the
processor's vector instructions: a new compiler may need a new count. Needs valgrind.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

STORED = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05


def binary() -> str:
    """Builds the benchmark and returns the path of its executable."""
    build = ["cargo", "test", "--workspace", "--bench", "join", "--no-run", "--message-format=json"]
    lines = subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    found = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "join"]
    return found[-1]


def count(executable: str) -> int:
    """Returns how many instructions the case takes."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", executable, "count"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    found = re.search(r"Collected : (\d+)", told)
    if found is None:
        raise SystemExit(f"callgrind told no count:\n{told}")
    return int(found[1])


def main() -> None:
    """Counts, and compares with the stored count or stores it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="store the present count")
    arguments = parser.parse_args()
    found = count(binary())
    if arguments.update or not STORED.exists():
        STORED.write_text(json.dumps({"join": found}, indent=2) + "\n")
        print(f"stored: {found:,} instructions")
        return
    stored = json.loads(STORED.read_text())["join"]
    change = found / stored - 1
    print(json.dumps({"bench": "join", "instructions": found, "stored": stored, "change": round(change, 4)}))
    if change > TOLERANCE:
        sys.exit(f"the join takes {change:.1%} more instructions than stored; benches/check.py --update if it must")


if __name__ == "__main__":
    main()
