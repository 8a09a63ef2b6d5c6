"""Polars' join_asof. Of rows that tie it takes one, whatever their created times.

`--engine streaming` or `in-memory`; `--features early` carries them through the join, `late` fetches those of the
winners afterwards; `--keys asked` drops the rows of other keys first.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from measured import run

TIME = "event_timestamp"


def training_set(case: dict, options: dict):
    """Returns the training set as an Arrow table."""
    questions = pl.scan_parquet(case["questions_file"])
    answer = questions.sort(TIME)
    late = options["features"] == "late"
    for n, view in enumerate(case["views"]):
        place = f"place_{n}"
        rows = pl.scan_parquet(view["file"], row_index_name=place if late else None)
        rows = rows.select(*view["keys"], TIME, *([place] if late else view["features"]))
        if options["keys"] == "asked":
            rows = rows.join(questions, on=view["keys"], how="semi")
        answer = answer.join_asof(
            rows.sort(TIME),
            on=TIME,
            by=view["keys"],
            tolerance=None if case["ttl_seconds"] is None else timedelta(seconds=case["ttl_seconds"]),
            check_sortedness=False,
        )
    if late:
        for n, view in enumerate(case["views"]):
            place = f"place_{n}"
            features = pl.scan_parquet(view["file"], row_index_name=place).select(place, *view["features"])
            answer = answer.join(features, on=place, how="left").drop(place)
    return answer.collect(engine=options["engine"]).to_arrow()


run(training_set)
