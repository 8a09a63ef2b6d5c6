"""The floor, by pyarrow: every value that the answer depends on is decoded once, a row group at a time."""

from __future__ import annotations

import pyarrow.parquet as pq

from measured import run


def decode(case: dict, _options: dict):
    """Returns the questions; the rows of the views are decoded and dropped."""
    for view in case["views"]:
        columns = [*view["keys"], "event_timestamp", "created", *view["features"]]
        file = pq.ParquetFile(view["file"])
        for group in range(file.num_row_groups):
            file.read_row_group(group, columns)
    return pq.ParquetFile(case["questions_file"]).read()


run(decode)
