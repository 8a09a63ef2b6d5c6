"""Measures a join that is larger than a memory limit: 100 million rows, 10 million questions, written as Parquet.

It prints a JSON line for each limit: time, peak memory as the system saw it, and whether the answer is the one without
limit, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from environment import HERE, environment, install_wheel, newest_wheel
from measure import Limits, end_in_order, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = 20_240_101
ROW_GROUP = 1_000_000
MICROS = 90 * 24 * 3600 * 1_000_000
START = np.datetime64("2024-01-01", "us").astype(np.int64)
TIMESTAMP = pa.timestamp("us", tz="UTC")


def main() -> None:
    """Makes the data where they are missing, and runs each limit."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limits", default="none,2GB,1GB", help="limits with commas; default: %(default)s")
    parser.add_argument("--scale", type=int, default=1, help="divides the sizes, for a quick try; default: %(default)s")
    parser.add_argument("--wheel", type=Path, help="the wheel of Lodestore; default: the newest of dist/")
    folder = Path(tempfile.gettempdir()) / "lodestore-benches"
    parser.add_argument("--data", type=Path, default=folder, help="data and environments; default: %(default)s")
    options = parser.parse_args()
    python = environment(options.data, "peers")
    install_wheel(python, options.wheel or newest_wheel())
    data = options.data / f"memory-{options.scale}"
    if not (data / "questions.parquet").exists():
        apart(generate, data, 100_000_000 // options.scale, 10_000_000 // options.scale, 1_000_000 // options.scale)
    first = None
    for limit in options.limits.split(","):
        answer = data / f"answer-{limit}.parquet"
        run = measure([python, HERE / "memory_run.py", data, limit, answer], Limits(seconds=3600, rss_mb=1e9))
        line = {"case": "memory", "scale": options.scale, "memory_limit": limit, **asdict(run)}
        if run.status == "ok":
            digest = apart(contents, answer)
            first = first or digest
            line["equal_answers"] = digest == first
            answer.unlink()
        print(json.dumps(line), flush=True)


def apart(function: Callable, *arguments):
    """Calls a function in a process of its own: what a bench has used itself, the runs seem to use too."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def generate(folder: Path, rows: int, questions: int, keys: int) -> None:
    """Writes the rows, a row group at a time, and then the questions."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    with writer(folder / "rows.parquet") as write:
        for start in range(0, rows, ROW_GROUP):
            count = min(ROW_GROUP, rows - start)
            times = START + rng.integers(0, MICROS, count)
            columns = {
                "driver_id": rng.integers(0, keys, count),
                "event_timestamp": pa.array(times, TIMESTAMP),
                "created": pa.array(times + rng.integers(1, 600_000_000, count), TIMESTAMP),
                **{f"f{i}": rng.standard_normal(count).round(3) for i in range(4)},
                **{f"f{i}": rng.integers(0, 1000, count) for i in range(4, 6)},
            }
            write(pa.table(columns))
    with writer(folder / "questions.parquet") as write:
        for start in range(0, questions, ROW_GROUP):
            count = min(ROW_GROUP, questions - start)
            times = pa.array(START + rng.integers(0, MICROS, count), TIMESTAMP)
            write(pa.table({"driver_id": rng.integers(0, keys, count), "event_timestamp": times}))


@contextmanager
def writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """Returns a function that adds a row group to a Parquet file, which is there under its name when it is whole."""
    part, file = path.with_suffix(".part"), None

    def write(table: pa.Table) -> None:
        nonlocal file
        file = file or pq.ParquetWriter(part, table.schema, compression="zstd")
        file.write_table(table, row_group_size=ROW_GROUP)

    yield write
    file.close()
    part.rename(path)


def contents(path: Path) -> str:
    """Returns a digest of all values of a Parquet file."""
    digest = hashlib.sha256()
    for batch in pq.ParquetFile(path).iter_batches(batch_size=ROW_GROUP):
        table = pa.Table.from_batches([batch]).combine_chunks()
        for column in table.columns:
            for buffer in column.combine_chunks().buffers():
                digest.update(b"-" if buffer is None else buffer)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
