"""Will this flight leave late? From raw files to a prediction, and what a leaking join would have promised.

Run it with `make demo`, or, with lodestore, pandas, pyarrow and scikit-learn installed, by hand.
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import lodestore
from lodestore import FeatureStore, FeatureView, FileSource

HERE = Path(__file__).parent
LATE_MINUTES = 15
TRAIN_UNTIL = pd.Timestamp("2013-11-01", tz="UTC")
NOW = datetime(2013, 12, 20, 22, 0, tzinfo=timezone.utc)
"""When the demonstration takes place: five in the afternoon in New York, the Friday before Christmas."""


@contextmanager
def step(title: str):
    """Prints a step and how long it took."""
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}", flush=True)
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:.2f} s")


def questions() -> pd.DataFrame:
    """Returns every flight that left, the moment at which we ask about it, and whether it left late."""
    columns = ["flight_id", "carrier", "tailnum", "origin", "dest", "scheduled_departure", "dep_delay"]
    flights = pd.read_parquet(HERE / "flights.parquet", columns=columns).dropna(subset=["dep_delay"])
    flights["late"] = flights.pop("dep_delay") > LATE_MINUTES
    return flights.rename(columns={"scheduled_departure": "event_timestamp"}).reset_index(drop=True)


def leaking_views() -> list[FeatureView]:
    """Returns the views of the repository as a hasty author would write them: joined by scheduled time."""
    import features

    scheduled = FileSource(name="scheduled", path="flights.parquet", timestamp_field="scheduled_departure")
    hasty = []
    for view in (features.previous_leg, features.airport_traffic, features.airline_traffic):
        hasty.append(
            FeatureView(
                name=f"hasty_{view.name}", entities=view.entities, source=scheduled, ttl=view.ttl, schema=view.schema
            )
        )
    return hasty


def fit(training_set: pd.DataFrame, features: list[str]) -> HistGradientBoostingClassifier:
    """Trains a small model on the flights before November."""
    rows = training_set[training_set.event_timestamp < TRAIN_UNTIL]
    model = HistGradientBoostingClassifier(random_state=0)
    return model.fit(rows[features].astype("float64"), rows["late"])


def quality(model: HistGradientBoostingClassifier, training_set: pd.DataFrame, features: list[str]) -> float:
    """Returns the area under the ROC curve on November and December: 0.5 is a coin, 1.0 knows everything."""
    rows = training_set[training_set.event_timestamp >= TRAIN_UNTIL]
    return roc_auc_score(rows["late"], model.predict_proba(rows[features].astype("float64"))[:, 1])


def main() -> None:
    print(f"Lodestore {lodestore.__version__}: will this flight leave late? Flights out of New York City, 2013.")
    shutil.rmtree(HERE / ".store", ignore_errors=True)
    store = FeatureStore(HERE, now=NOW)

    with step("1. Plan and apply the definitions of features.py"):
        plan = store.plan()
        print("  " + str(plan).splitlines()[-1])
        store.apply(plan)
        for view in store.list_feature_views():
            features = len(view.aggregations) or len(view.schema)
            print(f"  {view.name:16} {features} {'windows' if view.aggregations else 'fields '}  {view.description}")

    with step("2. Build a training set: each flight with what was known when it was scheduled to leave"):
        frame = questions()
        service = store.get_feature_service("late_departure")
        job = store.get_historical_features(entity_df=frame, features=service, full_feature_names=True)
        training_set = job.to_df()
        names = job.feature_names
        print(
            f"  {len(training_set):,} questions, {len(names)} features of 8 views, {training_set.late.mean():.1%} late"
        )
        latest_only = store.get_feature_service("latest_only")
        latest = store.get_historical_features(
            entity_df=frame, features=latest_only, full_feature_names=True
        ).feature_names

    with step("3. Train a model on January to October, try it on November and December"):
        simple = quality(fit(training_set, latest), training_set, latest)
        model = fit(training_set, names)
        honest = quality(model, training_set, names)
        print(f"  area under the ROC curve: {simple:.3f} with the latest row of each view, {honest:.3f} with windows")

    with step("4. The trap: the same features, joined by the scheduled time of the flights they describe"):
        hasty = leaking_views()
        store.apply(hasty)
        own = [name for name in latest if not name.startswith(("weather", "plane_facts"))]
        refs = [f"hasty_{name.replace('__', ':')}" for name in own]
        leaking_set = store.get_historical_features(entity_df=frame, features=refs, full_feature_names=True).to_df()
        leaking_set = leaking_set.rename(columns={f"hasty_{name}": name for name in own})
        leaking_set[[n for n in latest if n not in own]] = training_set[[n for n in latest if n not in own]]
        leaking_model = fit(leaking_set, latest)
        promised = quality(leaking_model, leaking_set, latest)
        delivered = quality(leaking_model, training_set, latest)
        store.apply(objects=[], objects_to_delete=hasty, partial=False)
        print(f"  it promises {promised:.3f}, and delivers {delivered:.3f} once it is asked before the flight has left")

    with step("5. Materialise what is known by now into the online store"):
        report = store.materialize_incremental(NOW)
        for view in report.views:
            print(
                f"  {view.view:20} {view.rows_read:>8,} read  {view.rows_written:>6,} written  "
                f"{view.rows_skipped:>8,} older  {view.rows_refused:>5,} refused  {view.seconds:5.2f} s"
            )

    with step(f"6. Ask online about the flights of the next hour ({NOW:%d %B, %H:%M} UTC), and predict"):
        upcoming = frame[(frame.event_timestamp > NOW) & (frame.event_timestamp <= NOW + timedelta(hours=1))]
        keys = upcoming[["tailnum", "origin", "carrier"]].to_dict("records")
        start = time.perf_counter()
        online = store.get_online_features(features=service, entity_rows=keys, full_feature_names=True).to_df()
        seconds = time.perf_counter() - start
        print(f"  {len(keys)} flights x {len(names)} features in {seconds * 1000:.1f} ms")
        asked_now = upcoming.assign(event_timestamp=pd.Timestamp(NOW))
        same = store.get_historical_features(entity_df=asked_now, features=service, full_feature_names=True)
        pd.testing.assert_frame_equal(same.to_df()[names].reset_index(drop=True), online[names])
        print("  each value is the one that a training set asked at this moment has")
        predicted = model.predict_proba(online[names].astype("float64"))[:, 1]

    print(f"\n  Which flight will leave more than {LATE_MINUTES} minutes late?\n")
    table = pd.DataFrame(
        {
            "scheduled": upcoming.event_timestamp.dt.strftime("%H:%M").to_numpy(),
            "flight": (upcoming.carrier + " " + upcoming.origin + "-" + upcoming.dest).to_numpy(),
            "plane": upcoming.tailnum.to_numpy(),
            "plane's last leg": online["previous_leg__arr_delay"].map(lambda m: f"{m:+d} min", na_action="ignore"),
            "airport now": online["airport_traffic__dep_delay"].map(lambda m: f"{m:+d} min", na_action="ignore"),
            "wind mph": online["weather__wind_speed"].round(1),
            "chance": [f"{chance:.0%}" for chance in predicted],
            "was late": ["yes" if late else "no" for late in upcoming.late],
        }
    )
    order = predicted.argsort()[::-1][:12]
    print("  " + table.iloc[order].fillna("-").to_string(index=False).replace("\n", "\n  "))
    print(f"\n  {'model':34}{'looks like':>12}{'is worth':>12}")
    print(f"  {'point-in-time join, latest rows':34}{simple:12.3f}{simple:12.3f}")
    print(f"  {'point-in-time join and windows':34}{honest:12.3f}{honest:12.3f}")
    print(f"  {'naive join by scheduled time':34}{promised:12.3f}{delivered:12.3f}")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
