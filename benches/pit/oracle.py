"""Computes the right answer of a case from its definition, by one binary search for each question."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from measured import read_case

TIME_BITS = 43
"""The bits of the microseconds in 90 days."""


def answer(case: dict) -> pa.Table:
    """Returns the questions in their order, with the features of all views after them."""
    table = pq.read_table(case["questions_file"])
    for view in case["views"]:
        rows = winners(table, view, case["ttl_seconds"])
        for name in view["features"]:
            column = pq.read_table(view["file"], columns=[name])[name].combine_chunks()
            table = table.append_column(name, column.take(rows))
    return table


def winners(questions: pa.Table, view: dict, ttl_seconds: int | None) -> pa.Array:
    """Returns for each question the place of the row that answers it, or null."""
    features = pq.read_table(view["file"], columns=[*view["keys"], "event_timestamp"])
    count = len(features)
    both = pa.concat_tables([features, questions.select(features.column_names)])
    codes = np.zeros(len(both), np.int64)
    for name in view["keys"]:
        values = pc.dictionary_encode(both[name].combine_chunks())
        codes = codes * len(values.dictionary) + values.indices.to_numpy()
    codes = np.unique(codes, return_inverse=True)[1]
    times = both["event_timestamp"].to_numpy().astype("datetime64[us]").astype(np.int64)
    times -= times.min()
    if int(codes.max()) >> (63 - TIME_BITS) or int(times.max()) >> TIME_BITS:
        raise ValueError("too many keys, or too long a time, for one number of 63 bits")
    places = codes << TIME_BITS | times

    order = np.argsort(places[:count])
    found = np.searchsorted(places[:count], places[count:], side="right", sorter=order) - 1
    rows = order[found.clip(0)]
    answered = (found >= 0) & (codes[rows] == codes[count:])
    if ttl_seconds is not None:
        answered &= times[rows] >= times[count:] - ttl_seconds * 1_000_000
    return pa.array(rows, mask=~answered)


if __name__ == "__main__":
    pq.write_table(answer(read_case(Path(sys.argv[1]))), sys.argv[2], compression="zstd")
