"""What the DuckDB scripts share: the session, and the parts of SQL that all forms have."""

from __future__ import annotations

import os

import duckdb


def fetch(sql: str):
    """Returns the answer to a query as an Arrow table, computed with all cores and in no order."""
    duckdb.execute(f"SET threads = {os.cpu_count()}")
    duckdb.execute("SET enable_progress_bar = false")
    duckdb.execute("SET preserve_insertion_order = false")
    return duckdb.sql(sql).to_arrow_table()


def questions(case: dict) -> str:
    """Returns the questions as a relation, each with its place as `question`."""
    file = f"read_parquet('{case['questions_file']}', file_row_number = true)"
    return f"(SELECT * RENAME (file_row_number AS question) FROM {file})"


def rows(view: dict) -> str:
    """Returns the rows of a view as a relation, each with its place as `place`."""
    file = f"read_parquet('{view['file']}', file_row_number = true)"
    return f"(SELECT * RENAME (file_row_number AS place) FROM {file})"


def visible(view: dict, alias: str) -> str:
    """Returns the condition that a row of a view is of a question's key, and no later than it."""
    keys = [f"q.{key} = {alias}.{key}" for key in view["keys"]]
    return " AND ".join([*keys, f"q.event_timestamp >= {alias}.event_timestamp"])


def in_time(case: dict, alias: str) -> str:
    """Returns the condition that a row is not older than the TTL."""
    if case["ttl_seconds"] is None:
        return "true"
    return f"epoch_us({alias}.event_timestamp) >= epoch_us(q.event_timestamp) - {case['ttl_seconds'] * 1_000_000}"


def with_features(case: dict, winners: str) -> str:
    """Returns the query that brings the features of the winners: place `place_N` in the N-th view."""
    names = [f"v{n}.{name}" for n, view in enumerate(case["views"]) for name in view["features"]]
    places = ", ".join(["question", *(f"place_{n}" for n in range(len(case["views"])))])
    joins = [f"LEFT JOIN {rows(view)} v{n} ON w.place_{n} = v{n}.place" for n, view in enumerate(case["views"])]
    return f"""
        WITH winners AS MATERIALIZED ({winners})
        SELECT w.* EXCLUDE ({places}), {", ".join(names)} FROM winners w {" ".join(joins)}
    """
