"""Measures windows of aggregates beside DuckDB and Polars: answers compared first, then whole processes in turn.

Prints a JSON line for each system of a case, and one for the case.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "pit"))

from cases import CASES, column  # noqa: E402
from environment import environment, install_wheel, version  # noqa: E402
from measure import Limits, Run, measure  # noqa: E402

SYSTEMS = {
    "lodestore": ("lodestore_run.py", "lodestore", ("",)),
    "duckdb": ("duckdb_run.py", "duckdb", ("join", "range")),
    "polars": ("polars_run.py", "polars", ("rolling", "join")),
}
BAR, GOAL, MEMORY_BAR = 3, 8, 2


def main() -> int:
    """Runs the cases, and returns the exit code: 1 if answers differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(CASES), help="names with commas; default: %(default)s")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="names with commas; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each system; default: %(default)s")
    parser.add_argument("--scale", type=int, default=1, help="divides all sizes, for a quick try; default: %(default)s")
    parser.add_argument("--wheel", type=Path, help="the wheel of Lodestore; default: the newest of dist/")
    folder = Path(tempfile.gettempdir()) / "lodestore-benches"
    parser.add_argument("--data", type=Path, default=folder, help="data and environments; default: %(default)s")
    memory = 0.75e-6 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    parser.add_argument("--peer-memory", type=float, default=memory, help="MB a run may take; default: %(default)s")
    options = parser.parse_args()
    python = environment(options.data, "peers")
    wheels = sorted((HERE.parents[1] / "dist").glob("lodestore-*.whl"), key=lambda wheel: wheel.stat().st_mtime)
    install_wheel(python, options.wheel or wheels[-1])
    wrong = False
    for name in options.cases.split(","):
        case = CASES[name]
        case |= {size: max(1, case[size] // options.scale) for size in ("events", "questions", "keys")}
        folder = options.data / f"windows-{options.scale}" / name
        if not (folder / "case.json").exists() or json.loads((folder / "case.json").read_text()) != case:
            say(f"{name}: data")
            subprocess.run([python, HERE / "generate.py", folder, json.dumps(case)], check=True)
        wrong |= run(python, folder, case, options)
    return int(wrong)


def run(python: Path, folder: Path, case: dict, options: argparse.Namespace) -> bool:
    """Measures the systems on a case; returns whether one has no form that answers as we do."""
    limits = Limits(seconds=600, rss_mb=options.peer_memory)
    names = options.systems.split(",")
    forms, wrong = {}, False
    for name in names:
        script, _, all_forms = SYSTEMS[name]
        trials = {}
        for form in all_forms:
            say(f"{case['name']}: trial, {name} {form}")
            answer = folder / f"answer-{name}-{form}.parquet"
            trial = measure([python, HERE / script, folder, *form.split(), answer], limits)
            if trial.status == "ok":
                difference = compare(python, folder, case, answer) if name != "lodestore" else ""
                say(f"  {trial.query_seconds:.2f} s {difference}")
                if difference:
                    print(json.dumps({"case": case["name"], "system": name, "form": form, "difference": difference}))
                else:
                    trials[form] = trial.query_seconds
            else:
                say(f"  {trial.status}: {trial.message}")
        if trials:
            forms[name] = min(trials, key=lambda form: trials[form])
        else:
            wrong = True
    runs: dict[str, list[Run]] = {name: [] for name in forms}
    for number in range(options.rounds):
        for name, form in forms.items():
            say(f"{case['name']}: round {number + 1}, {name}")
            runs[name].append(measure([python, HERE / SYSTEMS[name][0], folder, *form.split()], limits))
    lines = {}
    for name, measured in runs.items():
        lines[name] = {
            "case": case["name"],
            "system": name,
            "version": version(python, SYSTEMS[name][1]),
            "form": forms[name],
            "median_seconds": round(median(run.seconds for run in measured), 3),
            "cpu_seconds": round(median(run.cpu_seconds for run in measured), 3),
            "peak_rss_mb": round(median(run.peak_rss_mb for run in measured), 1),
        }
        print(json.dumps(lines[name]), flush=True)
    ours, peers = lines.pop("lodestore", None), lines.values()
    if ours and peers:
        best = min(peers, key=lambda line: line["median_seconds"])
        time_ratio = best["median_seconds"] / ours["median_seconds"]
        memory_ratio = best["peak_rss_mb"] / ours["peak_rss_mb"]
        summary = {"case": case["name"], "best_peer": best["system"], "time_ratio": round(time_ratio, 2)}
        summary |= {"memory_ratio": round(memory_ratio, 2), "answers_equal": not wrong}
        summary |= {"pass": time_ratio >= BAR and memory_ratio >= MEMORY_BAR, "goal": time_ratio >= GOAL}
        print(json.dumps(summary), flush=True)
    return wrong


def compare(python: Path, folder: Path, case: dict, answer: Path) -> str:
    """Returns how a peer's answer differs from ours; floats may differ by what their sums were rounded."""
    columns = [column(function, window) for window in case["windows"] for function in case["functions"]]
    command = [python, HERE / "compare.py", folder / "answer-lodestore-.parquet", answer, *columns]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def say(text: str) -> None:
    """Tells people how far it has come."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
