"""Reads of 3M keys x 50 features with a writer beside them, 19 reads to a write, and without it.

Keys are drawn by Zipf's law. What it prints is explained in benches/README.md.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from statistics import median

import zipf
from compare import difference
from environment import environment, lodestore, say, stored, version
from layouts import KEY, Layout
from options import Lines, parser
from systems import SYSTEMS, Worker, fill, redis_server

KEYS = 3_000_000
FEAST_KEYS = 3_000
FEATURES = 50
READS_PER_WRITE = 19
DRAWS = 200_000
READER_SHARE = 0.5
"""The highest rate of the reads, as a share of what one reader reaches: at its top, waiting is all that is measured."""
WRITER_SHARE = 0.8
"""The highest rate of the writes, as a share of what one writer reaches. To keep the mix, the slower one decides."""


def main() -> int:
    """Runs each system. It ends at once if a row that was written is not read."""
    options = arguments()
    lines = Lines("mixed")
    python = lodestore(options.data, options.wheel)
    with ExitStack() as stack:
        address = stack.enter_context(redis_server(any("redis" in name for name in options.systems)))
        for name in options.systems:
            system = SYSTEMS[name]
            keys = (KEYS if system.package == "lodestore" else options.feast_keys) // options.scale
            layout = Layout("mixed", 1, FEATURES, max(1, keys))
            folder = stored(options.data, python, layout)
            own = python if system.package == "lodestore" else environment(options.data, "feast")
            repository, _ = fill(own, folder, system, address, [])
            line = {"system": name, "version": version(own, system.package), "keys": layout.keys, "features": FEATURES}
            run(lines, line, Worker(own, system, repository), Worker(own, system, repository), layout, options)
    if options.markdown:
        print(lines.markdown())
    return 0


def arguments():
    """Returns the command line's options."""
    made = parser("Reads of many keys with a writer beside them, and without it.")
    systems = ["lodestore", "feast_sqlite", "feast_redis"]
    made.add_argument("--systems", type=lambda text: text.split(","), default=systems, help="default: all three")
    made.add_argument("--feast-keys", type=int, default=FEAST_KEYS, help="keys for Feast; default: %(default)s")
    made.add_argument("--rounds", type=int, default=5, help="turns with and without the writer; default: %(default)s")
    made.add_argument("--seconds", type=float, default=10, help="the length of a turn; default: %(default)s")
    options = made.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.scale = 1, 2, max(options.scale, 100)
    return options


def run(lines: Lines, line: dict, reader: Worker, writer: Worker, layout: Layout, options) -> None:
    """Prints the latencies without and with the writer, in turns, and how they compare."""
    say(f"{line['system']}: {layout.keys} keys")
    keys = zipf.draws(layout.keys, DRAWS)
    read = {"features": layout.references(FEATURES), "keys": keys, "seconds": options.seconds}
    top = reader.run("read_at_rate", **read, rate=0)["reads_per_second"]
    view = layout.view_names()[0]
    write = {"view": view, "columns": layout.view_features(view), "keys": keys[::-1], "seconds": options.seconds}
    # What is written first after so many rows may take longer: it is told, and what comes then decides.
    first_writes, most_writes = (writer.run("write_at_rate", **write, rate=0)["writes_per_second"] for _ in range(2))
    tops = {"reads_per_second": top, "first_writes_per_second": first_writes, "writes_per_second": most_writes}
    lines.add(**line, readers="as fast as it can", **tops)
    rate = min(top * READER_SHARE, most_writes * WRITER_SHARE * READS_PER_WRITE)
    alone, beside = [], []
    for _ in range(options.rounds):
        alone.append(reader.run("read_at_rate", **read, rate=rate))
        writer.start("write_at_rate", **write, rate=rate / READS_PER_WRITE)
        reads, writes = reader.run("read_at_rate", **read, rate=rate), writer.finish()
        last = writes.pop("last")
        beside.append(reads | writes)
        # What was written last is read, or the figures are worth nothing.
        answer = reader.run("answer", features=read["features"], keys=last[KEY])
        if wrong := difference(last, answer):
            sys.exit(f"{line['system']} does not answer with the row that was written: {wrong}")
    reader.end()
    writer.end()
    medians = {}
    for name, turns in (("alone", alone), ("with writer", beside)):
        medians[name] = {key: median(turn[key] for turn in turns) for key in turns[0]}
        found = medians[name] | {"writes_per_second": medians[name].get("writes_per_second", 0.0)}
        figures = {"p50_us": found["p50"], "p99_us": found["p99"], "p999_us": found["p99.9"]}
        rates = {"reads_per_second": found["reads_per_second"], "writes_per_second": found["writes_per_second"]}
        lines.add(**line, readers=name, rate=rate, **rates, **figures)
    ratio = medians["with writer"]["p99"] / medians["alone"]["p99"]
    lines.add(**line, bar="p99 with the writer beside alone", value=ratio)


if __name__ == "__main__":
    sys.exit(main())
