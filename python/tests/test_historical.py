"""Training sets: frames of all kinds in, frames of all kinds out."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lodestore
from lodestore import SavedDatasetFileStorage
from lodestore.errors import AlreadyExistsError, InvalidError, NotFoundError

FEATURES = ["driver_stats:trips", "driver_stats:conv_rate"]


def at(hour, minute=0):
    return datetime(2024, 1, 1, hour, minute, tzinfo=timezone.utc)


KEYS = [1002, 1001, 1001, 1003, 1001]
TIMES = [at(12), at(10, 30), at(11), at(12), at(9)]
TRIPS = [7, 10, 12, None, None]
RATES = [0.25, 0.5, None, None, None]


def questions():
    return {"driver_id": KEYS, "event_timestamp": TIMES, "label": ["e", "d", "c", "b", "a"]}


FRAMES = {
    "dict": lambda: questions(),
    "rows": lambda: [dict(zip(questions(), row, strict=True)) for row in zip(*questions().values(), strict=True)],
    "pandas": lambda: pd.DataFrame(questions()),
    "pandas with pyarrow dtypes": lambda: pa.table(questions()).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(questions()),
    "table": lambda: pa.table(questions()),
    "record batch": lambda: pa.RecordBatch.from_pydict(questions()),
    "reader": lambda: pa.table(questions()).to_reader(),
    "duckdb": lambda: duckdb.from_arrow(pa.table(questions())),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_p1_every_kind_of_frame_is_answered_row_by_row(applied, frame):
    table = applied.get_historical_features(frame(), FEATURES).to_arrow()
    assert table.column_names == ["driver_id", "event_timestamp", "label", "trips", "conv_rate"]
    assert table["driver_id"].to_pylist() == KEYS
    assert table["label"].to_pylist() == ["e", "d", "c", "b", "a"]
    assert table["trips"].to_pylist() == TRIPS
    assert table["conv_rate"].to_pylist() == RATES
    assert table.schema.field("trips").type == pa.int64()


def test_p1_the_callers_pandas_columns_are_untouched(applied):
    frame = pd.DataFrame(questions(), index=pd.Index([5, 5, 3, 1, 0], name="nr"))
    frame["label"] = frame["label"].astype("category")
    frame["weight"] = [1.5, None, 2.5, None, 3.5]
    frame["code"] = pd.array([1, 2, 3, 4, 5], dtype="uint8")
    frame["event_timestamp"] = frame["event_timestamp"].astype("datetime64[ns, Europe/Zurich]")
    before = frame.copy(deep=True)
    answer = applied.get_historical_features(frame, FEATURES).to_df()
    pd.testing.assert_frame_equal(answer[list(before)], before)
    pd.testing.assert_frame_equal(frame, before)
    assert list(answer) == [*before, "trips", "conv_rate"]
    assert str(answer["trips"].dtype) == "Int64"
    assert answer["trips"].tolist() == [7, 10, 12, pd.NA, pd.NA]
    assert str(answer["conv_rate"].dtype) == "float64"


def test_a_feature_dtype_does_not_depend_on_missing_values(applied):
    frame = pd.DataFrame(questions())
    for rows in (frame.iloc[:1], frame.iloc[3:4], frame.iloc[:0]):
        assert str(applied.get_historical_features(rows, FEATURES).to_df()["trips"].dtype) == "Int64"


def test_the_frame_may_change_before_the_job_runs(applied):
    frame = pd.DataFrame(questions())
    job = applied.get_historical_features(frame, FEATURES)
    frame.pop("label")
    frame["new"] = 1
    assert list(job.to_df()) == [*questions(), "trips", "conv_rate"]
    assert job.to_df()["driver_id"].tolist() == KEYS
    assert job.to_df()["trips"].tolist() == [7, 10, 12, pd.NA, pd.NA]


def test_answers_come_in_every_form(applied, tmp_path):
    job = applied.get_historical_features(questions(), FEATURES)
    assert job.to_polars()["trips"].to_list() == TRIPS
    assert job.to_df()["trips"].tolist() == [7, 10, 12, pd.NA, pd.NA]
    assert str(job.to_df()["driver_id"].dtype) == "Int64"
    assert [row for batch in job.to_batches() for row in batch["trips"].to_pylist()] == TRIPS
    assert job.schema == job.to_arrow().schema
    assert pl.DataFrame(job)["trips"].to_list() == TRIPS
    assert duckdb.from_arrow(pa.table(job)).count("*").fetchall() == [(5,)]
    assert job.to_parquet(tmp_path / "out.parquet") == 5
    assert pq.read_table(tmp_path / "out.parquet")["trips"].to_pylist() == TRIPS
    assert "driver_stats@1" in job.explain()


def test_full_names_services_aliases_and_join_key_maps(applied):
    job = applied.get_historical_features(questions(), FEATURES[:1], full_feature_names=True)
    assert job.schema.names[-1] == "driver_stats__trips"
    service = applied.get_feature_service("driver_model")
    assert applied.get_historical_features(questions(), service).schema.names[-2:] == ["conv_rate", "trips"]
    trips = {"origin_id": ["bern", "oslo"], "destination_id": ["rome", "bern"]}
    model = applied.get_feature_service("trip_model")
    table = applied.get_historical_features(trips, model, full_feature_names=True).to_arrow()
    assert table["origin__population"].to_pylist() == [134000, None]
    assert table["destination__population"].to_pylist() == [2800000, 134000]


def test_t1_times_without_a_zone_are_utc(applied):
    naive = {"driver_id": [1001], "event_timestamp": [datetime(2024, 1, 1, 11)]}
    west = timezone(timedelta(hours=-5))
    zoned = {"driver_id": [1001], "event_timestamp": [datetime(2024, 1, 1, 6, tzinfo=west)]}
    for frame in (naive, zoned, pd.DataFrame(naive), pd.DataFrame(zoned)):
        assert applied.get_historical_features(frame, FEATURES[:1]).to_arrow()["trips"].to_pylist() == [12]


def test_p4_as_known_has_feasts_name_too(applied):
    frame = {"driver_id": [1001], "event_timestamp": [at(11, 1)]}
    assert applied.get_historical_features(frame, FEATURES[:1]).to_arrow()["trips"].to_pylist() == [12]
    for given in ({"as_known": True}, {"filter_by_created_timestamp": True}):
        job = applied.get_historical_features(frame, FEATURES[:1], **given)
        assert job.to_arrow()["trips"].to_pylist() == [10]


def test_v3_defaults_stand_where_they_are_asked_for(applied):
    frame = {"driver_id": [1003], "event_timestamp": [at(12)]}
    job = applied.get_historical_features(frame, FEATURES, use_defaults=True)
    assert job.to_arrow().select(["trips", "conv_rate"]).to_pylist() == [{"trips": 0, "conv_rate": None}]


def test_p9_without_a_frame_every_row_of_the_interval_is_a_question(applied):
    job = applied.get_historical_features(features=FEATURES[:1], start_date=at(10), end_date=datetime(2024, 1, 1, 11))
    assert job.to_arrow()["trips"].to_pylist() == [12]
    assert str(job.to_df()["trips"].dtype) == "Int64"


def test_wrong_questions_are_refused_by_name(applied):
    with pytest.raises(InvalidError, match="driver_id"):
        applied.get_historical_features({"event_timestamp": [at(10)]}, FEATURES)
    with pytest.raises(InvalidError, match="event_timestamp"):
        applied.get_historical_features({"driver_id": [1]}, FEATURES)
    with pytest.raises(NotFoundError, match="did you mean 'trips'"):
        applied.get_historical_features(questions(), ["driver_stats:trip"])
    with pytest.raises(InvalidError):
        applied.get_historical_features(questions(), FEATURES, start_date=at(1), end_date=at(2))
    with pytest.raises(InvalidError):
        applied.get_historical_features(features=FEATURES)
    with pytest.raises(InvalidError):
        applied.get_historical_features(questions(), [])
    with pytest.raises(TypeError, match="features must be a list"):
        applied.get_historical_features(questions(), "driver_stats:trips")
    with pytest.raises(TypeError, match="entity_df must be"):
        applied.get_historical_features(7, FEATURES)
    text_keys = pd.DataFrame({"driver_id": ["1001"], "event_timestamp": [at(10)]})
    with pytest.raises(InvalidError, match="driver_id"):
        applied.get_historical_features(text_keys, FEATURES).to_df()


def test_saved_datasets_are_written_listed_and_read(applied, repo_path):
    job = applied.get_historical_features(questions(), FEATURES)
    saved = applied.create_saved_dataset(job, "june", SavedDatasetFileStorage("data/june.parquet"), {"a": "b"})
    assert (saved.name, saved.num_rows, saved.tags) == ("june", 5, {"a": "b"})
    assert saved.features == ["driver_stats@1:trips", "driver_stats@1:conv_rate"]
    assert saved.created_at <= datetime.now(timezone.utc)
    assert (repo_path / "data" / "june.parquet").exists()
    again = applied.get_saved_dataset("june")
    assert again.to_arrow()["trips"].to_pylist() == TRIPS
    assert again.to_df()["trips"].tolist() == [7, 10, 12, pd.NA, pd.NA]
    assert again.to_polars()["trips"].to_list() == TRIPS
    assert [one.name for one in applied.list_saved_datasets()] == ["june"]
    with pytest.raises(AlreadyExistsError, match="june"):
        applied.create_saved_dataset(job, "june", "data/june.parquet")
    assert applied.create_saved_dataset(job, "june", "data/june.parquet", allow_overwrite=True).num_rows == 5
    with pytest.raises(NotFoundError):
        applied.get_saved_dataset("may")


WITHOUT = """
import sys
for name in ("pandas", "pyarrow", "polars", "numpy"):
    sys.modules[name] = None
from datetime import datetime
from lodestore import FeatureStore, PushMode
store = FeatureStore(sys.argv[1])
store.apply()
store.materialize(datetime(2024, 1, 1), datetime(2024, 1, 2), ["driver_stats"], progress=False)
answer = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}])
assert answer.to_dict() == {"driver_id": [1001], "trips": [12]}, answer.to_dict()
store.push("driver_push", [{"driver_id": 1, "event_timestamp": datetime(2024, 1, 1), "trips": 3, "conv_rate": 0.5}])
assert store.get_online_features(["driver_live:trips"], {"driver_id": [1]}).to_dict()["trips"] == [3]
questions = [{"driver_id": 1001, "event_timestamp": datetime(2024, 1, 1, 12)}]
job = store.get_historical_features(questions, ["driver_stats:trips"])
assert job.to_parquet(sys.argv[1] + "/out.parquet") == 1
assert type(job.__arrow_c_stream__()).__name__ == "PyCapsule"
for needed, ask in {"pandas": job.to_df, "arrow": job.to_arrow, "polars": job.to_polars}.items():
    try:
        ask()
    except ImportError as error:
        assert f"pip install 'lodestore[{needed}]'" in str(error), error
    else:
        raise AssertionError(needed)
print("done")
"""


def test_nothing_but_the_package_is_needed(repo_path):
    command = [sys.executable, "-c", WITHOUT, str(repo_path)]
    environment = {"PYTHONPATH": str(Path(lodestore.__file__).parents[1])}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.stdout == "done\n", run.stderr
