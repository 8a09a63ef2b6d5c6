"""Measures windows of aggregates beside DuckDB, Polars and pandas: answers compared, then whole processes in turn.

What it prints is explained in benches/README.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "pit"))

from cases import CASES, column  # noqa: E402
from environment import environment, install_wheel, newest_wheel, version  # noqa: E402
from measure import Limits, Run, end_in_order, measure  # noqa: E402
from options import parser  # noqa: E402
from summary import LODESTORE, case_line, markdown, system_line  # noqa: E402

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class System:
    """A package, with the forms of the query of which the fastest counts. Its script is `NAME_run.py`."""

    name: str
    forms: tuple[str, ...]
    is_slow: bool = False
    """Whether it is asked in small cases only."""


SYSTEMS = {
    system.name: system
    for system in (
        # Ours is asked first: the others are compared with it.
        System(LODESTORE, ("",)),
        System("duckdb", ("join", "range")),
        System("polars", ("rolling", "join")),
        System("pandas", ("rolling", "join"), is_slow=True),
    )
}


def main() -> int:
    """Runs the cases, and returns the exit code: 1 if Lodestore did not answer, or a peer answered otherwise."""
    end_in_order()
    options = parser(__doc__.splitlines()[0], CASES, SYSTEMS, peer_timeout=600).parse_args()
    python = environment(options.data, "peers")
    install_wheel(python, options.wheel or newest_wheel())
    lines = []
    for name in options.cases:
        case = CASES[name]
        case |= {size: max(1, case[size] // options.scale) for size in ("events", "questions", "keys")}
        for line in Case(python, case, options).lines():
            print(json.dumps(line), flush=True)
            lines.append(line)
    if options.markdown:
        print(markdown(lines))
    return int(any(is_wrong(line) for line in lines if "summary" not in line))


def is_wrong(line: dict) -> bool:
    """Returns whether a system shows that Lodestore answers wrongly, or not at all. Peers may take too long."""
    differs = any(form["status"] == "other answers" for form in (line, *line["others"]))
    return differs or (line["system"] == LODESTORE and line["status"] != "ok")


class Case:
    """A case: its files, the answers of each form, and the timed runs."""

    def __init__(self, python: Path, case: dict, options: argparse.Namespace) -> None:
        self._python = python
        self._case = case
        self._options = options
        self._limits = Limits(options.peer_timeout, options.peer_memory * 1000)
        self._folder = options.data.absolute() / f"windows-{options.scale}" / case["name"]
        self._systems = [SYSTEMS[name] for name in SYSTEMS if name in options.systems]
        if not case["slow_systems"]:
            self._systems = [system for system in self._systems if not system.is_slow]

    def lines(self) -> list[dict]:
        """Returns a line for each system, and one for the case."""
        self._set_up()
        trials = {system.name: self._trials(system) for system in self._systems}
        self._answer(LODESTORE).unlink(missing_ok=True)
        runs: dict[str, list[Run]] = {system.name: [] for system in self._systems}
        for number in range(self._options.rounds):
            for name, (trial, *_) in trials.items():
                if trial["status"] == "ok" and all(run.status == "ok" for run in runs[name]):
                    say(f"{self._case['name']}: round {number + 1}, {name}")
                    runs[name].append(self._measure(name, trial["form"]))
        lines = [
            system_line(self._case, name, version(self._python, name), trials[name], runs[name]) for name in trials
        ]
        return [*lines, case_line(self._case, lines, self._limits.seconds)]

    def _set_up(self) -> None:
        description = self._folder / "case.json"
        if not description.exists() or json.loads(description.read_text()) != self._case:
            say(f"{self._case['name']}: data")
            shutil.rmtree(self._folder, ignore_errors=True)
            subprocess.run([self._python, HERE / "generate.py", self._folder, json.dumps(self._case)], check=True)
        # Another wheel may define or store it otherwise.
        shutil.rmtree(self._folder / "lodestore", ignore_errors=True)

    def _trials(self, system: System) -> list[dict]:
        """Runs each form of a system once, and returns how they fared: the fastest right one first."""
        trials = []
        for form in system.forms:
            say(f"{self._case['name']}: trial, {system.name} {form}")
            answer = self._answer(system.name)
            run = self._measure(system.name, form, answer)
            trial = {"form": form, "status": run.status, "message": run.message}
            if run.status == "ok":
                trial["query_seconds"] = round(run.query_seconds, 3)
            if run.status == "ok" and system.name != LODESTORE:
                trial |= self._compare(answer)
                answer.unlink()
            say(f"  {trial}")
            trials.append(trial)
        return sorted(trials, key=lambda trial: (trial["status"] != "ok", trial.get("query_seconds", 0)))

    def _compare(self, answer: Path) -> dict:
        """Returns whether an answer is like ours; nothing is known where there is none of ours."""
        ours = self._answer(LODESTORE)
        if not ours.exists():
            return {}
        columns = [column(function, window) for window in self._case["windows"] for function in self._case["functions"]]
        command = [self._python, HERE / "compare.py", ours, answer, *columns]
        verdict = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        if verdict["equal"]:
            return {"exact": verdict["exact"]}
        return {"status": "other answers", "message": verdict["difference"]}

    def _answer(self, name: str) -> Path:
        return self._folder / f"answer-{name}.parquet"

    def _measure(self, name: str, form: str, *answer: Path) -> Run:
        return measure([self._python, HERE / f"{name}_run.py", self._folder, *form.split(), *answer], self._limits)


def say(text: str) -> None:
    """Tells people how far it has come."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
