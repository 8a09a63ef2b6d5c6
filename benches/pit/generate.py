"""Makes the files of a case: the questions, the rows of each view, and `case.json`. It is seeded.

All times of a file differ, so no two rows of a view tie, and every system has the same right answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 20_240_101
START = np.datetime64("2024-01-01", "us").astype(np.int64)
MICROS = 90 * 24 * 3600 * 1_000_000
ROW_GROUP = 1_000_000
TIMESTAMP = pa.timestamp("us", tz="UTC")


def generate(folder: Path, case: dict) -> None:
    """Writes the files of a case; `case.json` comes last, so that a folder which has it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = np.random.SeedSequence(SEED).spawn(len(case["views"]) + 2)
    key_rng, question_rng, *view_rngs = map(np.random.default_rng, seeds)
    ids = key_columns(case, key_rng)
    write_questions(folder / "questions.parquet", case, ids, question_rng)
    for view, rng in zip(case["views"], view_rngs, strict=True):
        write_view(folder / view["file"], case, view, ids, rng)
    (folder / "case.json").write_text(json.dumps(case, indent=1))


def key_columns(case: dict, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns for each key column its value in each of the case's keys."""
    count = case["keys"]
    columns = {name for view in case["views"] for name in view["keys"]}
    if columns == {"driver_id"}:
        return {"driver_id": np.arange(1, count + 1)}
    pairs = rng.choice(count * count, size=count, replace=False)
    return {"driver_id": pairs // count + 1, "customer_id": pairs % count + 1}


def write_questions(path: Path, case: dict, ids: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Writes the entity frame: the keys, a time and a label, in no order."""
    asked = rng.choice(case["keys"], size=max(1, round(case["keys"] * case["asked_keys"])), replace=False)
    asked[0] = 0 if case["hot_rows"] else asked[0]
    count = case["questions"]
    keys = asked[drawn(rng, len(asked), count, case["hot_rows"])]
    times = distinct_times(rng, count)
    rng.shuffle(times)
    columns = {name: key_array(case, values[keys]) for name, values in ids.items()}
    columns["event_timestamp"] = pa.array(times, TIMESTAMP)
    columns["label"] = pa.array(rng.integers(0, 2, count))
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=ROW_GROUP)


def write_view(path: Path, case: dict, view: dict, ids: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Writes the rows of a view in the case's order, a row group at a time."""
    count = case["rows"]
    # Of a view with one of several key columns, a key is one of that column's values.
    values = [np.unique(ids[name]) for name in view["keys"]] if len(view["keys"]) == 1 else list(ids.values())
    keys = drawn(rng, len(values[0]), count, case["hot_rows"])
    times = distinct_times(rng, count)
    if case["order"] == "key":
        order = np.argsort(keys, kind="stable")
    elif case["order"] == "time":
        order = np.arange(count)
    else:
        order = rng.permutation(count)
    keys, times = keys[order], times[order]
    writer = None
    for start in range(0, count, ROW_GROUP):
        part = slice(start, min(start + ROW_GROUP, count))
        columns = {name: key_array(case, column[keys[part]]) for name, column in zip(view["keys"], values, strict=True)}
        columns["event_timestamp"] = pa.array(times[part], TIMESTAMP)
        for name, kind in view["features"].items():
            columns[name] = feature(rng, kind, part.stop - start)
        delays = rng.integers(1, 600_000_000, part.stop - start)
        columns["created"] = pa.array(times[part] + delays, TIMESTAMP)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=ROW_GROUP)
    writer.close()


def drawn(rng: np.random.Generator, keys: int, count: int, hot: float) -> np.ndarray:
    """Returns random places of keys, a share of them the first."""
    places = rng.integers(0, keys, count)
    if hot:
        places[rng.random(count) < hot] = 0
    return places


def distinct_times(rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns ascending times over 90 days, no two alike: one in each of as many equal spans."""
    span = MICROS // count
    return START + np.arange(count) * span + rng.integers(0, span, count)


def key_array(case: dict, ids: np.ndarray) -> pa.Array:
    """Returns keys in the case's type; text sorts as its numbers do."""
    if case["key_type"] == "string":
        return pa.array(np.char.add("driver-", np.char.zfill(ids.astype("U9"), 9)))
    return pa.array(ids)


def feature(rng: np.random.Generator, kind: str, count: int) -> pa.Array:
    """Returns random values of a type."""
    if kind == "float64":
        return pa.array(rng.standard_normal(count))
    if kind == "int64":
        return pa.array(rng.integers(0, 1_000_000, count))
    if kind == "int32":
        return pa.array(rng.integers(0, 1000, count, dtype=np.int32))
    if kind == "bool":
        return pa.array(rng.random(count) < 0.5)
    words = pa.array([f"segment-{place:03}" for place in range(1000)])
    return words.take(pa.array(rng.integers(0, len(words), count)))


if __name__ == "__main__":
    generate(Path(sys.argv[1]), json.loads(sys.argv[2]))
