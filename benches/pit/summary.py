"""From runs to figures: the line of a system, the line of a case, and a table of both."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from systems import LODESTORE, SYSTEMS, System
from table import table

if TYPE_CHECKING:
    from measure import Run

PASS_TIME = 2.0
PASS_MEMORY = 2.0
GOAL_TIME = 3.0
GOAL_FLOOR = 1.7
GOAL_FLOOR_SYSTEM = "floor_duckdb"


def system_line(case: dict, system: System, version: str, trial: dict, runs: list[Run]) -> dict:
    """Returns what is known of a system on a case. `trial` is the run that was checked; `runs` are the timed ones."""
    line = {
        "case": case["name"],
        "system": system.name,
        "version": version,
        "rows": case["rows"],
        "views": len(case["views"]),
        "questions": case["questions"],
        **trial,
    }
    failed = next((run for run in runs if run.status != "ok"), None)
    if failed is not None:
        return line | {"status": failed.status, "message": failed.message}
    if not runs:
        return line
    return line | {
        "median_seconds": round(median(run.seconds for run in runs), 3),
        "seconds": [round(run.seconds, 3) for run in runs],
        "query_seconds": round(median(run.query_seconds for run in runs), 3),
        "cpu_seconds": round(median(run.cpu_seconds for run in runs), 3),
        "peak_rss_mb": round(median(run.peak_rss_mb for run in runs), 1),
    }


def case_line(case: dict, lines: list[dict]) -> dict:
    """Returns how Lodestore compares with the best peer and with the floors. A ratio above 1 is in its favour.

    The best peer is the fastest whose answers were right; its memory is what ours is compared with. The leanest peer
    may be another one. A floor's ratio is the other way round: how many times as long as the floor Lodestore takes.
    """
    timed = {line["system"]: line for line in lines if "median_seconds" in line}
    peers = [line for name, line in timed.items() if name != LODESTORE and not SYSTEMS[name].is_floor]
    summary = {"case": case["name"], "summary": True}
    if peers:
        fastest = min(peers, key=lambda line: line["median_seconds"])
        leanest = min(peers, key=lambda line: line["peak_rss_mb"])
        summary |= {"best_peer": fastest["system"], "leanest_peer": leanest["system"]}
    if LODESTORE not in timed or not peers:
        return summary
    ours = timed[LODESTORE]
    floors = {name: line for name, line in timed.items() if SYSTEMS[name].is_floor}
    time_ratio = fastest["median_seconds"] / ours["median_seconds"]
    memory_ratio = fastest["peak_rss_mb"] / ours["peak_rss_mb"]
    floor_ratios = {name: ours["median_seconds"] / line["median_seconds"] for name, line in floors.items()}
    # The bars for several views speak of time alone.
    several = len(case["views"]) > 1
    floor_met = several or floor_ratios.get(GOAL_FLOOR_SYSTEM, float("inf")) <= GOAL_FLOOR
    return summary | {
        "time_ratio": round(time_ratio, 2),
        "memory_ratio": round(memory_ratio, 2),
        "memory_ratio_leanest": round(leanest["peak_rss_mb"] / ours["peak_rss_mb"], 2),
        "floor_ratios": {name: round(ratio, 2) for name, ratio in floor_ratios.items()},
        "pass": time_ratio >= PASS_TIME and (several or memory_ratio >= PASS_MEMORY),
        "goal": time_ratio >= GOAL_TIME and floor_met,
    }


def markdown(lines: list[dict]) -> str:
    """Returns the lines as two tables: the systems, and how Lodestore compares."""
    systems = [line for line in lines if "summary" not in line]
    cases = [line for line in lines if "time_ratio" in line]
    text = table(
        ("case", "system", "form", "median s", "query s", "CPU s", "peak MB", "answers"),
        [
            (
                line["case"],
                f"{line['system']} {line['version']}",
                line.get("form", ""),
                line.get("median_seconds", line["status"]),
                line.get("query_seconds", ""),
                line.get("cpu_seconds", ""),
                line.get("peak_rss_mb", ""),
                {True: "equal", False: "other", None: ""}[line.get("equal_answers")],
            )
            for line in systems
        ],
    )
    if not cases:
        return text
    floors = list(cases[0]["floor_ratios"])
    return f"{text}\n" + table(
        ("case", "best peer", "time", "memory", "leanest peer", "memory", *floors, "pass", "goal"),
        [
            (
                line["case"],
                line["best_peer"],
                f"{line['time_ratio']}x",
                f"{line['memory_ratio']}x",
                line["leanest_peer"],
                f"{line['memory_ratio_leanest']}x",
                *(f"{line['floor_ratios'].get(floor)}x" for floor in floors),
                "yes" if line["pass"] else "no",
                "yes" if line["goal"] else "no",
            )
            for line in cases
        ],
    )
