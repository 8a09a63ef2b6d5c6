"""Windows of aggregates from Python: definitions, training sets, errors."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from lodestore import Aggregation, Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from lodestore.errors import InvalidError, NotFoundError
from lodestore.types import Float64, String

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)
USER = Entity(name="user", join_keys=[("user_id", String)])


def events(count: int = 400) -> pd.DataFrame:
    """Returns events of five users within ten days."""
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "user_id": rng.choice(list("abcde"), count),
            "at": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 864_000, count), unit="s"),
            "id": [f"e{i}" for i in range(count)],
            "amount": np.where(rng.random(count) < 0.1, np.nan, rng.normal(20, 9, count).round(2)),
            "city": rng.choice(["Rome", "Oslo", "Bonn"], count),
        }
    )


def source(**more: object) -> FileSource:
    return FileSource(name="payments", path="payments.parquet", timestamp_field="at", **more)


def view(*aggregations: Aggregation, **more: object) -> FeatureView:
    return FeatureView(name="spent", entities=[USER], source=source(), aggregations=list(aggregations), **more)


def store(folder: Path, rows: pd.DataFrame) -> FeatureStore:
    (folder / "feature_store.yaml").write_text("project: windows\n")
    rows.to_parquet(folder / "payments.parquet")
    return FeatureStore(folder)


def questions(count: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(6)
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 950_000, count), unit="s")
    return pd.DataFrame({"user_id": rng.choice(list("abcdefg"), count), "event_timestamp": times})


def test_a_training_set_has_what_happened_in_each_window(tmp_path: Path) -> None:
    rows, asked = events(), questions()
    spent = view(
        Aggregation("amount", "mean", timedelta(hours=24), slide_interval=timedelta(0)),
        Aggregation("amount", "sum", timedelta(days=3)),
        Aggregation(function="count", time_window=timedelta(days=2), slide_interval=HOUR, where="amount > 20"),
        Aggregation("amount", "max", timedelta(days=1), offset=timedelta(days=1), slide_interval=HOUR),
        Aggregation("city", "last_n_distinct(2)", "lifetime", name="cities"),
    )
    repo = store(tmp_path, rows)
    repo.apply([USER, spent.source, spent])
    names = [feature.name for feature in repo.get_feature_view("spent").aggregations]
    assert names == ["amount_mean_24h", "amount_sum_3d", "count_2d", "amount_max_24h_offset_24h", "cities"]
    answer = repo.get_historical_features(entity_df=asked, features=[f"spent:{name}" for name in names]).to_df()

    def floor(time: pd.Timestamp, hop: str) -> pd.Timestamp:
        return time.floor(hop)

    for question in answer.itertuples():
        at = question.event_timestamp
        own = rows[(rows.user_id == question.user_id) & (rows["at"] <= at)]
        day = own[own["at"] > at - timedelta(days=1)].amount
        assert question.amount_mean_24h == pytest.approx(day.mean(), nan_ok=True)
        three = own[own["at"] > floor(at - timedelta(days=3), "h")].amount.dropna()
        assert question.amount_sum_3d == pytest.approx(three.sum() if len(three) else np.nan, nan_ok=True)
        two = own[own["at"] > floor(at - timedelta(days=2), "h")]
        assert question.count_2d == (two.amount > 20).sum()
        earlier = own[(own["at"] <= at - timedelta(days=1)) & (own["at"] > floor(at - timedelta(days=2), "h"))].amount
        assert question.amount_max_24h_offset_24h == pytest.approx(earlier.max(), nan_ok=True)
        latest = own.sort_values("at").city.drop_duplicates(keep="last").tail(2).tolist()
        assert (question.cities is None and not latest) or list(question.cities) == latest


def test_an_event_that_comes_twice_counts_once(tmp_path: Path) -> None:
    rows = events(50)
    twice = pd.concat([rows, rows.sample(30, random_state=1)])
    repo = store(tmp_path, twice)
    count = Aggregation(function="count", time_window="lifetime")
    asked = pd.DataFrame({"user_id": list("abcde"), "event_timestamp": pd.Timestamp("2024-02-01", tz="UTC")})
    for with_ids, expected in ((True, 50), (False, 80)):
        payments = source(event_id="id") if with_ids else source()
        repo.apply([USER, payments, FeatureView(name="spent", entities=[USER], source=payments, aggregations=[count])])
        answer = repo.get_historical_features(entity_df=asked, features=["spent:count_lifetime"]).to_df()
        assert answer.count_lifetime.sum() == expected


def test_values_of_a_window_do_not_depend_on_layout_or_memory(tmp_path: Path) -> None:
    rows, asked = events(3_000), questions(500)
    spent = view(
        Aggregation("amount", "stddev", timedelta(days=5)),
        Aggregation("amount", "approx_percentile(0.5)", timedelta(days=5)),
        Aggregation("amount", "decayed_sum(12h)", timedelta(days=5)),
        Aggregation("city", "histogram", timedelta(days=5)),
    )
    answers = []
    for number, limit in enumerate(["", "offline_store: {type: datafusion, memory_limit: 50MB, threads: 2}\n"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        repo = store(folder, rows if number else rows.sample(frac=1, random_state=3))
        (folder / "feature_store.yaml").write_text("project: windows\n" + limit)
        repo = FeatureStore(folder)
        repo.apply([USER, spent.source, spent])
        names = [f"spent:{feature.name}" for feature in repo.get_feature_view("spent").aggregations]
        answers.append(repo.get_historical_features(entity_df=asked, features=names).to_arrow())
    assert answers[0].equals(answers[1])


def test_definitions_come_back_as_they_were_given(tmp_path: Path) -> None:
    repo = store(tmp_path, events())
    spent = view(
        Aggregation("amount", "avg", timedelta(days=1), timedelta(hours=6), "mean_of_a_day", where="city = 'Rome'"),
        Aggregation("amount", "max_by", timedelta(days=9), by="at", name="latest"),
        Aggregation("amount", "sum", timedelta(days=9), group_by="city", tags={"team": "fraud"}),
    )
    repo.apply([USER, spent.source, spent])
    back = repo.get_feature_view("spent")
    assert [str(one) for one in back.aggregations] == [
        "aggregation 'mean_of_a_day'",
        "aggregation 'latest'",
        "aggregation 'amount_sum_by_city_9d'",
    ]
    assert Aggregation.from_document(back.aggregations[0].to_document()) == back.aggregations[0]
    assert Field(name="amount", dtype=Float64) in back.inputs
    assert repo.plan([USER, spent.source, spent]).is_empty


@pytest.mark.parametrize(
    ("aggregation", "message"),
    [
        (Aggregation("amuont", "sum", HOUR), "amuont.*amount"),
        (Aggregation("amount", "summ", HOUR), "summ.*sum"),
        (Aggregation("city", "sum", HOUR), "sum.*string"),
        (Aggregation(function="sum", time_window=HOUR), "needs a column"),
        (Aggregation("amount", "sum", HOUR, where="amount >"), "condition"),
        (Aggregation("amount", "sum", HOUR, slide_interval=timedelta(hours=2)), "slide_interval"),
    ],
)
def test_what_is_wrong_is_said_at_apply(tmp_path: Path, aggregation: Aggregation, message: str) -> None:
    repo = store(tmp_path, events())
    with pytest.raises((InvalidError, NotFoundError), match=message):
        repo.apply([USER, source(), view(aggregation)])


def test_arguments_of_the_wrong_type_are_refused() -> None:
    with pytest.raises(TypeError, match="time_window must be a timedelta or 'lifetime', not '1h'"):
        Aggregation("amount", "sum", "1h")
    with pytest.raises(InvalidError, match="function is missing"):
        Aggregation("amount", time_window=HOUR)
    with pytest.raises(TypeError, match="must be a list of Aggregation"):
        view("sum")  # type: ignore[arg-type]


def every_function() -> list[Aggregation]:
    """Returns an aggregation of each kind, over windows of each kind."""
    day, week = timedelta(days=1), timedelta(days=7)
    return [
        Aggregation("amount", "mean", day),
        Aggregation("amount", "sum", week, slide_interval=HOUR),
        Aggregation("amount", "sum", 30 * day),
        Aggregation("amount", "stddev", week, where="city <> 'Bonn'"),
        Aggregation("amount", "min", day, slide_interval=timedelta(0)),
        Aggregation("amount", "max", "lifetime"),
        Aggregation("amount", "approx_percentile(0.5)", week),
        Aggregation("amount", "decayed_mean(2d)", week),
        Aggregation("amount", "count", 2 * day, offset=day),
        Aggregation("amount", "decayed_sum(12h)", week, offset=day),
        Aggregation("amount", "sum", week, group_by="city"),
        Aggregation("city", "approx_count_distinct", week),
        Aggregation("city", "last_n(3)", week),
        Aggregation("city", "top_k(2)", week),
        Aggregation(function="count", time_window=HOUR),
    ]


@pytest.mark.parametrize("way", ["materialised", "pushed", "half and half", "grown"])
def test_online_a_window_has_what_a_training_set_has_at_that_moment(tmp_path: Path, way: str) -> None:
    rows = events(600).sample(frac=1, random_state=8)
    store(tmp_path, rows)
    payments = source(event_id="id")
    live = PushSource(name="live", batch_source=payments)
    spent = FeatureView(name="spent", entities=[USER], source=live, aggregations=every_function())
    written_at = pd.Timestamp("2024-01-08 12:34:56", tz="UTC")
    repo = FeatureStore(tmp_path, now=written_at.to_pydatetime())
    if way == "grown":
        # The first version has some of the aggregations, and events; the next one shares what is kept of them.
        some = FeatureView(name="spent", entities=[USER], source=live, aggregations=every_function()[::2])
        repo.apply([USER, payments, live, some])
        repo.materialize_incremental(pd.Timestamp("2024-01-04", tz="UTC").to_pydatetime())
        repo.push("live", rows.sample(100, random_state=10))
        assert "shares the online rows of version 1" in str(repo.plan([spent]))
    repo.apply([USER, payments, live, spent])
    names = [f"spent:{feature.name}" for feature in repo.get_feature_view("spent").aggregations]
    if way != "pushed":
        until = written_at if way == "materialised" else pd.Timestamp("2024-01-05", tz="UTC")
        repo.materialize_incremental(until.to_pydatetime())
    if way != "materialised":
        # Late ones, and some a second time; what lies ahead is not seen before its time.
        for start in range(0, len(rows), 37):
            repo.push("live", rows.iloc[start : start + 37])
        repo.push("live", rows.sample(50, random_state=9))
    for hours in (0, 1, 30, 24 * 7, 24 * 40):
        now = written_at + timedelta(hours=hours)
        if way == "materialised":
            FeatureStore(tmp_path, now=now.to_pydatetime()).materialize_incremental(now.to_pydatetime())
        then = FeatureStore(tmp_path, now=now.to_pydatetime())
        keys = [{"user_id": user} for user in "abcdef"]
        online = then.get_online_features(features=names, entity_rows=keys).to_df()
        asked = pd.DataFrame({"user_id": list("abcdef"), "event_timestamp": now})
        training = then.get_historical_features(entity_df=asked, features=names).to_df()
        pd.testing.assert_frame_equal(online, training.drop(columns="event_timestamp"), check_exact=True)


def test_a_window_moves_on_without_a_write(tmp_path: Path) -> None:
    start = pd.Timestamp("2024-03-01 12:00", tz="UTC")
    repo = store(tmp_path, events().assign(at=pd.Timestamp("2023-01-01", tz="UTC")))
    count = Aggregation(function="count", time_window=HOUR, name="recent")
    repo.apply([USER, source(), view(count)])
    event = pd.DataFrame(
        {"user_id": ["a"], "at": [start + timedelta(minutes=1)], "id": ["x"], "amount": [1.0], "city": ["Rome"]}
    )
    FeatureStore(tmp_path, now=(start + timedelta(minutes=1)).to_pydatetime()).write_to_online_store("spent", event)
    seen = []
    for minutes in (1, 59, 64, 65):
        then = FeatureStore(tmp_path, now=(start + timedelta(minutes=minutes)).to_pydatetime())
        seen += then.get_online_features(features=["spent:recent"], entity_rows=[{"user_id": "a"}]).to_dict()["recent"]
    # Its start moves by five minutes: the event is out once 12:05 is reached an hour later.
    assert seen == [1, 1, 1, 0]
