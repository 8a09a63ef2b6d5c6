"""pandas: `pandas_run.py FOLDER FORM [ANSWER]`.

`rolling` rolls over questions and events together, window by window; `join` groups all pairs of questions and events
of a key.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cases import WINDOWS, column
from shared import finish, read_case

KEY, TIME = "user_id", "event_timestamp"
OF_FUNCTION = {"stddev": "std"}


def rolling(events: pd.DataFrame, questions: pd.DataFrame, case: dict) -> pd.DataFrame:
    """Returns the answer, a window at a time."""
    # The questions come last of those of a time, so that their windows have its events.
    both = pd.concat([events, questions]).sort_values([KEY, TIME], kind="stable", ignore_index=True)
    asked, functions = both["question"].notna(), [OF_FUNCTION.get(name, name) for name in case["functions"]]
    answer = [both.loc[asked, "question"].astype("int64")]
    for window in case["windows"]:
        amounts = both.groupby(KEY, sort=False).rolling(f"{WINDOWS[window]}s", on=TIME, min_periods=0)["amount"]
        rolled = amounts.agg(functions).reset_index(drop=True)[asked]
        answer.append(rolled.set_axis([column(name, window) for name in case["functions"]], axis="columns"))
    return pd.concat(answer, axis="columns")


def join(events: pd.DataFrame, questions: pd.DataFrame, case: dict) -> pd.DataFrame:
    """Returns the answer from all pairs."""
    pairs = questions.merge(events, on=KEY, suffixes=("", "_of_event"))
    age = pairs[TIME] - pairs[f"{TIME}_of_event"]
    answer = questions[["question"]]
    for window in case["windows"]:
        within = pairs[(age >= pd.Timedelta(0)) & (age < pd.Timedelta(WINDOWS[window], "s"))]
        functions = {column(name, window): OF_FUNCTION.get(name, name) for name in case["functions"]}
        answer = answer.merge(within.groupby("question")["amount"].agg(**functions), on="question", how="left")
    return answer


folder, form = Path(sys.argv[1]), sys.argv[2]
case = read_case(folder)
start = time.perf_counter()
tables = (pd.read_parquet(folder / f"{name}.parquet") for name in ("events", "questions"))
found = {"rolling": rolling, "join": join}[form](*tables, case)
finish(pa.Table.from_pandas(found, preserve_index=False), start)
