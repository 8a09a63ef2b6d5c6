"""A user's script with Feast's own client: `client.py URL FOLDER` prints what it saw as JSON.

It runs in an environment of its own, in which Feast is installed and Lodestore is not.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float32, Int64, String

FEATURES = ["driver_stats:conv_rate", "driver_stats:avg_daily_trips", "driver_stats:city"]
ROWS = [{"driver_id": key} for key in (1001, 9999, 1002)]


def settings(url: str, folder: Path) -> str:
    return (
        f"project: rides\nprovider: local\nregistry: {folder}/feast_registry.db\n"
        f"online_store: {{type: remote, path: {url}}}\nentity_key_serialization_version: 3\n"
    )


def rows(key: int, **values: object) -> pd.DataFrame:
    now = datetime.now(timezone.utc)
    row = {"driver_id": key, "event_timestamp": now, "created": now, "conv_rate": 0.25, "avg_daily_trips": 5}
    return pd.DataFrame([{**row, "city": "Bern", **values}])


def applied(url: str, folder: Path) -> FeatureStore:
    """The client's own registry: Feast asks it for names before it asks the server for values."""
    (folder / "feature_store.yaml").write_text(settings(url, folder))
    rows(1).to_parquet(folder / "feast.parquet")
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    file = FileSource(
        name="driver_stats_file",
        path=str(folder / "feast.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    push = PushSource(name="driver_push", batch_source=file)
    fields = {"driver_id": Int64, "conv_rate": Float32, "avg_daily_trips": Int64, "city": String}
    schema = [Field(name=name, dtype=dtype) for name, dtype in fields.items()]
    view = FeatureView(name="driver_stats", entities=[driver], source=push, schema=schema, ttl=timedelta(days=3650))
    service = FeatureService(name="driver_activity", features=[view])
    store = FeatureStore(repo_path=str(folder))
    store.apply([driver, file, push, view, service])
    return store


def seen(call) -> object:
    try:
        return call()
    except Exception as error:
        return {"module": type(error).__module__, "class": type(error).__name__, "message": str(error)}


def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    store = applied(url, folder)

    def read(features, keys, **options):
        return store.get_online_features(features, keys, **options).to_dict()

    now = datetime.now(timezone.utc)
    steps = {
        "read": lambda: read(FEATURES, ROWS),
        "full names": lambda: read(FEATURES, ROWS, full_feature_names=True),
        "service": lambda: read(store.get_feature_service("driver_activity"), ROWS),
        "columns of keys": lambda: read(FEATURES, {"driver_id": [1002, 1001]}),
        "push": lambda: store.push("driver_push", rows(7001)),
        "read what was pushed": lambda: read(FEATURES, [{"driver_id": 7001}]),
        "write": lambda: store.write_to_online_store("driver_stats", rows(7002, city=None)),
        "read what was written": lambda: read(FEATURES, [{"driver_id": 7002}]),
        "materialize": lambda: store.materialize(now - timedelta(days=4000), now),
        "materialize incremental": lambda: store.materialize_incremental(datetime.now(timezone.utc)),
        "read what was materialized": lambda: read(FEATURES, [{"driver_id": 1003}]),
        "unknown feature": lambda: read(["driver_stats:nope"], ROWS),
        "unknown view": lambda: read(["nope:x"], ROWS),
        "wrong key": lambda: read(FEATURES, [{"driver": 1}]),
        "key of another type": lambda: read(FEATURES, [{"driver_id": "abc"}]),
        "future": lambda: store.materialize(now, now + timedelta(days=1)),
    }
    print(json.dumps({step: seen(call) for step, call in steps.items()}))


if __name__ == "__main__":
    main()
