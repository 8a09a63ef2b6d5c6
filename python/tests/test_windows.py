"""Windows of aggregates from Python: definitions, training sets, errors."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lodestore import Aggregation, Entity, FeatureStore, FeatureView, Field, FileSource
from lodestore.errors import InvalidError, NotFoundError
from lodestore.types import Float64, String

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
        earlier = own[
            (own["at"] <= at - timedelta(days=1)) & (own["at"] > floor(at - timedelta(days=2), "h"))
        ].amount
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
