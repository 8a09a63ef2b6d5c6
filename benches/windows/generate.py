"""Writes the events and questions of a case: `generate.py FOLDER JSON`. Seeded: the same case is the same bytes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 20_240_501
DAYS = 365
START = int(np.datetime64("2023-01-01", "us").astype(np.int64))
DAY = 24 * 3600 * 1_000_000
TIMESTAMP = pa.timestamp("us", tz="UTC")


def main(folder: Path, case: dict) -> None:
    """Writes both files, and then what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    events, questions = case["events"], case["questions"]
    table = {
        "user_id": keys(rng, case, events),
        "event_timestamp": pa.array(START + rng.integers(0, DAYS * DAY, events), TIMESTAMP),
        "amount": np.round(rng.lognormal(3, 1, events), 2),
        "merchant": rng.integers(0, 5_000, events),
    }
    pq.write_table(pa.table(table), folder / "events.parquet", compression="zstd", row_group_size=1_000_000)
    table = {
        "question": np.arange(questions),
        "user_id": keys(rng, case, questions),
        "event_timestamp": pa.array(START + rng.integers(0, DAYS * DAY, questions), TIMESTAMP),
    }
    pq.write_table(pa.table(table), folder / "questions.parquet", compression="zstd", row_group_size=1_000_000)
    (folder / "case.json").write_text(json.dumps(case))


def keys(rng: np.random.Generator, case: dict, count: int) -> np.ndarray:
    """Returns keys: all as often, or by Zipf's law with exponent 1."""
    if case["skew"] == "uniform":
        return rng.integers(0, case["keys"], count)
    weights = 1 / np.arange(1, case["keys"] + 1)
    return np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(count)).astype(np.int64)


main(Path(sys.argv[1]), json.loads(sys.argv[2]))
