"""Data sources: what they say, and frames in memory."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lodestore
from lodestore import (
    ArrowFormat,
    CsvFormat,
    DataFrameSource,
    DeltaFormat,
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    IcebergFormat,
    JsonFormat,
    ParquetFormat,
    PostgreSQLSource,
    PushSource,
)
from lodestore.data_source import parse_source
from lodestore.errors import InvalidError, NotFoundError, UnsupportedError
from lodestore.types import Float64, Int64

TIMED = {
    "timestamp_field": "at",
    "created_timestamp_column": "created",
    "field_mapping": {"n": "trips"},
    "availability_delay": timedelta(hours=2),
    "description": "d",
    "tags": {"a": "b"},
    "owner": "o",
}
IN_FILES = {**TIMED, "availability_delay": "2h"}


def at(hour):
    return datetime(2024, 1, 1, hour, tzinfo=timezone.utc)


NOON = datetime(2024, 1, 31, 12, tzinfo=timezone.utc)
SOURCES = {
    "delta": (
        FileSource(name="s", path="lake/t", file_format=DeltaFormat(), version=0, **TIMED),
        {"type": "file", "path": "lake/t", "format": "delta", "version": 0, **IN_FILES},
    ),
    "iceberg": (
        FileSource(name="s", path="s3://lake/t", file_format=IcebergFormat(), timestamp=NOON, **TIMED),
        {"type": "file", "path": "s3://lake/t", "format": "iceberg", "timestamp": "2024-01-31T12:00:00Z", **IN_FILES},
    ),
    "a table of PostgreSQL": (
        PostgreSQLSource("s", table="rides.stats", connection="warehouse", **TIMED),
        {"type": "postgres", "table": "rides.stats", "connection": "warehouse", **IN_FILES},
    ),
    "a query of PostgreSQL": (
        PostgreSQLSource("s", "SELECT 1", **TIMED),
        {"type": "postgres", "query": "SELECT 1", **IN_FILES},
    ),
    "a frame": (DataFrameSource(name="s", df={"a": [1]}, **TIMED), {"type": "memory", **IN_FILES}),
}


@pytest.mark.parametrize(("source", "document"), SOURCES.values(), ids=SOURCES)
def test_a_source_is_written_registered_and_read_back_equal(applied, source, document):
    assert source.to_document() == {"name": "s", **document}
    assert parse_source(source.to_document()) == source
    applied.apply(source)
    found = applied.get_data_source("s")
    assert found == source
    assert type(found) is type(source)
    assert applied.plan(found).is_empty


def test_every_format_is_known_by_its_name():
    formats = [ParquetFormat(), CsvFormat(), JsonFormat(), ArrowFormat(), DeltaFormat(), IcebergFormat()]
    written = [FileSource(path="p", file_format=form).to_document() for form in formats]
    assert [one["format"] for one in written] == ["parquet", "csv", "json", "arrow", "delta", "iceberg"]
    assert [parse_source(one).file_format for one in written] == formats


def test_a_timestamp_is_kept_to_the_microsecond_in_utc():
    west = timezone(timedelta(hours=-5))
    for given, expected in (
        (datetime(2024, 1, 31, 12), "2024-01-31T12:00:00Z"),
        (datetime(2024, 1, 31, 7, tzinfo=west), "2024-01-31T12:00:00Z"),
        (datetime(2024, 1, 31, 12, 0, 0, 50), "2024-01-31T12:00:00.000050Z"),
    ):
        source = FileSource(path="t", file_format=DeltaFormat(), timestamp=given)
        assert source.to_document()["timestamp"] == expected
        assert parse_source(source.to_document()) == source
    early = FileSource(path="t", file_format=DeltaFormat(), timestamp=datetime(2024, 1, 31, 12, 0, 0, 500_000))
    assert parse_source({**early.to_document(), "timestamp": "2024-01-31T12:00:00.5Z"}) == early


def test_a_time_of_a_table_comes_back_equal_from_the_registry(applied):
    source = FileSource(
        name="s", path="t", file_format=DeltaFormat(), timestamp=datetime(2024, 1, 31, 12, 0, 0, 500_000)
    )
    applied.apply(source)
    assert applied.get_data_source("s") == source


WRONG = {
    "neither table nor query": (lambda: PostgreSQLSource("s"), InvalidError, "'s': give either a table or a query"),
    "both": (lambda: PostgreSQLSource("s", "SELECT 1", "t"), InvalidError, "give either a table or a query"),
    "a query without a name": (lambda: PostgreSQLSource(query="SELECT 1"), InvalidError, "of a query: it needs a name"),
    "no text": (lambda: PostgreSQLSource(table=7), TypeError, "text that is not empty, not 7"),
    "Feast's connection": (
        lambda: PostgreSQLSource(table="t", connection_ref=object()),
        UnsupportedError,
        "connection='warehouse'",
    ),
    "Feast's endpoint": (
        lambda: FileSource(path="p", s3_endpoint_override="http://x"),
        UnsupportedError,
        "set aws_endpoint under storage_options in feature_store.yaml",
    ),
    "a version that is no number": (
        lambda: FileSource(path="p", version="3"),
        TypeError,
        "version must be a whole number",
    ),
    "a time that is none": (lambda: FileSource(path="p", timestamp="2024"), TypeError, "timestamp must be a datetime"),
    "a word too much": (
        lambda: DataFrameSource(name="s", path="p"),
        TypeError,
        "data source 's': unexpected keyword argument 'path'",
    ),
}


@pytest.mark.parametrize(("make", "error", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_source_is_said(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_version_of_plain_files_is_refused(applied):
    view = FeatureView(name="v", entities=["driver"], schema=[Field(name="x", dtype=Int64)], source="s")
    with pytest.raises(InvalidError, match="only delta and iceberg tables have"):
        applied.apply([FileSource(name="s", path="t.parquet", version=3), view])


# Frames in memory

ROWS = {"driver_id": [1, 1, 2], "at": [at(9), at(11), at(9)], "trips": [3, None, 5], "rate": [0.5, 0.25, 1.0]}
FRAMES = {
    "dict": lambda: ROWS,
    "rows": lambda: [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)],
    "pandas": lambda: pd.DataFrame({**ROWS, "trips": pd.array(ROWS["trips"], dtype="Int64")}),
    "polars": lambda: pl.DataFrame(ROWS),
    "table": lambda: pa.table(ROWS),
    "record batch": lambda: pa.RecordBatch.from_pydict(ROWS),
}
ASKED = {"driver_id": [2, 1, 1, 1, 3], "event_timestamp": [at(10), at(12), at(10), at(8), at(12)]}
FEATURES = ["stats:trips", "stats:rate"]


def stats_of(source):
    driver = Entity(name="driver", join_keys=[("driver_id", Int64)])
    schema = [Field(name="trips", dtype=Int64), Field(name="rate", dtype=Float64)]
    return FeatureView(name="stats", entities=[driver], source=source, schema=schema)


@pytest.fixture
def empty(tmp_path):
    """The store of a repository without definitions."""
    (tmp_path / "feature_store.yaml").write_text("project: frames\nregistry: registry.db\n")
    return FeatureStore(tmp_path)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_features_come_from_a_frame_of_any_kind(empty, frame):
    empty.apply(stats_of(DataFrameSource(name="frame", df=frame(), timestamp_field="at")))
    table = empty.get_historical_features(ASKED, FEATURES).to_arrow()
    assert table["trips"].to_pylist() == [5, None, 3, None, None]
    assert table["rate"].to_pylist() == [1.0, 0.25, 0.5, None, None]


def test_a_frame_is_materialised_and_asked_by_sql(empty):
    empty.apply(stats_of(DataFrameSource(name="frame", df=pl.DataFrame(ROWS), timestamp_field="at")))
    empty.materialize(at(0), at(23))
    answer = empty.get_online_features(FEATURES, {"driver_id": [1, 2]}).to_dict()
    assert answer == {"driver_id": [1, 2], "trips": [None, 5], "rate": [0.25, 1.0]}
    sql = "SELECT driver_id, max(at) AS event_timestamp FROM frame GROUP BY driver_id ORDER BY driver_id"
    assert empty.get_historical_features(sql, FEATURES).to_arrow()["rate"].to_pylist() == [0.25, 1.0]


def test_the_schema_of_a_view_is_that_of_the_frame(empty):
    source = DataFrameSource(name="frame", df=pl.DataFrame(ROWS), timestamp_field="at")
    driver = Entity(name="driver", join_keys=[("driver_id", Int64)])
    empty.apply(FeatureView(name="stats", entities=[driver], source=source))
    fields = {field.name: field.dtype for field in empty.get_feature_view("stats").schema}
    assert fields == {"trips": Int64, "rate": Float64}


def test_the_frame_behind_a_push_source_comes_along(empty):
    frame = DataFrameSource(name="frame", df=ROWS, timestamp_field="at")
    empty.apply(stats_of(PushSource(name="push", batch_source=frame)))
    assert empty.get_historical_features(ASKED, FEATURES).to_arrow()["trips"].to_pylist() == [5, None, 3, None, None]


def test_another_frame_takes_the_place_of_the_first(empty):
    view = stats_of(DataFrameSource(name="frame", df=ROWS, timestamp_field="at"))
    empty.apply(view)
    other = {**ROWS, "trips": [30, 40, 50]}
    empty.apply(DataFrameSource(name="frame", df=other, timestamp_field="at"))
    assert empty.get_historical_features(ASKED, FEATURES).to_arrow()["trips"].to_pylist() == [50, 40, 30, None, None]
    # The definition alone leaves the rows as they are.
    empty.apply(DataFrameSource(name="frame", timestamp_field="at", description="words"))
    assert empty.get_historical_features(ASKED, FEATURES).to_arrow()["trips"].to_pylist() == [50, 40, 30, None, None]


def test_a_later_session_is_told_that_it_has_no_frame_and_can_be_given_one(empty, tmp_path):
    view = stats_of(DataFrameSource(name="frame", df=ROWS, timestamp_field="at"))
    empty.apply(view)
    later = FeatureStore(tmp_path)
    with pytest.raises(NotFoundError, match="'frame' is a frame in memory, and this process was not given it"):
        later.get_historical_features(ASKED, FEATURES).to_arrow()
    source = later.get_data_source("frame")
    assert source == view.source
    assert source.df is None
    later.apply(view)
    assert later.get_historical_features(ASKED, FEATURES).to_arrow()["trips"].to_pylist() == [5, None, 3, None, None]


def test_a_frame_without_the_views_columns_is_refused(empty):
    with pytest.raises(InvalidError, match="rate"):
        empty.apply(
            stats_of(
                DataFrameSource(name="frame", df={"driver_id": [1], "at": [at(1)], "trips": [1]}, timestamp_field="at")
            )
        )
    with pytest.raises(TypeError, match="data source 'frame': df must be a pandas, Polars or Arrow frame"):
        empty.apply(DataFrameSource(name="frame", df=7))
    assert empty.list_data_sources() == []


def test_a_frame_is_no_part_of_what_is_printed_or_compared():
    source = DataFrameSource(name="frame", df=pd.DataFrame(ROWS), timestamp_field="at")
    assert repr(source) == "DataFrameSource(name='frame', timestamp_field='at')"
    assert source == DataFrameSource(name="frame", timestamp_field="at")


IN_A_FILE = """
from lodestore import DataFrameSource, Entity, FeatureView, Field
from lodestore.types import Int64

driver = Entity(name="driver", join_keys=[("driver_id", Int64)])
frame = DataFrameSource(name="frame", df={"driver_id": [1], "trips": [3]})
stats = FeatureView(name="stats", entities=[driver], source=frame, schema=[Field(name="trips", dtype=Int64)])
"""


def test_the_frame_of_a_repositorys_file_is_registered_without_its_rows(empty, tmp_path):
    (tmp_path / "features.py").write_text(IN_A_FILE)
    plan = empty.apply()
    assert "warning: view 'stats@1': " in str(plan)
    assert "this process was not given it" in str(plan)
    asked = {"driver_id": [1], "event_timestamp": [at(1)]}
    with pytest.raises(NotFoundError, match="this process was not given it"):
        empty.get_historical_features(asked, ["stats:trips"]).to_arrow()
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import features; from lodestore import FeatureStore;"
        "from datetime import datetime; store = FeatureStore(sys.argv[1]); store.apply(features.stats);"
        "asked = {'driver_id': [1], 'event_timestamp': [datetime(2024, 1, 1)]};"
        "print(store.get_historical_features(asked, ['stats:trips']).to_arrow()['trips'].to_pylist())"
    )
    environment = {"PYTHONPATH": str(Path(lodestore.__file__).parents[1])}
    command = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout == "[3]\n"
