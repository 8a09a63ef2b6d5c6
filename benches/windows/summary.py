"""From runs to figures: the line of a system, the line of a case, and a table of both."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from table import table

if TYPE_CHECKING:
    from measure import Run

LODESTORE = "lodestore"
BAR, GOAL, MEMORY_BAR = 3, 8, 2
REACHED = {True: "reached", False: "missed", None: "unknown"}


def system_line(case: dict, name: str, version: str, trials: list[dict], runs: list[Run]) -> dict:
    """Returns what is known of a system on a case: `trials` of its forms, the best first, and `runs` of that one."""
    best, *others = trials
    line = {"case": case["name"], "system": name, "version": version, **best, "others": others}
    if failed := next((run for run in runs if run.status != "ok"), None):
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


def case_line(case: dict, lines: list[dict], limit: float) -> dict:
    """Returns how Lodestore compares with the fastest peer, or with the limit that all peers took longer than."""
    timed = {line["system"]: line for line in lines if "median_seconds" in line}
    ours = timed.pop(LODESTORE, None)
    late = [line["system"] for line in lines if line["system"] != LODESTORE and is_late(line)]
    summary = {"case": case["name"], "summary": True}
    if ours is None or not (timed or late):
        return summary
    if not timed:
        ratio = limit / ours["median_seconds"]
        summary |= {"best_peer": late[0], "time_ratio": round(ratio, 2), "at_least": True, "memory_ratio": None}
        # It may be far more.
        return summary | {"pass": ratio >= BAR or None, "goal": ratio >= GOAL or None}
    best = min(timed.values(), key=lambda line: line["median_seconds"])
    ratio, memory_ratio = (best[what] / ours[what] for what in ("median_seconds", "peak_rss_mb"))
    summary |= {"best_peer": best["system"], "time_ratio": round(ratio, 2), "at_least": False}
    summary |= {"memory_ratio": round(memory_ratio, 2)}
    return summary | {"pass": ratio >= BAR and memory_ratio >= MEMORY_BAR, "goal": ratio >= GOAL}


def is_late(line: dict) -> bool:
    """Returns whether all forms of a system take longer than the limit: none was right sooner, and none failed."""
    return line["status"] == "timeout" and all(form["status"] in ("ok", "timeout") for form in line["others"])


def markdown(lines: list[dict]) -> str:
    """Returns the lines as two tables: the systems, and how Lodestore compares."""
    systems = table(
        ("case", "system", "form", "median s", "query s", "CPU s", "peak MB", "answers", "other forms"),
        [
            (
                line["case"],
                f"{line['system']} {line['version']}",
                line["form"],
                line.get("median_seconds", line["message"]),
                line.get("query_seconds", ""),
                line.get("cpu_seconds", ""),
                line.get("peak_rss_mb", ""),
                answers(line),
                "; ".join(f"{one['form']}: {outcome(one)}" for one in line["others"]),
            )
            for line in lines
            if "summary" not in line
        ],
    )
    ratios = table(
        ("case", "best peer", "time", "memory", "bar", "goal"),
        [
            (
                line["case"],
                line["best_peer"],
                f"{'more than ' * line['at_least']}{line['time_ratio']}x",
                f"{line['memory_ratio']}x" if line["memory_ratio"] else "",
                REACHED[line["pass"]],
                REACHED[line["goal"]],
            )
            for line in lines
            if "time_ratio" in line
        ],
    )
    return f"{systems}\n{ratios}"


def outcome(form: dict) -> str:
    """Returns how a form fared that was not timed."""
    return f"{form['query_seconds']} s, {answers(form)}" if "query_seconds" in form else answers(form)


def answers(line: dict) -> str:
    """Returns in a word what a form answered."""
    if line["status"] != "ok":
        return line["status"]
    return {True: "equal", False: "inexact", None: ""}[line.get("exact")]
