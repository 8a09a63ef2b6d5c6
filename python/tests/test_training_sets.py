"""Questions from files and SQL, explanations, progress, and Ctrl-C."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import lodestore
from lodestore import FeatureStore, FileSource
from lodestore.errors import InvalidError, NotFoundError

FEATURES = ["driver_stats:trips"]


def at(hour):
    return datetime(2024, 1, 1, hour, tzinfo=timezone.utc)


QUESTIONS = {"driver_id": [1002, 1001, 1001], "event_timestamp": [at(12), at(10), at(11)], "label": ["c", "b", "a"]}
TRIPS = [7, 10, 12]


def asked(store, questions):
    table = store.get_historical_features(questions, FEATURES).to_arrow()
    return table["label"].to_pylist(), table["trips"].to_pylist()


# Questions


def test_questions_are_read_from_a_file_by_path_or_by_name(applied, repo_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pa.table(QUESTIONS)
    for name in ("asked.parquet", "asked.pq"):
        pq.write_table(table, repo_path / "data" / name)
    pa.csv.write_csv(table, repo_path / "data" / "ASKED.CSV")
    for name in ("asked.parquet", "asked.pq", "ASKED.CSV"):
        for path in (f"data/{name}", Path("data") / name, repo_path / "data" / name, str(repo_path / "data" / name)):
            assert asked(applied, path) == (["c", "b", "a"], TRIPS), path


def test_questions_in_a_file_keep_their_columns(applied, repo_path):
    table = pa.table({**QUESTIONS, "weight": pa.array([1.5, None, 2.5], pa.float32())})
    pq.write_table(table, repo_path / "asked.parquet")
    job = applied.get_historical_features("asked.parquet", FEATURES)
    assert job.to_arrow().select(table.column_names).equals(table)
    assert job.to_df()["trips"].tolist() == TRIPS


def test_a_file_that_is_not_there_or_no_table_is_told(applied, repo_path):
    with pytest.raises(NotFoundError, match=r"none\.parquet"):
        applied.get_historical_features("none.parquet", FEATURES)
    (repo_path / "asked.txt").write_text("driver_id\n")
    with pytest.raises(InvalidError, match=r"asked\.txt.*expected .parquet or .csv"):
        applied.get_historical_features(Path("asked.txt"), FEATURES)


SQL = """
SELECT driver_id, max(event_timestamp) + INTERVAL '1 hour' AS event_timestamp, 'seen' AS label
FROM driver_stats_source GROUP BY driver_id ORDER BY driver_id
"""


def test_questions_are_what_sql_answers(applied):
    assert asked(applied, SQL) == (["seen", "seen"], [12, 7])


def test_sources_are_joined_in_sql_under_any_name(applied, repo_path):
    pq.write_table(pa.table({"driver_id": [1001, 1003], "Label": ["x", "y"]}), repo_path / "data" / "labels.parquet")
    applied.apply(FileSource(path="data/labels.parquet"))
    applied.apply(FileSource(name="Places.of: all", path="data/places.csv"))
    sql = """
    SELECT stats.driver_id, stats.event_timestamp, labels."Label" AS label
    FROM driver_stats_source AS stats JOIN "data/labels.parquet" AS labels ON labels.driver_id = stats.driver_id
    WHERE stats.driver_id IN (SELECT 1001 FROM "Places.of: all") ORDER BY stats.event_timestamp
    """
    assert asked(applied, sql) == (["x", "x"], [10, 12])


def test_sql_that_is_no_query_of_the_sources_is_refused(applied):
    for sql, says in (
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELEKT", "SELEKT"),
        ("DROP TABLE driver_stats_source", "DROP|DDL"),
        ("", "quer|statement"),
        ("SELECT driver_id FROM driver_stats_source", "event_timestamp"),
    ):
        with pytest.raises(InvalidError, match=says):
            applied.get_historical_features(sql, FEATURES)
    with pytest.raises(InvalidError, match="not both"):
        applied.get_historical_features(SQL, FEATURES, start_date=at(1))


# Explanations


def test_a_job_explains_what_it_did(applied):
    job = applied.get_historical_features(QUESTIONS, [*FEATURES, "driver_live:conv_rate"])
    text = job.explain()
    assert "View: driver_stats@1, keys [driver_id]" in text
    for view in ("driver_stats@1: ", "driver_live@1: "):
        assert f"\n{view}" in text
    assert text.count("  rows        3 scanned, ") == 2
    for label in ("files", "bytes", "parts", "time"):
        assert re.search(rf"^  {label} +\S", text, re.MULTILINE), label
    assert re.search(r"^3 questions answered, peak memory \S+ .?B$", text, re.MULTILINE)


def test_a_plan_alone_runs_nothing(applied, repo_path):
    job = applied.get_historical_features(QUESTIONS, FEATURES)
    text = job.explain(analyze=False)
    assert "View: driver_stats@1" in text
    assert "answered" not in text
    stats = (repo_path / "data" / "driver_stats.csv").read_text()
    (repo_path / "data" / "driver_stats.csv").write_text(stats.replace("10,0.5", "ten,0.5"))
    assert job.explain(analyze=False) == text
    with pytest.raises(InvalidError, match="ten"):
        job.explain()


def test_what_is_pruned_is_told(tmp_path, tables):
    rows = tables.rows(drivers=range(100))
    pq.write_table(rows.sort_by("driver_id"), tmp_path / "rows.parquet", row_group_size=80)
    store = tables.store(tmp_path / "rows.parquet")
    questions = {"driver_id": [3, 4], "event_timestamp": [tables.at(40)] * 2}
    text = store.get_historical_features(questions, ["stats:trips"]).explain()
    assert "files       1 read, 0 pruned" in text
    read, pruned = map(int, re.search(r"row groups +(\d+) read, (\d+) pruned", text).groups())
    assert read <= 2
    assert read + pruned == 10


def test_memory_and_threads_are_set_in_the_settings(repo_path, applied):
    limited = FeatureStore(
        repo_path,
        config={
            "project": "demo",
            "registry": "data/registry.db",
            "offline_store": {"type": "datafusion", "memory_limit": "1MB", "threads": 1},
        },
    )
    assert asked(limited, QUESTIONS) == (["c", "b", "a"], TRIPS)


# Long runs

VIEWS = 12
ROWS = 3_000_000


@pytest.fixture(scope="module")
def long_runs(tmp_path_factory):
    """A repository whose retrievals take seconds: many views of a table with millions of rows."""
    repo = tmp_path_factory.mktemp("long")
    random = np.random.default_rng(7)
    times = pa.array(np.arange(ROWS) * 1_000_000 + 1_700_000_000_000_000, pa.timestamp("us", "UTC"))
    keys = pa.array(random.integers(0, 100_000, ROWS))
    rows = pa.table({"driver_id": keys, "at": times, "trips": pa.array(random.integers(0, 1000, ROWS))})
    pq.write_table(rows, repo / "rows.parquet", row_group_size=100_000)
    pq.write_table(rows.slice(ROWS - 300_000).select(["driver_id", "at"]), repo / "asked.parquet")
    views = "".join(
        f"  - {{name: v{n}, entities: [driver], source: rows, schema: [{{name: trips, type: int64}}]}}\n"
        for n in range(VIEWS)
    )
    (repo / "definitions.yaml").write_text(
        "version: 1\nentities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]\n"
        "data_sources: [{name: rows, type: file, path: rows.parquet, timestamp_field: at}]\n"
        f"feature_views:\n{views}"
        f"feature_services: [{{name: all, features: [{', '.join(f'v{n}' for n in range(VIEWS))}]}}]\n"
    )
    spill = repo / "spill"
    spill.mkdir()
    (repo / "feature_store.yaml").write_text(
        "project: long\nregistry: registry.db\n"
        f"offline_store: {{type: datafusion, threads: 1, memory_limit: 300MB, spill_path: {spill}}}\n"
    )
    FeatureStore(repo).apply()
    return repo


RUN = """
import signal, sys, threading, time
from lodestore import FeatureStore
signal.signal(signal.SIGINT, signal.default_int_handler)
store = FeatureStore(sys.argv[1])
features = store.get_feature_service("all")
job = store.get_historical_features("asked.parquet", features, full_feature_names=True)
sql = " UNION ALL ".join(["SELECT * FROM rows WHERE trips = 7"] * 200)
"""


def python(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(lodestore.__file__).parents[1])}
    environment.update(options.pop("env", {}))
    command = [sys.executable, "-c", code, *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, **options)


def seen_on_a_terminal(code, *arguments, **environment):
    """Returns what a run draws on a standard error that is a terminal."""
    ours, theirs = pty.openpty()
    child = python(code, *arguments, stderr=theirs, env=environment)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            ready, _, _ = select.select([ours], [], [], 60)
            piece = os.read(ours, 65536) if ready else b""
        except OSError:  # the other end was closed
            piece = b""
        if not piece:
            break
        drawn += piece
    os.close(ours)
    child.communicate(timeout=60)
    assert child.returncode == 0, drawn.decode()
    return drawn.decode()


def test_progress_is_drawn_on_a_terminal_and_taken_away(long_runs):
    drawn = seen_on_a_terminal(RUN + "job.to_arrow()", long_runs)
    lines = drawn.split("\r")
    scan = re.compile(r"v\d+@1: scan (?:[\d,]+|\d+ % of 3,000,000) rows, \d+\.\d M rows/s *")
    assert any(scan.fullmatch(line) for line in lines), lines
    # The last line is blanks over the one before, and the cursor is back at the start.
    assert lines[-1] == ""
    assert lines[-2] == " " * len(lines[-3].rstrip())
    assert "\n" not in drawn


QUIET = {
    "short work": ("job.schema", {}),
    "LODESTORE_PROGRESS=0": ("job.to_arrow()", {"LODESTORE_PROGRESS": "0"}),
    "another thread": ("one = threading.Thread(target=job.to_arrow); one.start(); one.join()", {}),
}


@pytest.mark.parametrize(("call", "environment"), QUIET.values(), ids=QUIET)
def test_progress_is_not_drawn_for(long_runs, call, environment):
    assert seen_on_a_terminal(RUN + call, long_runs, **environment) == ""


def test_progress_is_not_drawn_where_nobody_looks(long_runs):
    child = python(RUN + "job.to_arrow()", long_runs)
    assert child.communicate(timeout=60)[1] == b""


# The stream of a notebook, as far as it matters here: it belongs to ipykernel and is no terminal.
NOTEBOOK = """
import io
class OutStream(io.StringIO):
    pass
OutStream.__module__ = "ipykernel.iostream"
"""


def test_progress_is_drawn_in_a_notebook(long_runs):
    code = RUN + NOTEBOOK + "sys.stderr = OutStream()\njob.to_arrow()\nprint(sys.stderr.getvalue())"
    child = python(code, long_runs)
    assert b"M rows/s" in child.communicate(timeout=60)[0]


INTERRUPTED = """
print("started", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    # What was running must not go on behind.
    time.sleep(1)
    busy = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - busy < 0.1, time.process_time() - busy
    # The store can be used again.
    assert store.get_historical_features("asked.parquet", ["v0:trips"]).to_arrow().num_rows == 300_000
else:
    print("done", flush=True)
"""
CALLS = {
    "to_arrow": "job.to_arrow()",
    "to_df": "job.to_df()",
    "to_polars": "job.to_polars()",
    "to_parquet": "job.to_parquet(sys.argv[1] + '/out.parquet')",
    "to_batches": "next(job.to_batches())",
    "batches that are read slowly": "[time.sleep(0.2) for batch in job.to_batches()]",
    "the Arrow interface": "job.__arrow_c_stream__()",
    "explain": "job.explain()",
    "SQL": "store.get_historical_features(sql, ['v0:trips'])",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_stops_a_run_at_once_and_leaves_nothing(long_runs, call):
    before = sorted(path for path in long_runs.rglob("*"))
    child = python(RUN + INTERRUPTED.format(call=call), long_runs)
    assert child.stdout.readline() == b"started\n"
    time.sleep(0.7)
    pressed = time.monotonic()
    child.send_signal(signal.SIGINT)
    line = child.stdout.readline()
    took = time.monotonic() - pressed
    _, errors = child.communicate(timeout=60)
    assert (line, child.returncode) == (b"interrupted\n", 0), errors.decode()
    assert took < 1, took
    assert sorted(path for path in long_runs.rglob("*")) == before


def test_a_program_ends_where_ctrl_c_is_not_caught(long_runs):
    child = python(RUN + "print('started', flush=True); job.to_arrow()", long_runs)
    assert child.stdout.readline() == b"started\n"
    time.sleep(0.7)
    pressed = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert time.monotonic() - pressed < 2
    assert child.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in errors


def test_other_threads_go_on_while_a_run_works(long_runs):
    code = """
ticks = []
done = threading.Event()
def tick():
    while not done.is_set():
        ticks.append(time.monotonic())
        time.sleep(0.01)
thread = threading.Thread(target=tick)
thread.start()
start = time.monotonic()
job.to_arrow()
took = time.monotonic() - start
done.set()
thread.join()
gaps = [later - one for one, later in zip(ticks, ticks[1:])]
assert len(ticks) > took / 0.05, (len(ticks), took)
assert max(gaps) < 0.5, max(gaps)
"""
    child = python(RUN + code, long_runs)
    errors = child.communicate(timeout=60)[1]
    assert child.returncode == 0, errors.decode()


def test_a_stream_gives_what_the_table_has(long_runs):
    store = FeatureStore(long_runs)
    job = store.get_historical_features("asked.parquet", ["v0:trips"])
    whole = job.to_arrow()
    reader = job.to_batches()
    assert reader.schema == whole.schema
    assert reader.read_all().equals(whole)
    assert pl.DataFrame(job).equals(job.to_polars())
