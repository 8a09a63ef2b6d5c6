"""PostgreSQL servers as they are: slow, strict, gone; and what is left running there."""

import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timezone

import pytest

from lodestore import SavedDatasetFileStorage
from lodestore.errors import (
    ExhaustedError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)

FEATURE = ["stats:score"]
ASKED = {"driver_id": [1], "event_timestamp": [datetime(2024, 1, 2, tzinfo=timezone.utc)]}

ONE_ROW = "select 1 as driver_id, timestamptz '2024-01-01 00:00Z' as at, 1.0::float8 as score"


def definitions(source):
    return f"""
entities: [{{name: driver, join_keys: [{{name: driver_id, type: int64}}]}}]
data_sources:
  - name: rows
    type: postgres
    timestamp_field: at
    {source}
feature_views:
  - {{name: stats, entities: [driver], source: rows, schema: [{{name: score, type: float64}}]}}
"""


def query(sql):
    return definitions(f'query: "{sql}"')


def score(store):
    return store.get_historical_features(ASKED, FEATURE).to_arrow()["score"].to_pylist()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"password": "secret-2"}, UnauthenticatedError, "'warehouse'.*password authentication failed"),
        ({"user": "nobody", "password": "secret-2"}, UnauthenticatedError, "'warehouse'.*\"nobody\""),
        ({"database": "nowhere"}, NotFoundError, "'warehouse'.*database \"nowhere\" does not exist"),
        ({"port": 1}, UnavailableError, "'warehouse'.*refused"),
        ({"sslmode": "verify-full"}, UnavailableError, "'warehouse'.*certificate"),
        ({"sslrootcert": "none.crt"}, InvalidError, "'warehouse'.*root certificate '.*none.crt' can't be read"),
    ],
)
def test_connections_that_fail_are_named_and_keep_their_secrets(make_store, settings, error, message):
    with pytest.raises(error, match=message) as raised:
        score(make_store(query(ONE_ROW), **settings))
    assert "secret" not in str(raised.value)


def test_urls_that_are_not_understood_are_not_shown(make_store):
    with pytest.raises(InvalidError, match=r"'warehouse'.*url is not understood") as raised:
        make_store(query(ONE_ROW), "connections: {warehouse: {type: postgres, url: 'a:secret@b c'}}")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
def test_connections_are_encrypted_as_asked(make_store, sslmode):
    sql = "select 1 as driver_id, timestamptz '2024-01-01 00:00Z' as at, ssl::int::float8 as score from pg_stat_ssl"
    store = make_store(query(sql + " where pid = pg_backend_pid()"), sslmode=sslmode)
    assert score(store) == [0.0 if sslmode == "disable" else 1.0]


@pytest.mark.parametrize("sslmode", ["prefer", "verify-full"])
def test_servers_are_verified_by_a_root_certificate_and_their_name(server, make_store, sslmode):
    trusted = {"sslmode": sslmode, "sslrootcert": server.root_certificate}
    assert score(make_store(query(ONE_ROW), **trusted)) == [1.0]
    with pytest.raises(UnavailableError, match="certificate not valid for name"):
        score(make_store(query(ONE_ROW), host="127.0.0.1", **trusted))


def test_a_url_and_the_password_of_the_environment(server, make_store, monkeypatch):
    url = f"postgresql://postgres@localhost:{server.port}/postgres?connect_timeout=5&sslmode=require"
    settings = f"connections: {{warehouse: {{type: postgres, url: '{url}'}}}}"
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(UnauthenticatedError, match="password missing"):
        make_store(query(ONE_ROW), settings)
    monkeypatch.setenv("PGPASSWORD", server.password)
    assert score(make_store(query(ONE_ROW), settings)) == [1.0]


def test_an_offline_store_of_feasts_is_a_connection(server, make_store):
    server.run("create schema feast; create table feast.rows as " + ONE_ROW)
    settings = f"provider: local\noffline_store: {server.settings(db_schema='feast')}"
    assert score(make_store(definitions("table: rows"), settings)) == [1.0]


def test_a_source_names_its_connection_where_there_are_several(server, make_store):
    settings = f"connections: {{one: {server.settings()}, two: {server.settings(database='nowhere')}}}"
    assert score(make_store(definitions(f"connection: one\n    query: {ONE_ROW}"), settings)) == [1.0]
    with pytest.raises(InvalidError, match=r"does not say which connection.*'one', 'two'"):
        make_store(query(ONE_ROW), settings)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("table: missing", NotFoundError, "'missing' from 'warehouse'.*relation \"missing\" does not exist"),
        ("table: nowhere.missing", NotFoundError, "nowhere.missing"),
        ("""table: 'kept"; drop table kept; --'""", NotFoundError, "does not exist"),
        ("table: Kept", NotFoundError, 'relation "Kept" does not exist'),
        ("query: select 1 as driver_id", InvalidError, "column '(at|score)'.*columns: 'driver_id'"),
        ("query: selec 1", InvalidError, "'rows' from 'warehouse': syntax error"),
        ("query: drop table kept", InvalidError, "syntax error"),
        ("query: select 1) as a; drop table kept; --", InvalidError, "syntax error"),
        ("query: select 1 as a, 2 as a", InvalidError, "two columns 'a'"),
        ("connection: lake\n    table: kept", InvalidError, "'kept'.*connection 'lake'.*they have: 'warehouse'"),
    ],
)
def test_sources_that_are_none_are_refused_and_nothing_is_run(server, make_store, source, error, message):
    server.run("create table if not exists kept as " + ONE_ROW)
    with pytest.raises(error, match=message):
        score(make_store(definitions(source)))
    assert server.run("select count(*) from kept") == ["1"]


def test_nothing_is_written_by_what_is_read(server, make_store):
    server.run(
        "create table written (a int); create function write() returns float8 language sql as "
        "'insert into written values (1) returning a'"
    )
    row = "select 1 as driver_id, timestamptz '2024-01-01 00:00Z' as at, "
    with pytest.raises(InvalidError, match="read-only transaction"):
        score(make_store(query(row + "write() as score")))
    unlock = "(select write() where set_config('transaction_read_only', 'off', false) = 'off') as score"
    with pytest.raises(InvalidError, match="read-write mode"):
        score(make_store(query(row + unlock)))
    assert server.run("select count(*) from written") == ["0"]


def test_a_role_that_may_not_read_and_a_statement_that_takes_too_long(server, make_store):
    server.run("create role stranger login password 'stranger'; create table private as " + ONE_ROW)
    with pytest.raises(PermissionDeniedError, match="permission denied for table private"):
        score(make_store(definitions("table: private"), user="stranger", password="stranger"))
    slow = make_store(query(ONE_ROW + " from pg_sleep(60)"), options="-c statement_timeout=300")
    with pytest.raises(ExhaustedError, match="statement timeout"):
        score(slow)


def test_fingerprints_change_with_the_rows(server, make_store, tmp_path):
    server.run("create table marked as " + ONE_ROW)
    store = make_store(definitions("table: marked"))

    def fingerprint(name):
        job = store.get_historical_features(ASKED, FEATURE)
        saved = store.create_saved_dataset(job, name, SavedDatasetFileStorage(tmp_path / f"{name}.parquet"))
        return saved.fingerprints

    first = fingerprint("first")
    assert "marked of warehouse, table " in first[0]
    server.run("create table other as select 1")
    assert fingerprint("second") == first
    server.run(f"insert into marked {ONE_ROW}")
    server.wait_for("select 1 where pg_stat_get_tuples_inserted('marked'::regclass) = 2")
    third = fingerprint("third")
    assert third != first
    server.run("truncate marked")
    assert fingerprint("fourth") != third
    store = make_store(query(ONE_ROW))
    fifth = fingerprint("fifth")
    assert "select 1 as driver_id" in fifth[0]
    server.run("create table another as select 1")
    assert fingerprint("sixth") != fifth


READ_ALL = """
import sys
from datetime import datetime, timezone
from lodestore import FeatureStore
store = FeatureStore(sys.argv[1])
moment = datetime(2024, 3, 1, tzinfo=timezone.utc)
asked = {"driver_id": [*range(1, int(sys.argv[2]) + 1)], "event_timestamp": [moment] * int(sys.argv[2])}
try:
    answer = store.get_historical_features(asked, ["stats:score"]).to_arrow()
    # Not `ru_maxrss`, in which the process that started this one is counted as well.
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(answer["score"].null_count, int(peak.split()[1]) // 1024)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
"""


def start(tmp_path, questions):
    command = [sys.executable, "-c", READ_ALL, str(tmp_path / "repo"), str(questions)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_m4_a_table_of_two_million_rows_is_read_in_little_memory(server, make_store, tmp_path):
    # Two million rows of about 500 bytes: 1 GB, of which next to nothing is kept.
    rows = "select 1001 + i % 5000 as driver_id, timestamptz '2024-01-01 00:00Z' + i * interval '1 second' as at, "
    rows += "repeat('x', 400) || i as score from generate_series(0, 1999999) as i"
    make_store(query(rows).replace("float64", "string"))
    reading = start(tmp_path, 6000)
    out, error = reading.communicate(timeout=300)
    assert reading.returncode == 0, error
    nulls, megabytes = map(int, out.split())
    assert nulls == 1000
    assert megabytes < 400


# A query that waits, and one that sends rows without end.
ENDLESS = {"waiting": ONE_ROW + " from pg_sleep(120)", "sending": ONE_ROW + " from generate_series(1, 1000000000)"}

RUNNING = "(select from pg_stat_activity where application_name = 'lodestore' and query like 'COPY%')"


def start_endless(server, make_store, tmp_path, sql):
    make_store(query(sql))
    server.wait_for(f"select 1 where not exists {RUNNING}")
    reading = start(tmp_path, 1)
    server.wait_for(f"select 1 where exists {RUNNING}")
    return reading


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
def test_a_query_is_cancelled_when_nobody_waits_for_it(server, make_store, tmp_path, sql):
    reading = start_endless(server, make_store, tmp_path, sql)
    before = server.log().count("canceling statement due to user request")
    os.kill(reading.pid, signal.SIGINT)
    assert reading.stdout.readline() == "interrupted\n"
    server.wait_for(f"select 1 where not exists {RUNNING}", 4)
    assert server.log().count("canceling statement due to user request") == before + 1
    assert reading.poll() is None
    reading.communicate(timeout=30)


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
def test_a_query_ends_when_the_process_that_waits_is_killed(server, make_store, tmp_path, sql):
    reading = start_endless(server, make_store, tmp_path, sql)
    reading.kill()
    reading.communicate(timeout=30)
    server.wait_for(f"select 1 where not exists {RUNNING}", 5)


def test_a_server_that_stops_is_unavailable_and_nothing_is_half_written(server, make_store):
    server.run(
        "create table stopping as select i as driver_id, timestamptz '2024-01-01 00:00Z' as at, 1.0::float8 as score "
        "from generate_series(1, 100000) as i"
    )
    slow = "select driver_id, at, score + 0 * length(pg_sleep(0.0005)::text) as score from stopping"
    store = make_store(query(slow))
    interval = (datetime(2023, 12, 1), datetime(2024, 2, 1))
    stop = threading.Timer(2, lambda: server.stop("fast"))
    stop.start()
    try:
        with pytest.raises(UnavailableError, match="'rows' from 'warehouse'"):
            store.materialize(*interval, ["stats"])
        stop.join()
        with pytest.raises(UnavailableError, match="connecting to 'warehouse'"):
            score(store)
    finally:
        stop.join()
        server.start()
    keys = [{"driver_id": 1}, {"driver_id": 100_000}]
    assert store.get_online_features(FEATURE, keys).statuses()["score"] == ["NOT_FOUND"] * 2
    fast = make_store(definitions("table: stopping"))
    fast.materialize(*interval, ["stats"])
    assert fast.get_online_features(FEATURE, keys).statuses()["score"] == ["PRESENT"] * 2
