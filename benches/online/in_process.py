"""Reads features in process, Lodestore beside Feast. What it prints is explained in benches/README.md."""

from __future__ import annotations

import random
import sys
from contextlib import ExitStack
from statistics import median

from compare import difference
from environment import environment, lodestore, say, stored, version
from layouts import Layout
from options import Lines, numbers, parser
from systems import SYSTEMS, System, Worker, WorkerError, fill, redis_server

KEYS = 10_000
SEED = 7
BAR = 100.0
"""How many times as fast as Feast every size must be."""
BAR_MICROSECONDS = 10.0
"""How long one entity with ten features of one view may take."""
BAR_P99 = 0.2
"""By how much p99 of 25 views may differ from that of one."""
ALL_FEATURES = 250


def main() -> int:
    """Runs all sizes, and returns the exit code: 1 if an answer was not Feast's."""
    options = arguments()
    bench = Bench(options)
    for views in options.views:
        bench.run_layout(views)
    bench.judge()
    if options.markdown:
        print(bench.lines.markdown())
    return bench.wrong


def arguments():
    """Returns the command line's options."""
    made = parser("Reads features in process, Lodestore beside Feast.")
    made.add_argument("--views", type=numbers, default=[1, 3, 25], help="numbers of views; default: 1,3,25")
    made.add_argument("--entities", type=numbers, default=[1, 10, 100, 1000], help="default: 1,10,100,1000")
    made.add_argument("--features", type=numbers, default=[10, 50, 150, 250], help="default: 10,50,150,250")
    made.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS), help="default: all")
    made.add_argument("--rounds", type=int, default=5, help="turns of each system; default: %(default)s")
    made.add_argument("--calls", type=int, default=20_000, help="most calls in a turn; default: %(default)s")
    made.add_argument("--seconds", type=float, default=1.0, help="the length of a turn; default: %(default)s")
    options = made.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.scale = 1, 0.2, max(options.scale, 10)
    return options


class Bench:
    """Environments are made once; each layout is then filled, compared and timed."""

    def __init__(self, options) -> None:
        self.lines = Lines("in_process")
        self.wrong = 0
        self._options = options
        self._systems = [SYSTEMS[name] for name in options.systems]
        packages = {system.package for system in self._systems}
        self._pythons = {"lodestore": lodestore(options.data, options.wheel)}
        if "feast" in packages:
            self._pythons["feast"] = environment(options.data, "feast")
        self._versions = {name: version(self._pythons[name], name) for name in packages}
        self._times: dict[tuple, dict] = {}

    def run_layout(self, views: int) -> None:
        """Runs all sizes of one number of views."""
        # 250 features among three views: 84 each, of which two are never asked for.
        layout = Layout(f"v{views}", views, -(-ALL_FEATURES // views), max(1, KEYS // self._options.scale))
        folder = stored(self._options.data, self._pythons["lodestore"], layout)
        with ExitStack() as stack:
            address = stack.enter_context(redis_server(any("redis" in system.name for system in self._systems)))
            workers = {}
            for system in self._systems:
                python = self._pythons[system.package]
                repository, _ = fill(python, folder, system, address, self._options.features)
                worker = Worker(python, system, repository)
                stack.callback(worker.end)
                workers[system] = worker
            for count in self._options.features:
                for entities in self._options.entities:
                    self._run_size(layout, workers, count, entities)

    def _run_size(self, layout: Layout, workers: dict[System, Worker], count: int, entities: int) -> None:
        say(f"{layout.name}: {entities} x {count}")
        seeded = random.Random(f"{SEED} {layout.name} {count} {entities}")
        # Some keys are missing: a fiftieth of those that are asked for.
        keys = [[seeded.randrange(layout.keys + layout.keys // 50) for _ in range(entities)] for _ in range(50)]
        features = layout.references(count)
        asked = {system: f"features_{count}" if system.is_precomputed else features for system in workers}
        if any(system.is_precomputed for system in workers):
            # A precomputed service has no answer for keys that are missing.
            keys = [[key % layout.keys for key in some] for some in keys]
        differences: dict[System, str | None] = {}
        reference = None
        for system, worker in workers.items():
            try:
                answer = worker.run("answer", features=asked[system], keys=keys[0])
            except WorkerError as error:
                differences[system] = str(error)
                continue
            reference = reference or answer
            differences[system] = difference(reference, answer)
        took: dict[System, list[list[float]]] = {system: [] for system in workers}
        for _ in range(self._options.rounds):
            for system, worker in workers.items():
                if differences[system] is None:
                    job = {"features": asked[system], "keys": keys, "calls": self._options.calls}
                    took[system].append(worker.run("measure", **job, seconds=self._options.seconds)["microseconds"])
        for system in workers:
            self._report(layout, system, count, entities, differences[system], took[system])

    def _report(self, layout, system, count, entities, wrong, turns) -> None:
        line = {"system": system.name, "version": self._versions[system.package], "views": layout.views}
        line |= {"entities": entities, "features": count}
        if wrong is not None:
            self.wrong = 1
            self.lines.add(**line, status="other answers", message=wrong)
            return
        line |= {
            "p50_us": median(percentile(turn, 50) for turn in turns),
            "p99_us": median(percentile(turn, 99) for turn in turns),
            "calls": sum(map(len, turns)),
        }
        ours = self._times.get((layout.views, entities, count, "lodestore"))
        ratio = line["p50_us"] / ours["p50_us"] if ours and system.name != "lodestore" else None
        self._times[layout.views, entities, count, system.name] = line
        self.lines.add(**line, status="ok", times_lodestore=ratio)

    def judge(self) -> None:
        """Prints what the bars say."""
        ours = {key[:3]: line for key, line in self._times.items() if key[3] == "lodestore"}
        ratios = {
            key: line["p50_us"] / ours[key[:3]]["p50_us"]
            for key, line in self._times.items()
            if key[3] != "lodestore" and key[:3] in ours
        }
        if ratios:
            (views, entities, count, system), ratio = min(ratios.items(), key=lambda item: item[1])
            where = f"{views} views, {entities} x {count}, {system}"
            self.lines.add(bar="times as fast as Feast, at the least", value=ratio, where=where, passed=ratio >= BAR)
        if small := ours.get((1, 1, 10)):
            took = small["p50_us"]
            self.lines.add(bar="microseconds for 1 x 10", value=took, where="1 view", passed=took <= BAR_MICROSECONDS)
        for entities in self._options.entities:
            one, many = ours.get((1, entities, ALL_FEATURES)), ours.get((25, entities, ALL_FEATURES))
            if one and many:
                change = many["p99_us"] / one["p99_us"] - 1
                passed = abs(change) < BAR_P99
                where = f"{entities} x {ALL_FEATURES}"
                self.lines.add(bar="p99 of 25 views beside one", value=change, where=where, passed=passed)


def percentile(values: list[float], percent: float) -> float:
    """Returns a percentile of some values: one of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


if __name__ == "__main__":
    sys.exit(main())
