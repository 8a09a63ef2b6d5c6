"""Loads Lodestore's server for a long time at half of what it takes: memory must stay flat, and no request fail.

What it prints is explained in benches/README.md.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from statistics import median

from environment import lodestore, say, stored, version
from layouts import Layout
from load import ROUTE, ask, closed_loop, one_key_bodies, open_loop
from options import Lines, parser
from servers import feature_server, resident_mb
from systems import SYSTEMS, fill

KEYS = 10_000
FEATURES = 50
SHARE_OF_TOP = 0.5
MOST_GROWTH = 0.05
"""By how much memory may grow from the first third to the last: what a server keeps is kept by then."""


def main() -> int:
    """Runs it, and returns the exit code: 1 if a request failed or memory grew."""
    options = arguments()
    lines = Lines("soak")
    python = lodestore(options.data, options.wheel)
    layout = Layout("published", 25, 10, max(1, KEYS // options.scale), types=("int64",))
    folder = stored(options.data, python, layout)
    repository, _ = fill(python, folder, SYSTEMS["lodestore"], None, [])
    file = folder / "soak.jsonl"
    bodies = one_key_bodies(layout, FEATURES)
    file.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    with ExitStack() as stack:
        url, process = stack.enter_context(feature_server(python, SYSTEMS["lodestore"], repository, 1))
        answer = json.loads(ask(url, bodies[0]))
        if len(answer["results"]) != FEATURES + 1:
            sys.exit(f"the server answers {len(answer['results'])} columns instead of {FEATURES + 1}")
        top = closed_loop(url + ROUTE, file, options.connections, options.segment)["requests_per_second"]
        rate = options.rate or top * SHARE_OF_TOP
        lines.add(version=version(python, "lodestore"), top=top, rate=rate, minutes=options.minutes)
        memory, errors, tail = [], 0, []
        for number in range(max(3, round(options.minutes * 60 / options.segment))):
            load = open_loop(options.data, url + ROUTE, file, rate, options.connections, options.segment)
            memory.append(resident_mb(process))
            errors += load["errors"]
            tail.append(load["p99_us"])
            say(f"{number}: {memory[-1]:.1f} MB, p99 {load['p99_us']:.0f} us, {errors} errors")
            lines.add(segment=number, rss_mb=memory[-1], **load)
    third = len(memory) // 3
    growth = median(memory[-third:]) / median(memory[:third]) - 1
    passed = errors == 0 and growth <= MOST_GROWTH
    lines.add(bar="memory flat, no error", growth=growth, errors=errors, p99_us=median(tail), passed=passed)
    if options.markdown:
        print(lines.markdown())
    return int(not passed)


def arguments():
    """Returns the command line's options."""
    made = parser("Loads Lodestore's server for a long time at half of what it takes.")
    made.add_argument("--minutes", type=float, default=30, help="default: %(default)s")
    made.add_argument("--segment", type=float, default=30, help="seconds between two looks; default: %(default)s")
    made.add_argument("--rate", type=float, help="requests a second; default: half of the top")
    made.add_argument("--connections", type=int, default=32, help="default: %(default)s")
    options = made.parse_args()
    if options.quick:
        options.minutes, options.segment, options.scale = 0.2, 3, max(options.scale, 10)
    return options


if __name__ == "__main__":
    sys.exit(main())
