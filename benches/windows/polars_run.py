"""Polars: `polars_run.py FOLDER FORM [ANSWER]`.

`rolling` rolls over questions and events together, window by window; `join` groups all pairs of questions and events
of a key.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path

import polars as pl

from cases import WINDOWS, column
from shared import finish, read_case

TIME = "event_timestamp"


def of(function: str, amount: pl.Expr, merchant: pl.Expr) -> pl.Expr:
    """Returns a function of columns."""
    if function == "count_distinct":
        return merchant.drop_nulls().n_unique()
    if function == "approx_count_distinct":
        return merchant.drop_nulls().approx_n_unique()
    return {"stddev": lambda: amount.std(ddof=1)}.get(function, lambda: getattr(amount, function)())()


def rolling(folder: Path, case: dict) -> pl.DataFrame:
    """Returns the answer, a window at a time."""
    questions = pl.read_parquet(folder / "questions.parquet")
    events = pl.scan_parquet(folder / "events.parquet")
    events = events.join(questions.lazy(), on="user_id", how="semi").collect(engine="streaming")
    both = pl.concat([events, questions], how="diagonal").sort("user_id", TIME)
    answer = questions.select("question")
    for window in case["windows"]:
        period = timedelta(seconds=WINDOWS[window])
        features = [
            of(function, pl.col("amount"), pl.col("merchant")).alias(column(function, window))
            for function in case["functions"]
        ]
        rolled = both.rolling(TIME, period=period, closed="right", group_by="user_id").agg(
            pl.col("question").last(), *features
        )
        # Rows come back in the order they had.
        rolled = rolled.with_columns(question=both["question"]).filter(pl.col("question").is_not_null())
        answer = answer.join(rolled.drop("user_id", TIME), on="question")
    return answer


def join(folder: Path, case: dict) -> pl.DataFrame:
    """Returns the answer from all pairs."""
    questions = pl.scan_parquet(folder / "questions.parquet")
    events = pl.scan_parquet(folder / "events.parquet").rename({TIME: "t"})
    longest = timedelta(seconds=max(WINDOWS[window] for window in case["windows"]))
    pairs = questions.join(events, on="user_id").filter(
        (pl.col("t") <= pl.col(TIME)) & (pl.col("t") > pl.col(TIME) - longest)
    )
    features = []
    for window in case["windows"]:
        within = pl.col("t") > pl.col(TIME) - timedelta(seconds=WINDOWS[window])
        amount, merchant = pl.col("amount").filter(within), pl.col("merchant").filter(within)
        features += [of(function, amount, merchant).alias(column(function, window)) for function in case["functions"]]
    found = pairs.group_by("question").agg(features)
    return questions.select("question").join(found, on="question", how="left").collect(engine="streaming")


folder, form = Path(sys.argv[1]), sys.argv[2]
case = read_case(folder)
start = time.perf_counter()
finish({"rolling": rolling, "join": join}[form](folder, case).to_arrow(), start)
