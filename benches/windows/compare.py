"""Compares two answers: `compare.py OURS THEIRS COLUMN...`. Prints as JSON whether they are equal, and how exactly.

Counts and extremes must be equal. Sums of floats are rounded: what differs by more than a billionth of what was added
up for the value is not `exact`, and by more than a billionth of the most that was added up in a window of that length,
it is another answer. So a sum may go on from window to window, by adding what comes and subtracting what goes.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pyarrow.parquet as pq

ROUNDED = 1e-9
APPROXIMATE = 0.03
"""By how much approximate distinct counts may differ, in root mean square. 1.6 % is the documented error of ours; that
of DuckDB's is 2.3 % where there are many."""


def main() -> None:
    """Prints the verdict, with the first value that differs."""
    ours, theirs = (pq.read_table(file).sort_by("question") for file in sys.argv[1:3])
    verdict = {"equal": True, "exact": True, "difference": ""}
    if ours["question"] != theirs["question"]:
        verdict = {"equal": False, "exact": False, "difference": "other questions"}
    for name in sys.argv[3:] if verdict["equal"] else ():
        a, b = values(ours, name), values(theirs, name)
        error, size = error_and_size(name, a, b, ours)
        # Not the other way round: nothing is less than NaN.
        differ = ~(error <= ROUNDED * np.nanmax(size, initial=0))
        if differ.any():
            place = int(np.argmax(differ))
            said = f"{name}: question {place}: {a[place]} is not {b[place]}; {differ.sum()} of {len(a)} differ"
            verdict = {"equal": False, "exact": False, "difference": said}
            break
        verdict["exact"] &= bool((error <= ROUNDED * np.nan_to_num(size)).all())
    print(json.dumps(verdict))


def values(table, name: str) -> np.ndarray:
    """Returns a column as floats, nulls as NaN. No events: a system's count or sum may be null, and counts as zero."""
    found = table[name].to_numpy(zero_copy_only=False).astype(float)
    return np.nan_to_num(found) if name.startswith(("count", "sum", "approx")) else found


def error_and_size(name: str, a: np.ndarray, b: np.ndarray, ours) -> tuple[np.ndarray, np.ndarray]:
    """Returns by how much what was added up differs, and how much it was. All amounts are positive."""
    function, window = name.rsplit("_", 1)
    if function == "approx_count_distinct":
        relative = np.sqrt(np.mean(((a - b) / np.maximum(a, 1)) ** 2))
        return np.where(relative <= APPROXIMATE, 0, np.abs(a - b)), np.zeros(len(a))
    error, size = np.abs(a - b), np.zeros(len(a))
    if function == "sum":
        size = a
    elif function == "mean":
        error, size = error * values(ours, f"count_{window}"), values(ours, f"sum_{window}")
    elif function == "stddev":
        count, mean = values(ours, f"count_{window}"), values(ours, f"mean_{window}")
        error, size = np.abs(a**2 - b**2) * (count - 1), a**2 * (count - 1) + mean**2 * count
    return np.where(np.isnan(a) & np.isnan(b), 0, error), size


main()
