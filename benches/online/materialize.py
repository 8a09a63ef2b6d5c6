"""Materialises rows into Lodestore's embedded store and Feast's SQLite store; time, CPU, and bytes stored a key.

What it prints is explained in benches/README.md.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING

from compare import difference
from environment import environment, lodestore, say, stored, version
from layouts import Layout
from options import Lines, parser
from systems import SYSTEMS, Worker, fill

if TYPE_CHECKING:
    from pathlib import Path

KEYS = 100_000
ROWS_PER_KEY = 100
FEATURES = 10
WIDE = 50
"""The features of a key whose bytes are counted."""
SAMPLE = 1_000
STORES = {"lodestore": "data/online_store/data.mdb", "feast_sqlite": "online.db"}
"""The file of each system's online store, in its repository."""
BAR_FEAST, BAR_ROWS = 50.0, 1e6


def main() -> int:
    """Runs all, and returns the exit code: 1 if the systems answer otherwise."""
    options = arguments()
    bench = Bench(options)
    keys, few = KEYS // options.scale, KEYS // options.scale // options.feast_scale
    # Both systems, Feast perhaps at a part of the size; then Lodestore alone at full size; then the bytes.
    rates = bench.run(Layout("rows", 1, FEATURES, few, ROWS_PER_KEY), ["lodestore", "feast_sqlite"])
    ratio = rates["lodestore"] / rates["feast_sqlite"]
    bench.lines.add(bar="rows a second beside Feast", value=ratio, passed=ratio >= BAR_FEAST)
    if few != keys:
        rates = bench.run(Layout("rows", 1, FEATURES, keys, ROWS_PER_KEY), ["lodestore"])
    per_core = rates["lodestore per core"]
    bench.lines.add(bar="rows a second and core", value=per_core, passed=per_core >= BAR_ROWS)
    bench.run(Layout("wide", 1, WIDE, few), ["lodestore", "feast_sqlite"])
    if options.markdown:
        print(bench.lines.markdown())
    return bench.wrong


def arguments():
    """Returns the command line's options."""
    made = parser("Materialises rows into Lodestore's embedded store and Feast's SQLite store.")
    made.add_argument("--rounds", type=int, default=3, help="turns of each system; default: %(default)s")
    scale = "divides the number of keys where Feast takes part; default: %(default)s"
    made.add_argument("--feast-scale", type=int, default=1, help=scale)
    options = made.parse_args()
    if options.quick:
        options.rounds, options.scale = 1, max(options.scale, 20)
    return options


class Bench:
    """Each layout is materialised by systems in turn; then what they hold is compared."""

    def __init__(self, options) -> None:
        self.lines = Lines("materialize")
        self.wrong = 0
        self._options = options
        self._pythons = {
            "lodestore": lodestore(options.data, options.wheel),
            "feast": environment(options.data, "feast"),
        }

    def run(self, layout: Layout, names: list[str]) -> dict[str, float]:
        """Prints a line for each system; returns rows a second, and a second and core, of each."""
        folder = stored(self._options.data, self._pythons["lodestore"], layout)
        turns: dict[str, list[dict]] = {name: [] for name in names}
        repositories = {}
        for _ in range(self._options.rounds):
            for name in names:
                system = SYSTEMS[name]
                repositories[name], took = fill(self._pythons[system.package], folder, system, None, [])
                turns[name].append(took)
        wrong = self._compared(layout, repositories)
        rows, rates = layout.keys * layout.rows_per_key, {}
        for name in names:
            package = SYSTEMS[name].package
            took = {key: median(turn[key] for turn in turns[name]) for key in turns[name][0]}
            rates[name], rates[f"{name} per core"] = rows / took["seconds"], rows / took["cpu_seconds"]
            size = (repositories[name] / STORES[name]).stat().st_size / layout.keys
            line = {"system": name, "version": version(self._pythons[package], package), "rows": rows}
            line |= {"keys": layout.keys, "features": layout.features} | took
            rate = {"rows_per_second": rates[name], "rows_per_second_and_core": rates[f"{name} per core"]}
            self.lines.add(**line, **rate, bytes_per_key=size, answers=wrong or "equal")
        return rates

    def _compared(self, layout: Layout, repositories: dict[str, Path]) -> str | None:
        """Returns how the answers for some keys differ, or None."""
        keys = list(range(0, layout.keys, max(1, layout.keys // SAMPLE)))
        features = layout.references(layout.features)
        answers = []
        for name, repository in repositories.items():
            worker = Worker(self._pythons[SYSTEMS[name].package], SYSTEMS[name], repository)
            answers.append(worker.run("answer", features=features, keys=keys))
            worker.end()
        say(f"{layout.name}: compared {len(keys)} keys of {', '.join(repositories)}")
        wrong = difference(answers[0], answers[-1])
        self.wrong |= int(wrong is not None)
        return wrong


if __name__ == "__main__":
    sys.exit(main())
