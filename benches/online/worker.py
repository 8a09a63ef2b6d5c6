"""A process that reads features in process, one job a line: `worker.py PACKAGE REPOSITORY`.

It keeps its store open, so that systems can take turns while each stays warm. A job is a JSON object whose `do` names
one of the functions below; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from datetime import datetime, timezone
from importlib import import_module

from layouts import KEY

AWAKE_SECONDS = 0.001
"""How long before its time a reader is awake: no read waits for that. Until then the processor is the writer's."""


def answer(store, features, keys) -> dict:
    """Returns the answer itself, for the comparison. Names are full ones: Feast precomputes under no other."""
    return store.get_online_features(wanted(store, features), {KEY: keys}, full_feature_names=True).to_dict()


def measure(store, features, keys, calls, seconds) -> dict:
    """Returns how long each of some calls took, in microseconds. `keys` are the keys of each call, in turn."""
    asked, requests = wanted(store, features), [{KEY: some} for some in keys]
    for request in requests[:2]:
        store.get_online_features(asked, request, full_feature_names=True).to_dict()
    took, end, clock = [], time.perf_counter() + seconds, time.perf_counter_ns
    for place in range(calls):
        request = requests[place % len(requests)]
        start = clock()
        store.get_online_features(asked, request, full_feature_names=True).to_dict()
        took.append(clock() - start)
        if place >= 2 and time.perf_counter() > end:
            break
    return {"microseconds": [ns / 1000 for ns in took]}


def read_at_rate(store, features, keys, rate, seconds) -> dict:
    """Reads one key after the other, each at its time; latency counts from that time. Rate 0: as fast as it can."""
    asked, latencies, clock = features, [], time.perf_counter
    pause = 1 / rate if rate else 0.0
    start, reads = clock(), 0
    while (now := clock()) - start < seconds:
        due = start + reads * pause if rate else now
        while (early := due - clock()) > 0:
            if early > AWAKE_SECONDS:
                time.sleep(early - AWAKE_SECONDS)
        store.get_online_features(asked, {KEY: [keys[reads % len(keys)]]}).to_dict()
        latencies.append((clock() - due) * 1e6)
        reads += 1
    per_second = reads / (clock() - start)
    latencies.sort()
    places = {f"p{percent}": int(len(latencies) * percent / 100) for percent in (50, 99, 99.9)}
    return {"reads_per_second": per_second} | {
        name: latencies[min(len(latencies) - 1, place)] for name, place in places.items()
    }


def write_at_rate(store, view, columns, keys, rate, seconds) -> dict:
    """Writes one row after the other, each at its time, or as fast as it can where that is slower or the rate is 0."""
    written, start, clock = 0, time.perf_counter(), time.perf_counter
    pause = 1 / rate if rate else 0.0
    seeded = random.Random(2)
    make_value = {"float64": seeded.random, "int64": lambda: seeded.randrange(2**40), "string": lambda: "new"}
    make, values = frame(store), {}
    while clock() - start < seconds or not written:
        time.sleep(max(0.0, start + written * pause - clock()))
        key, now = keys[written % len(keys)], datetime.now(timezone.utc)
        values = {name: make_value[kind]() for name, kind in columns.items()}
        row = {KEY: key, "event_timestamp": now} | values
        store.write_to_online_store(view, df=make({name: [value] for name, value in row.items()}))
        written += 1
    last = {KEY: [key]} | {f"{view}__{name}": [value] for name, value in values.items()}
    return {"writes_per_second": written / (clock() - start), "last": last}


def frame(store):
    """Returns what makes a frame of columns: pandas for Feast, Arrow for Lodestore."""
    is_feast = type(store).__module__.startswith("feast")
    return import_module("pandas").DataFrame if is_feast else import_module("pyarrow").table


def wanted(store, features):
    """Returns features as they are asked for: a list, or the service of that name."""
    return store.get_feature_service(features) if isinstance(features, str) else features


def main() -> None:
    """Does one job after the other until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Feast prints.
    package, repository = sys.argv[1:3]
    store = import_module(package).FeatureStore(repo_path=repository)
    jobs = {job.__name__: job for job in (answer, measure, read_at_rate, write_at_rate)}
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            result = jobs[job.pop("do")](store, **job)
        except Exception as error:  # It is reported, and the bench goes on with other systems.
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
