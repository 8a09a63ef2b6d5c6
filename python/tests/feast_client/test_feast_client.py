"""An unmodified client of Feast, with `online_store: {type: remote}`, against `lodestore serve`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FEAST = Path(os.environ.get("FEAST_PYTHON", Path(__file__).parents[3] / ".venv-feast" / "bin" / "python"))
LODESTORE = shutil.which("lodestore", path=str(Path(sys.executable).parent)) or shutil.which("lodestore")
NOT_THERE = None if FEAST.exists() and LODESTORE else "Feast or the command line is not installed; make test does it"
if NOT_THERE and os.environ.get("CI"):
    raise RuntimeError(NOT_THERE)
pytestmark = pytest.mark.skipif(NOT_THERE is not None, reason=NOT_THERE or "")

DEFINITIONS = """
version: 1
entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]
data_sources:
  - name: driver_stats_file
    type: file
    path: stats.csv
    timestamp_field: event_timestamp
    created_timestamp_column: created
  - {name: driver_push, type: push, batch_source: driver_stats_file}
feature_views:
  - name: driver_stats
    entities: [driver]
    source: driver_push
    ttl: 3650d
    schema: [{name: conv_rate, type: float32}, {name: avg_daily_trips, type: int64}, {name: city, type: string}]
feature_services: [{name: driver_activity, features: [driver_stats]}]
"""
ROWS = """driver_id,event_timestamp,created,conv_rate,avg_daily_trips,city
1001,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,0.5,12,Zürich
1002,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,,9,
"""
LATE_ROW = "1003,2026-01-02T00:00:00Z,2026-01-02T01:00:00Z,0.75,3,Basel\n"


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What Feast's client saw, step by step."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "feature_store.yaml").write_text("project: rides\nregistry: data/registry.db\n")
    (folder / "features.yaml").write_text(DEFINITIONS)
    (folder / "stats.csv").write_text(ROWS)
    for command in (["apply"], ["materialize", "2025-12-31", "2026-01-01"]):
        subprocess.run([LODESTORE, *command], cwd=folder, check=True, capture_output=True)
    (folder / "stats.csv").write_text(ROWS + LATE_ROW)
    serve = [LODESTORE, "serve", "--port", "0"]
    with subprocess.Popen(serve, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = re.search(r"http://\S+", server.stdout.readline())[0]
            client = Path(__file__).with_name("client.py")
            work = tmp_path_factory.mktemp("client")
            ran = subprocess.run([FEAST, client, url, work], capture_output=True, text=True, timeout=120)
            assert ran.returncode == 0, ran.stderr
            yield json.loads(ran.stdout.splitlines()[-1])
        finally:
            server.terminate()
            assert server.wait(timeout=30) == 0


def test_values_come_as_from_feast(seen):
    keys, rate, trips, city = [1001, 9999, 1002], [0.5, None, None], [12, None, 9], ["Zürich", None, None]
    answer = {"driver_id": keys, "conv_rate": rate, "avg_daily_trips": trips, "city": city}
    assert seen["read"] == seen["service"] == answer
    full = {name if name == "driver_id" else f"driver_stats__{name}": values for name, values in answer.items()}
    assert seen["full names"] == full
    assert seen["columns of keys"]["avg_daily_trips"] == [9, 12]


def test_what_is_pushed_and_written_is_read(seen):
    assert (seen["push"], seen["write"]) == (None, None)
    pushed = {"driver_id": [7001], "conv_rate": [0.25], "avg_daily_trips": [5], "city": ["Bern"]}
    assert seen["read what was pushed"] == pushed
    assert seen["read what was written"] == {**pushed, "driver_id": [7002], "city": [None]}


def test_materialisation_runs_in_the_server(seen):
    assert (seen["materialize"], seen["materialize incremental"]) == (None, None)
    assert seen["read what was materialized"]["city"] == ["Basel"]
    assert "future" in seen["future"]["message"]


def test_errors_arrive_as_feasts_own(seen):
    def error(step):
        return seen[step]["module"], seen[step]["class"]

    assert error("unknown view") == ("feast.errors", "FeatureViewNotFoundException")
    assert error("unknown feature") == ("feast.errors", "FeastObjectNotFoundException")
    assert "conv_rate" in seen["unknown feature"]["message"]
    for step, named in (("wrong key", "driver_id"), ("key of another type", "abc")):
        assert error(step)[0] == "feast.errors"
        assert named in seen[step]["message"]
