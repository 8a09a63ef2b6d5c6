"""DuckDB: `duckdb_run.py FOLDER FORM [ANSWER]`.

`join` groups all pairs of questions and events of a key; `range` has window functions over both together.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb

from cases import WINDOWS, column
from shared import finish, read_case

OF_FUNCTION = {
    "count": "count(amount)",
    "sum": "sum(amount)",
    "mean": "avg(amount)",
    "min": "min(amount)",
    "max": "max(amount)",
    "stddev": "stddev_samp(amount)",
    "count_distinct": "count(DISTINCT merchant)",
    "approx_count_distinct": "approx_count_distinct(merchant)",
}


def join(folder: Path, case: dict) -> str:
    """Returns the query by a join."""
    longest = max(WINDOWS[window] for window in case["windows"])
    features = ", ".join(
        f"{OF_FUNCTION[function]} FILTER (e.event_timestamp > q.event_timestamp - INTERVAL {WINDOWS[window]} SECONDS)"
        f" AS {column(function, window)}"
        for window in case["windows"]
        for function in case["functions"]
    )
    return f"""
        SELECT q.question, {features} FROM '{folder}/questions.parquet' q LEFT JOIN '{folder}/events.parquet' e
        ON q.user_id = e.user_id AND e.event_timestamp <= q.event_timestamp
        AND e.event_timestamp > q.event_timestamp - INTERVAL {longest} SECONDS GROUP BY q.question
    """


def over_range(folder: Path, case: dict) -> str:
    """Returns the query by window functions."""
    features = ", ".join(
        f"{OF_FUNCTION[function]} OVER w{window} AS {column(function, window)}"
        for window in case["windows"]
        for function in case["functions"]
    )
    windows = ", ".join(
        f"w{window} AS (PARTITION BY user_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL"
        f" {WINDOWS[window] * 1_000_000 - 1} MICROSECONDS PRECEDING AND CURRENT ROW)"
        for window in case["windows"]
    )
    both = f"""
        SELECT user_id, event_timestamp, amount, merchant, NULL AS question FROM '{folder}/events.parquet'
        UNION ALL SELECT user_id, event_timestamp, NULL, NULL, question FROM '{folder}/questions.parquet'
    """
    return f"SELECT * FROM (SELECT question, {features} FROM ({both}) WINDOW {windows}) WHERE question IS NOT NULL"


folder, form = Path(sys.argv[1]), sys.argv[2]
case = read_case(folder)
start = time.perf_counter()
query = {"join": join, "range": over_range}[form](folder, case)
finish(duckdb.sql(query).to_arrow_table(), start)
