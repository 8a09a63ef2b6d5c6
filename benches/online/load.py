"""Load on a server: as much as it takes, or at a rate."""

from __future__ import annotations

import json
import random
import subprocess
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

from environment import HERE, oha, program
from layouts import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from layouts import Layout

ROUTE = "/get-online-features"
MILLION = 1e6
SEED = 17
BODIES = 1_000
SLOW_SECONDS, SLOW_ANSWERS = 0.05, 40


def closed_loop(url: str, bodies: Path | None, connections: int, seconds: float) -> dict:
    """Returns what wrk reaches with so many connections, each of which waits for its answer."""
    duration = f"{max(1, round(seconds))}s"
    command = [program("wrk"), "-t", "1", "-c", str(connections), "-d", duration, "--timeout", "60s"]
    command += ["-s", str(HERE / "requests.lua"), url, *(["--", str(bodies)] if bodies else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    line = json.loads(done.stdout.splitlines()[-1])
    return {"requests_per_second": line["requests"] / line["seconds"], "errors": line["errors"]}


def open_loop(data: Path, url: str, bodies: Path, rate: float, connections: int, seconds: float) -> dict:
    """Returns latencies at a rate: each counts from when its request was due, whether or not answers are late."""
    rate = max(1, round(rate))
    command = [oha(data), "--no-tui", "--output-format", "json", "-q", str(rate), "--latency-correction"]
    command += ["-z", f"{seconds}s", "-c", str(connections), "-w", "-m", "POST", "-T", "application/json"]
    command += ["-Z", str(bodies), url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(done.stdout)
    statuses, errors = report["statusCodeDistribution"], report["errorDistribution"]
    wrong = sum(count for status, count in statuses.items() if status != "200") + sum(errors.values())
    latencies = report["latencyPercentiles"]
    return {
        "rate": rate,
        "requests_per_second": report["summary"]["requestsPerSec"],
        "p50_us": (latencies["p50"] or 0) * MILLION,
        "p99_us": (latencies["p99"] or 0) * MILLION,
        "p999_us": (latencies["p99.9"] or 0) * MILLION,
        "errors": wrong,
    }


def shape(seconds_per_answer: float, connections: int, seconds: float, workers: int) -> tuple[int, float]:
    """Returns the connections and the seconds of a closed loop, for a server that takes so long for one answer.

    A slow one is asked by few connections for as long as tens of answers take: with many, none would end in time.
    """
    if seconds_per_answer < SLOW_SECONDS:
        return connections, seconds
    return min(connections, 2 * workers), max(seconds, SLOW_ANSWERS * seconds_per_answer / workers)


def one_key_bodies(layout: Layout, features: int) -> list[dict]:
    """Returns bodies of requests for one key each; a tenth of the keys is missing."""
    seeded = random.Random(SEED)
    references = layout.references(features)
    keys = layout.keys * 10 // 9
    return [{"features": references, "entities": {KEY: [seeded.randrange(keys)]}} for _ in range(BODIES)]


def ask(url: str, body: dict) -> bytes:
    """Returns the answer to one request."""
    request = Request(url + ROUTE, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request) as response:
        return response.read()
