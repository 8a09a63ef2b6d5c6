"""Measures windows online: reads of 20 of them, pushes that a read sees, and bytes a key.

Prints JSON lines. One process, one thread; the embedded store; events have ids.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lodestore import Aggregation, Entity, FeatureStore, FeatureView, FileSource, PushSource

WINDOWS = {"1h": 1, "12h": 12, "1d": 24, "7d": 168, "30d": 720}
FUNCTIONS = ("count", "sum", "mean", "max")
SEED = 20_240_601
NOW = datetime(2024, 6, 1, 12, 0, tzinfo=timezone.utc)
MICROS = 1_000_000


def main() -> None:
    """Runs all parts and prints what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the backfill; default: %(default)s")
    parser.add_argument("--keys", type=int, default=10_000, help="their keys; default: %(default)s")
    parser.add_argument("--pushes", type=int, default=5_000, help="pushes of one event; default: %(default)s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        store, names = backfilled(repo, options)
        say("backfill", **store)
        opened = FeatureStore(repo, now=NOW)
        rng = np.random.default_rng(SEED)
        say("read", **reads(opened, names, rng, options.keys))
        say("push of one event, then a read", **pushes(opened, rng, options))
        say("push of 1,000 events", **batches(opened, rng, options))


def backfilled(repo: Path, options: argparse.Namespace) -> tuple[dict, list[str]]:
    """Makes a repository and materialises its events."""
    rng = np.random.default_rng(SEED)
    pq.write_table(events(rng, options.events, options.keys, 40 * 86_400), repo / "events.parquet")
    (repo / "feature_store.yaml").write_text("project: bench\n")
    user = Entity(name="user", join_keys=["user_id"])
    source = FileSource(name="events", path="events.parquet", timestamp_field="event_timestamp", event_id="id")
    live = PushSource(name="live", batch_source=source)
    aggregations = [
        Aggregation("amount", function, timedelta(hours=hours), name=f"{function}_{window}")
        for window, hours in WINDOWS.items()
        for function in FUNCTIONS
    ]
    view = FeatureView(name="w", entities=[user], source=live, aggregations=aggregations)
    store = FeatureStore(repo, now=NOW)
    store.apply([user, source, live, view])
    start = time.perf_counter()
    store.materialize_incremental(NOW)
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_blocks * 512 for file in repo.rglob("data.mdb"))
    took = {"events": options.events, "seconds": round(seconds, 2), "events_a_second": round(options.events / seconds)}
    return took | {"bytes_a_key": round(size / options.keys)}, [f"w:{one.name}" for one in aggregations]


def events(rng: np.random.Generator, count: int, keys: int, seconds: int) -> pa.Table:
    """Returns events up to now."""
    now = int(NOW.timestamp()) * MICROS
    times = now - rng.integers(0, seconds * MICROS, count)
    return pa.table(
        {
            "user_id": rng.integers(0, keys, count),
            "event_timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
            "id": rng.integers(0, 2**62, count),
            "amount": np.round(rng.lognormal(3, 1, count), 2),
        }
    )


def reads(store: FeatureStore, names: list[str], rng: np.random.Generator, keys: int) -> dict:
    """Returns how long reads of all windows of one key take."""
    taken = []
    for key in rng.integers(0, keys, 5_000).tolist():
        start = time.perf_counter_ns()
        store.get_online_features(features=names, entity_rows=[{"user_id": key}]).to_dict()
        taken.append(time.perf_counter_ns() - start)
    return {"windows": len(names)} | percentiles(taken[500:])


def pushes(store: FeatureStore, rng: np.random.Generator, options: argparse.Namespace) -> dict:
    """Returns how long it takes from a push to the end of a read that sees it."""
    taken = []
    table = events(rng, options.pushes, options.keys, 60)
    for place, key in enumerate(table["user_id"].to_pylist()):
        event = table.slice(place, 1)
        before = store.get_online_features(features=["w:count_1h"], entity_rows=[{"user_id": key}]).to_dict()
        start = time.perf_counter_ns()
        store.push("live", event)
        after = store.get_online_features(features=["w:count_1h"], entity_rows=[{"user_id": key}]).to_dict()
        taken.append(time.perf_counter_ns() - start)
        assert after["count_1h"][0] == before["count_1h"][0] + 1
    return {"pushes": options.pushes, "pushes_a_second": round(1e9 * len(taken) / sum(taken))} | percentiles(taken)


def batches(store: FeatureStore, rng: np.random.Generator, options: argparse.Namespace) -> dict:
    """Returns how many events a second are pushed a thousand at a time."""
    tables = [events(rng, 1_000, options.keys, 60) for _ in range(20)]
    start, cpu = time.perf_counter(), time.process_time()
    for table in tables:
        store.push("live", table)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"events_a_second": round(20_000 / seconds), "events_a_second_of_cpu": round(20_000 / cpu)}


def percentiles(nanos: list[int]) -> dict:
    """Returns percentiles in microseconds."""
    values = np.percentile(nanos, [50, 99]) / 1000
    return {"p50_us": round(values[0], 1), "p99_us": round(values[1], 1)}


def say(part: str, **what: object) -> None:
    """Prints a line."""
    print(json.dumps({"part": part, "cores": os.cpu_count(), **what}), flush=True)


if __name__ == "__main__":
    main()
