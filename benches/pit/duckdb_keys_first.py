"""DuckDB, keys first: the winners from keys and times alone, ties by created time, and their features afterwards.

`--winners asof` rids the rows of ties before an ASOF JOIN; `pairs` takes the greatest of all rows of a question's key.
"""

from __future__ import annotations

from duckdb_sql import fetch, in_time, questions, rows, visible, with_features
from measured import run


def training_set(case: dict, options: dict):
    """Returns the training set as an Arrow table."""
    form = {"asof": by_asof, "pairs": by_pairs}[options["winners"]]
    return fetch(with_features(case, form(case)))


def by_asof(case: dict) -> str:
    """Returns the query of the winners by ASOF JOIN."""
    columns, joins = [], []
    for n, view in enumerate(case["views"]):
        keys = ", ".join([*view["keys"], "event_timestamp"])
        source = f"SELECT {keys}, arg_max(place, created) AS place FROM {rows(view)} GROUP BY ALL"
        columns.append(f"CASE WHEN {in_time(case, f'v{n}')} THEN v{n}.place END AS place_{n}")
        joins.append(f"ASOF LEFT JOIN ({source}) v{n} ON {visible(view, f'v{n}')}")
    return f"SELECT q.*, {', '.join(columns)} FROM {questions(case)} q {' '.join(joins)}"


def by_pairs(case: dict) -> str:
    """Returns the query of the winners by a join with all that is visible."""
    columns, joins = [], []
    for n, view in enumerate(case["views"]):
        # One number orders twice as fast as a pair of times.
        rank = "epoch_us(v.event_timestamp)::HUGEINT * 4611686018427387904 + epoch_us(v.created)"
        source = f"""
            SELECT question, arg_max(place, {rank}) AS place FROM {questions(case)} q
            JOIN {rows(view)} v ON {visible(view, "v")} AND {in_time(case, "v")} GROUP BY question
        """
        columns.append(f"v{n}.place AS place_{n}")
        joins.append(f"LEFT JOIN ({source}) v{n} ON q.question = v{n}.question")
    return f"SELECT q.*, {', '.join(columns)} FROM {questions(case)} q {' '.join(joins)}"


run(training_set)
