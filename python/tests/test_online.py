"""Serving: materialise, push, write, delete, read."""

import asyncio
import os
import time
from datetime import datetime, timedelta, timezone

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lodestore import FeatureStore, PushMode
from lodestore.errors import InvalidError, NotFoundError

FEATURES = ["driver_stats:trips", "driver_stats:conv_rate"]
DAY = (datetime(2024, 1, 1), datetime(2024, 1, 2))


def at(hour):
    return datetime(2024, 1, 1, hour, tzinfo=timezone.utc)


def test_m3_a_report_adds_up(applied):
    report = applied.materialize(*DAY, ["driver_stats"])
    (view,) = report.views
    assert (view.view, view.start, view.until) == ("driver_stats@1", at(0), at(0) + timedelta(days=1))
    assert (view.rows_read, view.rows_written, view.rows_skipped, view.rows_refused) == (3, 2, 1, 0)
    assert (view.refused, view.refused_file) == ({}, None)
    assert view.seconds >= 0
    assert str(report) == "driver_stats@1: 3 rows read, 2 written, 1 skipped, 0 refused"
    again = applied.materialize(*DAY, ["driver_stats"]).views[0]
    assert (again.rows_read, again.rows_written, again.rows_skipped) == (3, 0, 3)


def test_m1_an_interval_is_open_at_its_start_and_a_future_end_is_refused(applied):
    assert applied.materialize(at(10), at(11), ["driver_stats"]).views[0].rows_read == 1
    with pytest.raises(InvalidError):
        applied.materialize(at(10), datetime.now(timezone.utc) + timedelta(days=1))
    with pytest.raises(InvalidError):
        applied.materialize(at(11), at(10))
    with pytest.raises(NotFoundError, match="driver_stats"):
        applied.materialize(at(10), at(11), ["driver_stat"])
    with pytest.raises(TypeError, match="feature_views must be a list"):
        applied.materialize(at(10), at(11), "driver_stats")


def test_m1_the_incremental_form_takes_what_arrived_since(applied, repo_path):
    assert applied.materialize_incremental(at(12), ["driver_stats"]).views[0].rows_written == 2
    with (repo_path / "data" / "driver_stats.csv").open("a") as file:
        file.write("1002,2024-01-01T09:00:00Z,2024-01-01T20:00:00Z,1,0.1\n")
        file.write("1002,2024-01-01T10:30:00Z,2024-01-01T20:00:00Z,8,0.3\n")
    assert applied.materialize_incremental(at(13), ["driver_stats"]).views[0].rows_written == 1
    answer = applied.get_online_features(FEATURES[:1], [{"driver_id": 1002}])
    assert answer.to_dict()["trips"] == [8]


def test_progress_is_shown_where_it_is_asked_for(applied, capfd):
    applied.materialize(*DAY, ["driver_stats"], progress=False)
    assert capfd.readouterr().err == ""
    applied.materialize(*DAY, ["driver_stats"], progress=True)
    assert "driver_stats" in capfd.readouterr().err


def test_o6_answers_come_in_the_order_asked(store):
    answer = store.get_online_features(FEATURES[::-1], [{"driver_id": key} for key in (1002, 7, 1001, 1002)])
    assert answer.to_dict() == {
        "driver_id": [1002, 7, 1001, 1002],
        "conv_rate": [0.25, None, None, 0.25],
        "trips": [7, None, 12, 7],
    }
    assert list(answer.to_dict()) == ["driver_id", "conv_rate", "trips"]
    assert answer.statuses() == {
        "conv_rate": ["PRESENT", "NOT_FOUND", "NULL_VALUE", "PRESENT"],
        "trips": ["PRESENT", "NOT_FOUND", "PRESENT", "PRESENT"],
    }


@pytest.mark.parametrize(
    "rows",
    [
        [{"driver_id": 1001}, {"driver_id": 7}],
        {"driver_id": [1001, 7]},
        pd.DataFrame({"driver_id": [1001, 7]}),
        pl.DataFrame({"driver_id": [1001, 7]}),
        pa.table({"driver_id": pa.array([1001, 7], pa.int32())}),
    ],
    ids=["rows", "dict", "pandas", "polars", "arrow"],
)
def test_keys_of_every_kind_are_read(store, rows):
    assert store.get_online_features(FEATURES[:1], rows).to_dict()["trips"] == [12, None]


def test_answers_come_in_every_form(store):
    answer = store.get_online_features(FEATURES, [{"driver_id": 1001}, {"driver_id": 7}])
    assert answer.to_arrow()["trips"].to_pylist() == [12, None]
    assert answer.to_arrow().schema.field("trips").type == pa.int64()
    assert answer.to_polars()["trips"].to_list() == [12, None]
    assert answer.to_df()["trips"].tolist() == [12, pd.NA]
    assert pa.table(answer).column_names == ["driver_id", "trips", "conv_rate"]
    times = answer.to_dict(include_event_timestamps=True)
    assert times["trips__ts"] == times["conv_rate__ts"] == [at(11), None]


def test_services_aliases_full_names_and_defaults(store):
    rows = [{"origin_id": "bern", "destination_id": "rome"}]
    model = store.get_feature_service("trip_model")
    assert store.get_online_features(model, rows, full_feature_names=True).to_dict() == {
        "origin_id": ["bern"],
        "destination_id": ["rome"],
        "origin__population": [134000],
        "destination__population": [2800000],
    }
    answer = store.get_online_features(FEATURES, [{"driver_id": 7}], use_defaults=True)
    assert answer.to_dict() == {"driver_id": [7], "trips": [0], "conv_rate": [None]}
    assert answer.statuses()["trips"] == ["NOT_FOUND"]


def test_o2_an_expired_value_is_null_and_says_so(applied):
    view = applied.get_feature_view("driver_stats")
    view.ttl = timedelta(days=1)
    applied.apply(view)
    applied.materialize(*DAY, ["driver_stats"])
    answer = applied.get_online_features(FEATURES[:1], [{"driver_id": 1001}])
    assert answer.to_dict()["trips"] == [None]
    assert answer.statuses() == {"trips": ["OUTSIDE_MAX_AGE"]}


def pushed(**given):
    return {
        "driver_id": [1],
        "event_timestamp": [at(12)],
        "created": [at(12)],
        "trips": [3],
        "conv_rate": [0.5],
        **given,
    }


@pytest.mark.parametrize(
    "frame", [dict, pd.DataFrame, pl.DataFrame, pa.table], ids=["dict", "pandas", "polars", "arrow"]
)
def test_o1_pushed_rows_are_read_and_older_ones_do_not_win(applied, frame):
    applied.push("driver_push", frame(pushed()))
    applied.push("driver_push", frame(pushed(event_timestamp=[at(11)], trips=[2])), to=PushMode.ONLINE)
    assert applied.get_online_features(["driver_live:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [3]


def test_wrong_pushes_are_refused_by_name(applied):
    with pytest.raises(NotFoundError, match="driver_push"):
        applied.push("driver_pus", pushed())
    with pytest.raises(InvalidError, match="trips"):
        applied.push("driver_push", pushed(trips=["many"]))
    with pytest.raises(InvalidError, match="driver_id"):
        applied.push("driver_push", {"event_timestamp": [at(12)], "trips": [1], "conv_rate": [0.5]})
    with pytest.raises(TypeError, match="to must be a PushMode"):
        applied.push("driver_push", pushed(), to="online")


def test_o5_deleted_keys_are_gone_and_older_rows_stay_out(store):
    store.delete_from_online_store("driver_stats", [{"driver_id": 1001}])
    assert store.get_online_features(FEATURES[:1], [{"driver_id": 1001}]).statuses() == {"trips": ["NOT_FOUND"]}
    store.materialize(*DAY, ["driver_stats"])
    assert store.get_online_features(FEATURES[:1], [{"driver_id": 1001}]).statuses() == {"trips": ["NOT_FOUND"]}


def test_o4_rows_are_written_to_one_view_in_part_or_whole(store):
    rows = {"driver_id": [1001], "event_timestamp": [at(12)], "trips": [99]}
    store.write_to_online_store("driver_stats", rows)
    assert store.get_online_features(FEATURES, [{"driver_id": 1001}]).to_dict()["trips"] == [99]
    assert store.get_online_features(["driver_live:trips"], [{"driver_id": 1001}]).to_dict()["trips"] == [None]
    with pytest.raises(NotFoundError):
        store.write_to_online_store("none", rows)


def test_wrong_reads_are_refused_by_name(store):
    with pytest.raises(NotFoundError, match="did you mean 'trips'"):
        store.get_online_features(["driver_stats:trip"], [{"driver_id": 1}])
    with pytest.raises(InvalidError, match="driver_id"):
        store.get_online_features(FEATURES, [{"driver": 1}])
    with pytest.raises(InvalidError, match="driver_id"):
        store.get_online_features(FEATURES, [{"driver_id": "1001"}])
    with pytest.raises(InvalidError, match="row 1 has columns"):
        store.get_online_features(FEATURES, [{"driver_id": 1}, {"driver": 1}])


def test_p6_a_null_key_matches_nothing(store):
    answer = store.get_online_features(FEATURES[:1], {"driver_id": [None, 1001]})
    assert answer.to_dict() == {"driver_id": [None, 1001], "trips": [None, 12]}


def test_an_array_has_the_features_as_numbers(store):
    rows = [{"driver_id": key} for key in (1002, 7, 1001)]
    array = store.get_online_features(FEATURES, rows).to_numpy()
    assert (array.shape, array.dtype.name) == ((3, 2), "float64")
    assert array[0].tolist() == [7.0, 0.25]
    assert array[1].tolist() != array[1].tolist(), "what is not there is NaN"
    assert array[2][0] == 12.0
    array[0][0] = 1.0
    none = store.get_online_features(FEATURES, {"driver_id": []}).to_numpy()
    assert none.shape == (0, 2)


def test_many_keys_are_read_as_one(store):
    keys = [1001, 7, 1002, None] * 2500
    many = store.get_online_features(FEATURES, {"driver_id": keys})
    few = store.get_online_features(FEATURES, {"driver_id": keys[:4]})
    for form in ("to_dict", "statuses"):
        expected = {name: values * 2500 for name, values in getattr(few, form)().items()}
        assert getattr(many, form)() == expected
    assert many.to_arrow().num_rows == 10_000


def test_an_answer_is_the_caller_s_own(store):
    def read(rows):
        return store.get_online_features(FEATURES, rows).to_dict()

    expected = {"driver_id": [1001], "trips": [12], "conv_rate": [None]}
    first = read([{"driver_id": 1001}])
    assert first == expected
    first["trips"].append("mine")
    first["more"] = []
    del first["driver_id"]
    for rows in ([{"driver_id": 1001}], {"driver_id": [1001]}, ({"driver_id": 1001},)):
        again = read(rows)
        assert again == expected
        assert list(again) == list(expected)
    response = store.get_online_features(FEATURES, {"driver_id": [1001]})
    one, other = response.to_dict(), response.to_dict()
    assert one == other == expected
    assert all(one[name] is not other[name] for name in one)


def test_other_columns_stay_in_the_caller_s_order(store):
    rows = {"note": ["a", "b"], "driver_id": [1001, 7]}
    answer = store.get_online_features(FEATURES[:1], rows).to_dict()
    assert answer == rows | {"trips": [12, None]}
    assert list(answer) == ["note", "driver_id", "trips"]
    with pytest.raises(InvalidError, match="the same number of values"):
        store.get_online_features(FEATURES, {"driver_id": [1001], "note": []})
    with pytest.raises(InvalidError, match="must be a list"):
        store.get_online_features(FEATURES, {"driver_id": 1001})


def test_reads_can_be_awaited(store):
    async def read(rows):
        answers = [store.get_online_features_async(FEATURES, rows) for _ in range(5)]
        return [answer.to_dict() for answer in await asyncio.gather(*answers)]

    for rows in ([{"driver_id": 1001}], {"driver_id": [1001, 7] * 500}, pd.DataFrame({"driver_id": [1001]})):
        expected = store.get_online_features(FEATURES, rows).to_dict()
        assert asyncio.run(read(rows)) == [expected] * 5
    with pytest.raises(NotFoundError, match="driver_stats"):
        asyncio.run(store.get_online_features_async(["driver_stat:trips"], [{"driver_id": 1001}]))


def test_what_another_process_applies_is_seen_within_a_second(store, repo_path):
    assert "trips" in store.get_online_features(FEATURES, [{"driver_id": 1001}]).to_dict()
    FeatureStore(repo_path).delete_feature_view("driver_stats", force=True)
    time.sleep(1.0)
    with pytest.raises(NotFoundError, match="driver_stats"):
        store.get_online_features(FEATURES, [{"driver_id": 1001}])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_reads_and_sees_changes(store):
    expected = store.get_online_features(FEATURES, [{"driver_id": 1001}]).to_dict()
    child = os.fork()
    if child == 0:
        same = store.get_online_features(FEATURES, [{"driver_id": 1001}]).to_dict() == expected
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_references_are_taken_as_they_are_written(store):
    """What was prepared for one list of features is never used for another."""
    one = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}]).to_dict()
    full = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}], full_feature_names=True).to_dict()
    assert (list(one), list(full)) == (["driver_id", "trips"], ["driver_id", "driver_stats__trips"])
    for wrong in (
        ["driver_stats:trips" * 40],
        ["driver_stats:tripsdriver_stats:conv_rate"],
        ["\x12driver_stats:trips"],
    ):
        with pytest.raises((InvalidError, NotFoundError)):
            store.get_online_features(wrong, [{"driver_id": 1001}])
