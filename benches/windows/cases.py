"""The cases, and what each system computes. Values only; `generate.py` makes the files."""

from __future__ import annotations

WINDOWS = {"1h": 3_600, "1d": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000, "365d": 31_536_000}
"""The windows, in seconds: exact ones, (e - w, e], which every system can compute."""

FUNCTIONS = ("count", "sum", "mean", "min", "max", "stddev")
"""What is computed of `amount` in each window. `stddev` is that of a sample."""

DISTINCT_WINDOWS = ("1d", "7d", "30d", "365d")


def case(
    name: str, events: int, questions: int, skew: str = "uniform", distinct: str = "", slow_systems: bool = False
) -> dict:
    """Returns a case as JSON values. `distinct` is what is computed, of `merchant`, instead of all else."""
    return {
        "name": name,
        "events": events,
        "questions": questions,
        "keys": max(1, events // 100),
        "skew": skew,
        "windows": list(DISTINCT_WINDOWS if distinct else WINDOWS),
        "functions": [distinct] if distinct else list(FUNCTIONS),
        "slow_systems": slow_systems,
    }


CASES = {
    one["name"]: one
    for one in (
        case("uniform_200k", 10_000_000, 200_000),
        case("uniform_1m", 10_000_000, 1_000_000),
        case("zipf_1m", 10_000_000, 1_000_000, "zipf"),
        case("distinct_1m", 10_000_000, 1_000_000, distinct="count_distinct"),
        case("approx_distinct_1m", 10_000_000, 1_000_000, distinct="approx_count_distinct"),
        case("small", 200_000, 20_000, slow_systems=True),
    )
}


def column(function: str, window: str) -> str:
    """Returns what a feature is called."""
    return f"{function}_{window}"
