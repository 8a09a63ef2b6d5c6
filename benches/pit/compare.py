"""Compares an answer with the right one, `compare.py CASE_FOLDER ANSWER`, and prints the verdict as JSON.

Equal means the same rows with the same columns, and in each value the same bits. Only Lodestore promises the order of
the questions; answers are brought into it by their times, of which no two are alike.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TIME = "event_timestamp"


def verdict(expected: pa.Table, answer: pa.Table) -> dict:
    """Returns `equal`, the first `difference` or null, and whether the rows came `in_question_order`."""
    found = difference(expected, answer)
    ordered = found is None and bits(answer[TIME].cast(expected[TIME].type)).equals(bits(expected[TIME]))
    return {"equal": found is None, "difference": found, "in_question_order": ordered}


def difference(expected: pa.Table, answer: pa.Table) -> str | None:
    """Returns the first difference, for people."""
    if missing := set(expected.column_names) ^ set(answer.column_names):
        return f"columns {sorted(missing)} are in one of the two only"
    if len(answer) != len(expected):
        return f"{len(answer)} rows for {len(expected)} questions"
    try:
        answer = answer.select(expected.column_names).cast(expected.schema)
    except pa.ArrowException as error:
        return f"types: {error}"
    expected, answer = expected.sort_by(TIME), answer.sort_by(TIME)
    for name in expected.column_names:
        if not bits(answer[name]).equals(bits(expected[name])):
            return f"column {name} has other values"
    return None


def bits(column: pa.ChunkedArray) -> pa.Array:
    """Returns a column whose values are equal when their bits are: NaN is NaN, and -0.0 is not 0.0."""
    values = column.combine_chunks()
    if not pa.types.is_floating(values.type):
        return values
    return values.view(pa.int64())


if __name__ == "__main__":
    tables = [pq.read_table(file) for file in (Path(sys.argv[1], "expected.parquet"), Path(sys.argv[2]))]
    print(json.dumps(verdict(*tables)))
