"""DuckDB's ASOF JOIN. Of rows that tie it takes any, so it answers as we do only where none tie.

`--features early` carries them through the join, `late` fetches those of the winners afterwards;
`--keys asked` drops the rows of other keys first.
"""

from __future__ import annotations

from duckdb_sql import fetch, in_time, questions, rows, visible, with_features
from measured import run


def training_set(case: dict, options: dict):
    """Returns the training set as an Arrow table."""
    late = options["features"] == "late"
    columns, joins = [], []
    for n, view in enumerate(case["views"]):
        wanted = ["place"] if late else list(view["features"])
        shown = [f"place AS place_{n}"] if late else wanted
        columns += [kept(case, f"v{n}", column) for column in shown]
        source = f"SELECT {', '.join([*view['keys'], 'event_timestamp', *wanted])} FROM {rows(view)}"
        if options["keys"] == "asked":
            source += f" SEMI JOIN {questions(case)} USING ({', '.join(view['keys'])})"
        joins.append(f"ASOF LEFT JOIN ({source}) v{n} ON {visible(view, f'v{n}')}")
    joined = f"FROM {questions(case)} q {' '.join(joins)}"
    if late:
        return fetch(with_features(case, f"SELECT q.*, {', '.join(columns)} {joined}"))
    return fetch(f"SELECT q.* EXCLUDE (question), {', '.join(columns)} {joined}")


def kept(case: dict, alias: str, column: str) -> str:
    """Returns a column of a joined row, or null where the TTL is over."""
    name, _, shown = column.partition(" AS ")
    if case["ttl_seconds"] is None:
        return f"{alias}.{column}"
    return f"CASE WHEN {in_time(case, alias)} THEN {alias}.{name} END AS {shown or name}"


run(training_set)
