"""Reads features over HTTP: Lodestore and Feast, and a static page of the same bytes.

The data are those of a published benchmark of Feast: 10,000 keys, 250 int64 features in 25 views.
What it prints is explained in benches/README.md.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from compare import difference
from environment import environment, lodestore, say, stored, version
from layouts import KEY, Layout
from load import ROUTE, ask, closed_loop, open_loop, shape
from options import Lines, numbers, parser
from servers import feature_server, static_page
from systems import SYSTEMS, fill, redis_server

if TYPE_CHECKING:
    from pathlib import Path

KEYS = 10_000
SEED = 11
BODIES = 200
MISSING = {"all_present": 0.0, "third_missing": 1 / 3}
BAR_FEAST, BAR_STATIC = 50.0, 0.5
STATIC = "static page"


def main() -> int:
    """Runs all sizes, and returns the exit code: 1 if an answer was not Feast's, or a request failed."""
    options = arguments()
    lines = Lines("over_http")
    layout = Layout("published", 25, 10, max(1, KEYS // options.scale), types=("int64",))
    pythons = {"lodestore": lodestore(options.data, options.wheel)}
    if any(SYSTEMS[name].package == "feast" for name in options.systems):
        pythons["feast"] = environment(options.data, "feast")
    folder = stored(options.data, pythons["lodestore"], layout)
    workers = os.cpu_count() or 1
    with ExitStack() as stack:
        address = stack.enter_context(redis_server(any("redis" in name for name in options.systems)))
        urls = {}
        for name in options.systems:
            system = SYSTEMS[name]
            python = pythons[system.package]
            repository, _ = fill(python, folder, system, address, [])
            urls[name], _ = stack.enter_context(feature_server(python, system, repository, workers))
        bench = Bench(options, layout, folder, urls, lines)
        for missing in options.missing:
            for entities in options.entities:
                for count in options.features:
                    bench.run(missing, entities, count)
    lines.add(versions={name: version(python, name) for name, python in pythons.items()}, workers=workers)
    if options.markdown:
        print(lines.markdown())
    return bench.wrong


def arguments():
    """Returns the command line's options."""
    made = parser("Reads features over HTTP: Lodestore, Feast, and a static page.")
    made.add_argument("--entities", type=numbers, default=[1, 10, 100], help="default: 1,10,100")
    made.add_argument("--features", type=numbers, default=[50, 150, 250], help="default: 50,150,250")
    made.add_argument("--missing", type=lambda text: text.split(","), default=list(MISSING), help="default: both")
    systems = ["lodestore", "feast_sqlite", "feast_redis"]
    made.add_argument("--systems", type=lambda text: text.split(","), default=systems, help="default: all three")
    made.add_argument("--rounds", type=int, default=3, help="turns of each system; default: %(default)s")
    made.add_argument("--seconds", type=float, default=5, help="the length of a turn; default: %(default)s")
    made.add_argument("--connections", type=int, default=32, help="default: %(default)s")
    options = made.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.scale = 1, 2, max(options.scale, 10)
        options.entities, options.features = [1, 100], [50]
    return options


class Bench:
    """Servers are started once; each size is then compared, loaded as much as can be, and loaded at rates."""

    def __init__(self, options, layout: Layout, folder: Path, urls: dict[str, str], lines: Lines) -> None:
        self.wrong = 0
        self._options = options
        self._layout = layout
        self._folder = folder
        self._urls = urls
        self._lines = lines

    def run(self, missing: str, entities: int, count: int) -> None:
        """Prints a line for each system, and what the bars say."""
        say(f"{missing}: {entities} x {count}")
        bodies = self._bodies(missing, entities, count)
        file = self._folder / "bodies.jsonl"
        file.write_text("".join(json.dumps(body, separators=(",", ":")) + "\n" for body in bodies))
        size = {"missing": missing, "entities": entities, "features": count}
        answers = {name: ask(url, bodies[0]) for name, url in self._urls.items()}
        usable = self._compared(size, answers)
        took = {name: self._seconds_per_answer(self._urls[name], bodies) for name in usable}
        top = self._closed(size, took, file, next(iter(answers.values())))
        for name in usable:
            self._open(size, name, file, top[name])
        self._judge(size, top)

    def _bodies(self, missing: str, entities: int, count: int) -> list[dict]:
        seeded = random.Random(f"{SEED} {missing} {entities} {count}")
        # So many more keys are asked for that this share of them is missing.
        keys = round(self._layout.keys / (1 - MISSING[missing]))
        references = self._layout.references(count)
        return [
            {"features": references, "entities": {KEY: [seeded.randrange(keys) for _ in range(entities)]}}
            for _ in range(BODIES)
        ]

    @staticmethod
    def _seconds_per_answer(url: str, bodies: list[dict]) -> float:
        took = []
        for body in bodies[1:4]:
            start = time.perf_counter()
            ask(url, body)
            took.append(time.perf_counter() - start)
        return median(took)

    def _compared(self, size: dict, answers: dict[str, bytes]) -> list[str]:
        """Returns the systems that answer as the first does."""
        columns = {name: parsed(answer) for name, answer in answers.items()}
        reference = next(iter(columns.values()))
        usable = []
        for name, answer in columns.items():
            wrong = difference(reference, answer)
            if wrong is None:
                usable.append(name)
            else:
                self.wrong = 1
                self._lines.add(system=name, **size, status="other answers", message=wrong)
        return usable

    def _closed(self, size: dict, took: dict[str, float], file: Path, page: bytes) -> dict[str, float]:
        """Returns the requests a second of each system and of the page, medians of turns."""
        reached: dict[str, list[dict]] = {name: [] for name in [*took, STATIC]}
        options, workers = self._options, os.cpu_count() or 1
        with static_page(page, workers) as static:
            targets = {name: (self._urls[name] + ROUTE, file) for name in took} | {STATIC: (static, None)}
            for _ in range(options.rounds):
                for name, (url, bodies) in targets.items():
                    connections, seconds = shape(took.get(name, 0), options.connections, options.seconds, workers)
                    reached[name].append(closed_loop(url, bodies, connections, seconds))
        for name, turns in reached.items():
            errors = sum(turn["errors"] for turn in turns)
            self.wrong |= int(errors > 0)
            rates = [turn["requests_per_second"] for turn in turns]
            line = {"loop": "closed", "requests_per_second": median(rates), "errors": errors, "bytes": len(page)}
            self._lines.add(system=name, **size, **line)
        return {name: median(turn["requests_per_second"] for turn in turns) for name, turns in reached.items()}

    def _open(self, size: dict, name: str, file: Path, top: float) -> None:
        """Prints latencies at a quarter and at half of what the system takes."""
        for share in (0.25, 0.5):
            options = self._options
            seconds = options.seconds * (2 if options.quick else options.rounds)
            load = open_loop(options.data, self._urls[name] + ROUTE, file, top * share, options.connections, seconds)
            self.wrong |= int(load["errors"] > 0)
            # A server that takes few requests a second gets a whole number of them.
            self._lines.add(system=name, **size, loop="open", share_of_top=load["rate"] / top, **load)

    def _judge(self, size: dict, top: dict[str, float]) -> None:
        ours = top.get("lodestore")
        if ours is None:
            return
        peers = {name: rate for name, rate in top.items() if rate and name not in ("lodestore", STATIC)}
        if peers:
            best = max(peers, key=peers.__getitem__)
            ratio = ours / peers[best]
            self._lines.add(**size, bar=f"requests a second beside {best}", value=ratio, passed=ratio >= BAR_FEAST)
        ratio = ours / top[STATIC]
        self._lines.add(**size, bar=f"requests a second beside the {STATIC}", value=ratio, passed=ratio >= BAR_STATIC)


def parsed(answer: bytes) -> dict[str, list]:
    """Returns the columns of an answer. A value that is not there is null; what the status is called differs."""
    document = json.loads(answer)
    names = document["metadata"]["feature_names"]
    return {name: result["values"] for name, result in zip(names, document["results"], strict=True)}


if __name__ == "__main__":
    sys.exit(main())
