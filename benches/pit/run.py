"""Measures the point-in-time join of Lodestore and its peers. What it prints is explained in benches/README.md."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from cases import CASES, Case
from environment import HERE, environment, install_wheel, newest_wheel, version
from measure import Limits, Run, end_in_order, measure
from options import parser
from summary import case_line, markdown, system_line
from systems import LODESTORE, SYSTEMS, System

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def main() -> int:
    """Runs the cases that were asked for, and returns the exit code: 1 if Lodestore answered wrongly or not at all."""
    end_in_order()
    options = arguments()
    if options.list:
        print("\n".join(f"{case.name:20}{case.about}" for case in CASES.values()))
        return 0
    systems = [SYSTEMS[name] for name in options.systems]
    bench = Bench(options, systems)
    lines = []
    for name in options.cases:
        for line in bench.run(CASES[name].scaled(options.scale)):
            print(json.dumps(line), flush=True)
            lines.append(line)
    if options.markdown:
        print(markdown(lines))
    return int(any(line.get("system") == LODESTORE and line["status"] != "ok" for line in lines))


def arguments() -> argparse.Namespace:
    """Returns the command line's options."""
    made = parser("Measures the point-in-time join of Lodestore and its peers.", CASES, SYSTEMS, peer_timeout=300)
    made.add_argument("--list", action="store_true", help="print the cases, and run none")
    return made.parse_args()


class Bench:
    """The environments are made once; each case is then set up, checked and timed."""

    def __init__(self, options: argparse.Namespace, systems: list[System]) -> None:
        self._options = options
        self._systems = systems
        self._limits = Limits(options.peer_timeout, options.peer_memory * 1000)
        data = options.data.absolute()
        self._folder = data / f"scale-{options.scale}"
        wheel = (options.wheel or newest_wheel()) if LODESTORE in options.systems else None
        used = {"peers"} | {system.environment for system in systems}
        self._pythons = {name: environment(data, name) for name in sorted(used)}
        if wheel is not None:
            install_wheel(self._pythons["peers"], wheel)
        self._versions = {one.name: version(self._pythons[one.environment], one.package) for one in systems}

    def run(self, case: Case) -> list[dict]:
        """Returns a line for each system, and one for the case."""
        document = case.document()
        folder = self._folder / case.name
        self._set_up(folder, document)
        trials = {system.name: self._trial(folder, system) for system in self._systems}
        runs: dict[str, list[Run]] = {system.name: [] for system in self._systems}
        for number in range(self._options.rounds):
            for system in self._systems:
                trial = trials[system.name]
                if trial["status"] == "ok" and all(run.status == "ok" for run in runs[system.name]):
                    say(f"{case.name}: round {number + 1}, {system.name}")
                    runs[system.name].append(self._measure(folder, system, trial["form"]))
        lines = [
            system_line(document, one, self._versions[one.name], trials[one.name], runs[one.name])
            for one in self._systems
        ]
        return [*lines, case_line(document, lines)]

    def _set_up(self, folder: Path, document: dict) -> None:
        description = folder / "case.json"
        if not description.exists() or json.loads(description.read_text()) != json.loads(json.dumps(document)):
            say(f"{document['name']}: data")
            shutil.rmtree(folder, ignore_errors=True)
            self._script("generate.py", folder, json.dumps(document))
        if not (folder / "expected.parquet").exists():
            self._script("oracle.py", folder, folder / "expected.parquet")
        for package, name in (("lodestore", "peers"), ("feast", "feast")):
            if any(system.package == package for system in self._systems):
                for repository in folder.glob(f"{package}*/"):
                    shutil.rmtree(repository)
                self._script("apply.py", folder, package, environment=name)

    def _trial(self, folder: Path, system: System) -> dict:
        """Runs each form of a system once, checks what it answers, and returns how the fastest right one fared."""
        trials = []
        for form in system.forms:
            say(f"{folder.name}: trial, {system.name} {form}")
            answer = folder / "answer.parquet"
            run = self._measure(folder, system, form, *([] if system.is_floor else ["--answer", answer]))
            trial = {"form": form, "status": run.status, "message": run.message}
            if run.status == "ok":
                trial["query_seconds"] = round(run.query_seconds, 3)
            if run.status == "ok" and not system.is_floor:
                verdict = json.loads(self._script("compare.py", folder, answer))
                trial["equal_answers"] = verdict["equal"]
                trial["in_question_order"] = verdict["in_question_order"]
                if not verdict["equal"]:
                    trial |= {"status": "other answers", "message": verdict["difference"]}
            answer.unlink(missing_ok=True)
            trials.append(trial)
        right = [trial for trial in trials if trial["status"] == "ok"]
        return min(right, key=lambda trial: trial["query_seconds"]) if right else trials[0]

    def _measure(self, folder: Path, system: System, form: str, *more: str | Path) -> Run:
        python = self._pythons[system.environment]
        return measure([python, HERE / system.script, folder, *form.split(), *more], self._limits)

    def _script(self, script: str, *rest: str | Path, environment: str = "peers") -> str:
        command = [self._pythons[environment], HERE / script, *rest]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def say(text: str) -> None:
    """Tells people how far it has come."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
