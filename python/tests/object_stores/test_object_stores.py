"""Tables in object stores and on web servers, read and written: S3 as moto's server speaks it."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import boto3
import deltalake
import numpy
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lodestore import FeatureStore
from lodestore.errors import (
    AlreadyExistsError,
    InvalidError,
    LodestoreError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Tables

    from lodestore.retrieval_job import RetrievalJob

BUCKET = "models"
KEY, SECRET = "key-id", "s3cr3t-access-key"
FEATURES = {"trips": "int64", "rate": "float64", "city": "string", "day": "date"}
LARGE = 1_900_000


class Bucket:
    """An empty bucket, and stores that reach it."""

    def __init__(self, url: str, tables: Tables) -> None:
        self.url = url
        self.tables = tables
        self.client = client(url)

    def options(self, **more: str) -> dict[str, str]:
        access = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "aws_region": "us-east-1"}
        return {"aws_endpoint": self.url, "aws_allow_http": "true", **access, **more}

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def put_table(self, key: str, table: pa.Table, **options: Any) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **options)
        self.put(key, sink.getvalue().to_pybytes())

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def uploads(self) -> list[str]:
        return [found["Key"] for found in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def job(self, path: object, options: dict[str, str] | None = None, **source: Any) -> RetrievalJob:
        return ask(self.tables, path, self.options() if options is None else options, **source)

    def ask(self, path: object, options: dict[str, str] | None = None, **source: Any) -> list[str]:
        return lines(self.job(path, options, **source))


def client(url: str, key: str = KEY, secret: str = SECRET, service: str = "s3") -> Any:
    access = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=url, **access)


def repository(tables: Tables, path: object, options: dict[str, str], **source: Any) -> FeatureStore:
    """The applied store of a repository with storage options, whose view reads a table."""
    repo = tables.folder / f"repo with options {next(tables.count)}"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(
        f"project: lake\nregistry: data/registry.db\nstorage_options: {json.dumps(options)}\n"
    )
    table = {"name": "table", "type": "file", "path": str(path), "timestamp_field": "event_timestamp", **source}
    schema = [{"name": name, "type": of} for name, of in FEATURES.items()]
    (repo / "definitions.yaml").write_text(
        "version: 1\n"
        "entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]\n"
        f"data_sources: [{json.dumps(table)}]\n"
        f"feature_views: [{{name: stats, entities: [driver], source: table, schema: {json.dumps(schema)}}}]\n"
    )
    store = FeatureStore(repo)
    store.apply()
    return store


def ask(tables: Tables, path: object, options: dict[str, str] | None = None, **source: Any) -> RetrievalJob:
    """The features of every driver at times before, within and after those of the rows."""
    pairs = [(driver, hour) for driver in range(-1, 6) for hour in range(-3, 60, 4)]
    questions = {"driver_id": [d for d, _ in pairs], "event_timestamp": [tables.at(hour) for _, hour in pairs]}
    store = repository(tables, path, options or {}, **source)
    return store.get_historical_features(questions, [f"stats:{name}" for name in FEATURES])


def lines(job: RetrievalJob) -> list[str]:
    """An answer as text, in which NaN is like NaN."""
    answer = job.to_arrow()
    return [str(answer.schema), *map(str, answer.to_pylist())]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def bucket(s3: str, tables: Tables) -> Iterator[Bucket]:
    urllib.request.urlopen(urllib.request.Request(f"{s3}/moto-api/reset", method="POST")).close()
    bucket = Bucket(s3, tables)
    bucket.client.create_bucket(Bucket=BUCKET)
    return bucket


def large_job(bucket: Bucket, options: dict[str, str]) -> RetrievalJob:
    """A retrieval whose answer has 30 MB, for its numbers can't be compressed."""
    random = numpy.random.default_rng(7)
    questions = {
        "driver_id": random.integers(0, 4, LARGE),
        "event_timestamp": numpy.full(LARGE, numpy.datetime64("2024-01-03", "us")),
        "noise": random.random(LARGE),
        "more": random.random(LARGE),
    }
    bucket.put_table("source.parquet", bucket.tables.rows())
    store = repository(bucket.tables, f"s3://{BUCKET}/source.parquet", options)
    return store.get_historical_features(pa.table(questions), ["stats:trips"])


# Reading


def test_a_folder_with_partitions_answers_as_its_rows_in_a_file_do(bucket, tables):
    table = tables.rows()
    for part, key in enumerate(["day=2024-01-01", "day=2024-01-02"]):
        rows = table.filter(pyarrow.compute.equal(table["day"], table["day"][part * 4])).drop_columns(["day"])
        for half in (0, 1):
            bucket.put_table(f"a table/{key}/{half}.parquet", rows.slice(half * 7, 7 if half == 0 else None))
    bucket.put_table("a table/_old/x.parquet", table)
    bucket.put("a table/day=2024-01-01/.x.parquet", b"hidden")
    expected = tables.expected(table)
    for path in ("a table", "a table/", "a%20table/"):
        assert bucket.ask(f"s3://{BUCKET}/{path}") == expected


def test_files_are_found_by_name_and_by_glob(bucket, tables):
    first, second = tables.rows(), tables.rows(trips=1000, hours=range(1, 40, 6))
    bucket.put_table("x/one #1.parquet", first)
    bucket.put_table("x/two #2.parquet", second)
    bucket.put_table("x/deeper/three.parquet", tables.rows(trips=5000))
    assert bucket.ask(f"s3://{BUCKET}/x/one #1.parquet") == tables.expected(first)
    both = tables.expected(pa.concat_tables([first, second]))
    assert bucket.ask(f"s3://{BUCKET}/x/*.parquet") == both
    assert bucket.ask(f"s3://{BUCKET}/x/[ot]?? #?.parquet") == both
    assert bucket.ask(f"s3a://{BUCKET}/x/*.parquet") == both


def test_csv_is_read(bucket, tables, tmp_path):
    pyarrow.csv.write_csv(tables.rows(), tmp_path / "t.csv")
    bucket.put("t.csv", (tmp_path / "t.csv").read_bytes())
    assert bucket.ask(f"s3://{BUCKET}/t.csv", format="csv") == bucket.ask(tmp_path / "t.csv", format="csv")


@pytest.mark.parametrize("path", [f"s3://{BUCKET}/none.parquet", f"s3://{BUCKET}/none/", "s3://no-such-bucket/t/"])
def test_what_is_missing_is_named_by_its_url(bucket, path):
    with pytest.raises(NotFoundError, match=path):
        bucket.ask(path)


def test_only_the_ranges_that_matter_are_read(bucket, tables, proxy):
    bucket.url = proxy.url
    table = tables.rows(hours=range(48)).append_column("unused", pa.array(["x" * 5000 + str(i) for i in range(192)]))
    bucket.put_table("t.parquet", table, row_group_size=48, compression="none", use_dictionary=False)
    job = bucket.job(f"s3://{BUCKET}/t.parquet")
    proxy.requests.clear()
    job.to_arrow()
    assert [method for method, *_ in proxy.requests].count("HEAD") == 1
    gets = [asked for method, _, asked in proxy.requests if method == "GET"]
    ends = [asked.removeprefix("bytes=").split("-") for asked in gets]
    read = sum(int(end) - int(start) + 1 for start, end in ends)
    size = len(bucket.get("t.parquet"))
    assert read < size / 4, (gets, size)


# Settings


def test_settings_go_before_the_environment(bucket, tables, monkeypatch):
    bucket.put_table("t.parquet", tables.rows())
    for name, value in bucket.options().items():
        monkeypatch.setenv(name.upper(), value)
    assert bucket.ask(f"s3://{BUCKET}/t.parquet", {}) == tables.expected(tables.rows())
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    assert bucket.ask(f"s3://{BUCKET}/t.parquet") == tables.expected(tables.rows())
    with pytest.raises(UnavailableError, match=f"s3://{BUCKET}/t.parquet"):
        bucket.ask(f"s3://{BUCKET}/t.parquet", {"max_retries": "0"})


def test_an_unknown_option_is_named_with_near_ones(bucket):
    with pytest.raises(InvalidError, match=r"storage option 'aws_endpiont'; did you mean 'aws_endpoint'"):
        bucket.ask(f"s3://{BUCKET}/t.parquet", bucket.options(aws_endpiont="x"))


def test_wrong_credentials_are_told_without_them(bucket, tables):
    bucket.put_table("t.parquet", tables.rows())
    iam = client(bucket.url, service="iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
    right = bucket.options(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    wrong = {**right, "aws_secret_access_key": SECRET}

    def check_credentials(after: bytes) -> None:
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{bucket.url}/moto-api/reset-auth", after, headers)
        urllib.request.urlopen(request).close()

    check_credentials(b"0")
    try:
        assert bucket.ask(f"s3://{BUCKET}/t.parquet", right) == tables.expected(tables.rows())
        with pytest.raises(PermissionDeniedError, match=f"s3://{BUCKET}/t.parquet") as refused:
            bucket.ask(f"s3://{BUCKET}/t.parquet", wrong)
        assert SECRET not in str(refused.value)
        job = bucket.job(tables_file(tables), wrong)
        with pytest.raises(PermissionDeniedError, match=f"s3://{BUCKET}/out.parquet"):
            job.to_parquet(f"s3://{BUCKET}/out.parquet")
    finally:
        check_credentials(b"inf")


def tables_file(tables: Tables) -> Path:
    file = tables.folder / "local.parquet"
    pq.write_table(tables.rows(), file)
    return file


# Writing


def test_a_file_is_the_same_wherever_it_is_read_and_written(bucket, tables, tmp_path):
    bucket.put_table("t.parquet", tables.rows())
    assert bucket.job(tables_file(tables)).to_parquet(tmp_path / "local.out.parquet") == 112
    bucket.put("out/a.parquet", b"what was there is replaced")
    assert bucket.job(f"s3://{BUCKET}/t.parquet").to_parquet(f"s3://{BUCKET}/out/a.parquet") == 112
    assert bucket.get("out/a.parquet") == (tmp_path / "local.out.parquet").read_bytes()
    job = bucket.job(f"s3://{BUCKET}/t.parquet")
    job.to_csv(f"s3://{BUCKET}/out/a.csv")
    job.to_csv(tmp_path / "a.csv")
    assert bucket.get("out/a.csv") == (tmp_path / "a.csv").read_bytes()


def test_a_folder_with_partitions_is_read_back(bucket, tables):
    answer = bucket.job(tables_file(tables)).to_arrow()
    renamed = bucket.job(tables_file(tables))
    url = f"s3://{BUCKET}/training/week 1"
    assert renamed.to_parquet(url, partition_by=["city", "day"], max_rows_per_file=3) == answer.num_rows
    keys = bucket.keys()
    assert any(key.startswith("training/week 1/city=a b%2Fc%3Dd%25é/day=2024-01-01/part-") for key in keys), keys
    assert any("city=__HIVE_DEFAULT_PARTITION__/day=__HIVE_DEFAULT_PARTITION__/" in key for key in keys), keys
    # The answer as a table: its rows are found again at their own times.
    again = bucket.ask(url)
    local = tables.folder / "answer.parquet"
    pq.write_table(answer, local)
    assert again == bucket.ask(local)
    with pytest.raises(AlreadyExistsError, match="week%201' is not empty"):
        renamed.to_parquet(url)


def test_many_rows_are_uploaded_in_parts(bucket, tables, proxy):
    job = large_job(bucket, bucket.options(aws_endpoint=proxy.url))
    assert job.to_parquet(f"s3://{BUCKET}/large.parquet") == LARGE
    assert bucket.client.head_object(Bucket=BUCKET, Key="large.parquet")["ETag"].endswith('-2"')
    assert sum("partNumber" in path for _, path, _ in proxy.requests) == 2
    written = pq.read_table(pa.BufferReader(bucket.get("large.parquet")))
    assert written.equals(job.to_arrow())
    assert bucket.uploads() == []


def test_a_table_is_written_and_read_as_delta(bucket, tables):
    url = f"s3://{BUCKET}/delta/t"
    job = bucket.job(tables_file(tables))
    assert job.to_delta(url, partition_by=["day"]) == 112
    assert job.to_delta(url, mode="append") == 112
    with pytest.raises(AlreadyExistsError, match=url):
        job.to_delta(url)
    options = {name.upper(): value for name, value in bucket.options().items()}
    assert deltalake.DeltaTable(url, storage_options=options).to_pyarrow_table().num_rows == 224
    local = tables.folder / "answer.parquet"
    job.to_parquet(local)
    read = bucket.ask(url, format="delta")
    assert read == bucket.ask(local)


# Faults


@pytest.mark.parametrize("status", [503, 500, 0])
def test_requests_that_fail_are_tried_again(bucket, tables, proxy, status):
    bucket.put_table("t.parquet", tables.rows())
    failed = []

    def fail_each_the_first_time(method: str, path: str) -> int | None:
        if (method, path) in failed:
            return None
        failed.append((method, path))
        return status

    proxy.fault = fail_each_the_first_time
    job = bucket.job(f"s3://{BUCKET}/t.parquet", bucket.options(aws_endpoint=proxy.url))
    assert job.to_parquet(f"s3://{BUCKET}/out/", partition_by=["driver_id"]) == 112
    assert {method for method, _ in failed} == {"HEAD", "GET", "PUT"}
    proxy.fault = lambda _method, _path: None
    assert len(bucket.keys()) == 8


def test_a_store_that_stays_away_is_told(bucket, tables, proxy):
    proxy.fault = lambda _method, _path: 503
    options = bucket.options(aws_endpoint=proxy.url, max_retries="2")
    with pytest.raises(UnavailableError, match=f"s3://{BUCKET}/t.parquet.*503"):
        bucket.ask(f"s3://{BUCKET}/t.parquet", options)
    assert len(proxy.requests) == 3


@pytest.mark.parametrize("part", [1, 2])
def test_a_write_that_fails_leaves_nothing(bucket, tables, proxy, part):
    proxy.fault = lambda _method, path: 400 if f"partNumber={part}" in path else None
    job = large_job(bucket, bucket.options(aws_endpoint=proxy.url))
    with pytest.raises(LodestoreError, match=f"s3://{BUCKET}/large.parquet"):
        job.to_parquet(f"s3://{BUCKET}/large.parquet")
    assert bucket.keys() == ["source.parquet"]
    assert bucket.uploads() == []


def test_a_folder_is_there_wholly_or_not_at_all(bucket, tables, proxy):
    proxy.fault = lambda method, path: 400 if method == "PUT" and "driver_id=3/" in path.replace("%3D", "=") else None
    job = bucket.job(tables_file(tables), bucket.options(aws_endpoint=proxy.url))
    with pytest.raises(LodestoreError, match="driver_id=3/part-"):
        job.to_parquet(f"s3://{BUCKET}/out/", partition_by=["driver_id"], max_rows_per_file=10)
    assert bucket.keys() == []
    assert bucket.uploads() == []


def test_ctrl_c_leaves_nothing(bucket, tables, proxy):
    job = large_job(bucket, bucket.options(aws_endpoint=proxy.url))

    def interrupt(_method: str, path: str) -> int | None:
        if "partNumber=1" in path:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        return None

    proxy.fault = interrupt
    with pytest.raises(KeyboardInterrupt):
        job.to_parquet(f"s3://{BUCKET}/large.parquet")
    until = time.monotonic() + 10
    while bucket.uploads() and time.monotonic() < until:
        time.sleep(0.05)
    assert bucket.keys() == ["source.parquet"]
    assert bucket.uploads() == []


# Web servers


@pytest.fixture
def files(tables: Tables) -> Path:
    folder = tables.folder / "files"
    folder.mkdir()
    pq.write_table(tables.rows(), folder / "a table.parquet")
    pyarrow.csv.write_csv(tables.rows(), folder / "t.csv")
    return folder


def test_files_of_a_web_server_are_read(files, tables, web):
    url = web("RangeHTTPServer", files)
    for path, of in (("a table.parquet", {}), ("t.csv", {"format": "csv"})):
        assert lines(ask(tables, f"{url}/{path}", **of)) == lines(ask(tables, files / path, **of))
    with pytest.raises(NotFoundError, match=f"{url}/none.parquet"):
        ask(tables, f"{url}/none.parquet").to_arrow()
    with pytest.raises(InvalidError, match="is one file"):
        ask(tables, f"{url}/*.parquet").to_arrow()
    with pytest.raises(UnsupportedError, match="for reading"):
        ask(tables, files / "a table.parquet").to_parquet(f"{url}/out.parquet")


def test_a_web_server_without_ranges_is_told(files, tables, web):
    url = web("http.server", files)
    assert lines(ask(tables, f"{url}/t.csv", format="csv")) == lines(ask(tables, files / "t.csv", format="csv"))
    with pytest.raises(UnsupportedError, match=r"[Rr]ange"):
        ask(tables, f"{url}/a table.parquet")


def test_a_web_server_without_head_is_told(tables, web):
    class OnlyGet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.send_response(405)
            self.send_header("Content-Length", "0")
            self.end_headers()

    url = web(OnlyGet)
    with pytest.raises(UnsupportedError, match=f"{url}/t.parquet' does not answer HEAD"):
        ask(tables, f"{url}/t.parquet")


def test_urls_with_secrets_are_refused_and_not_repeated(tables):
    for url in ("https://me:hunter2@127.0.0.1/t.parquet", "https://127.0.0.1/t.parquet?sig=hunter2"):
        with pytest.raises(InvalidError, match=r"https://127\.0\.0\.1/t\.parquet") as refused:
            ask(tables, url, format="parquet").to_arrow()
        assert "hunter2" not in str(refused.value)
