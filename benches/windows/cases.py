"""The cases, and what each system computes. Values only; `generate.py` makes the files."""

from __future__ import annotations

WINDOWS = {"1h": 3_600, "1d": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000, "365d": 31_536_000}
"""The windows, in seconds: exact ones, (e - w, e], which every system can compute."""

FUNCTIONS = ("count", "sum", "mean", "min", "max", "stddev")
"""What is computed of `amount` in each window. `stddev` is that of a sample."""


def case(name: str, questions: int, skew: str, *, distinct: bool = False, events: int = 10_000_000) -> dict:
    """Returns a case as JSON values."""
    windows, functions = list(WINDOWS), list(FUNCTIONS)
    if distinct:
        windows, functions = ["1d", "7d", "30d"], ["count_distinct"]
    return {
        "name": name,
        "events": events,
        "questions": questions,
        "keys": max(1, events // 100),
        "skew": skew,
        "windows": windows,
        "functions": functions,
    }


CASES = {
    one["name"]: one
    for one in (
        case("uniform_200k", 200_000, "uniform"),
        case("uniform_1m", 1_000_000, "uniform"),
        case("zipf_200k", 200_000, "zipf"),
        case("distinct", 20_000, "uniform", distinct=True, events=1_000_000),
    )
}


def column(function: str, window: str) -> str:
    """Returns what a feature is called."""
    return f"{function}_{window}"
