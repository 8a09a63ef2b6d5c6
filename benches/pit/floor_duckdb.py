"""The floor, by DuckDB: every value that the answer depends on is decoded once, and nothing is joined."""

from __future__ import annotations

from duckdb_sql import fetch
from measured import run

FOLDS = {"bool": "count_if({})", "string": "sum(strlen({}))", "float64": "sum({})"}
"""The cheapest aggregate of each type that no statistics can answer; of all others it is `bit_xor`."""


def decode(case: dict, _options: dict):
    """Reads the questions and all views; returns one value for each column of the last."""
    questions = {key: case["key_type"] for view in case["views"] for key in view["keys"]}
    times = {"event_timestamp": "timestamp"}
    answer = fetch(folded(case["questions_file"], questions | times | {"label": "int64"}))
    for view in case["views"]:
        keys = dict.fromkeys(view["keys"], case["key_type"])
        columns = keys | times | {"created": "timestamp"} | view["features"]
        answer = fetch(folded(view["file"], columns))
    return answer


def folded(file: str, columns: dict[str, str]) -> str:
    """Returns the query that folds every column of a file."""
    folds = []
    for name, kind in columns.items():
        value = f"epoch_us({name})" if kind == "timestamp" else name
        folds.append(FOLDS.get(kind, "bit_xor({})").format(value) + f" AS {name}")
    return f"SELECT {', '.join(folds)} FROM read_parquet('{file}')"


run(decode)
