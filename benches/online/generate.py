"""Writes the rows of a layout, one Parquet file a view: `generate.py FOLDER LAYOUT_JSON`. Seeded.

A key's rows lie an hour apart, the last one hour before LAST; the rows of a file are shuffled.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet as pq

from layouts import KEY

LAST = numpy.datetime64("2026-01-01T00:00:00", "us")
ROW_GROUP = 1_000_000
SEED = 20260101


def column(random: numpy.random.Generator, kind: str, rows: int) -> pyarrow.Array:
    """Returns random values of a type."""
    match kind:
        case "float64":
            return pyarrow.array(random.random(rows))
        case "int64":
            return pyarrow.array(random.integers(-(2**40), 2**40, rows))
        case "string":
            return pyarrow.DictionaryArray.from_arrays(
                pyarrow.array(random.integers(0, 1000, rows, dtype=numpy.int32)),
                pyarrow.array([f"label-{place:05}" for place in range(1000)]),
            ).cast(pyarrow.string())
    raise ValueError(f"unknown type '{kind}'")


def write(path: Path, layout: dict, view: dict, seed: int) -> None:
    """Writes the rows of a view, a row group at a time."""
    random = numpy.random.default_rng(seed)
    rows = layout["keys"] * layout["rows_per_key"]
    order = random.permutation(rows)
    # The writer is made with the first group, whose columns tell the schema.
    writer = None
    for start in range(0, rows, ROW_GROUP):
        part = order[start : start + ROW_GROUP]
        hours = (part // layout["keys"] + 1).astype("timedelta64[h]")
        columns = {
            KEY: pyarrow.array(part % layout["keys"]),
            "event_timestamp": pyarrow.array(LAST - hours, pyarrow.timestamp("us", tz="UTC")),
        }
        columns |= {name: column(random, kind, len(part)) for name, kind in view["features"].items()}
        table = pyarrow.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=ROW_GROUP)
    if writer is not None:
        writer.close()


def main() -> None:
    """Writes all files, and `layout.json` last: without it, the files are not whole."""
    folder, layout = Path(sys.argv[1]), json.loads(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for place, view in enumerate(layout["view_documents"]):
        write(folder / f"{view['name']}.parquet", layout, view, SEED + place)
    (folder / "layout.json").write_text(json.dumps(layout))


if __name__ == "__main__":
    main()
